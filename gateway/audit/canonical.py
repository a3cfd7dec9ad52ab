"""The one byte string a record has: what is sealed, stored, and hashed by whoever checks the log.

RFC 8785 (JSON Canonicalization Scheme): members sorted, UTF-8, no spaces, whole numbers only. Times are UTC with six
decimals. A member that holds its type's default is left out, so a field that is added later leaves old bytes as they
are. `schema` names this form. What is stored also holds a `salt`: a hash of the bytes then tells nothing of a record
to whoever tries what it may have held.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import orjson
from msgspec import Struct, to_builtins

from gateway.audit.record import Asked, AuditRecord, Decided, Released, Who

SCHEMA = 1
MOST_CHARACTERS = 4_096
MOST_CHARACTERS_OF_A_REQUEST = 131_072
MOST_CHARACTERS_OF_A_TOKEN = 32
_SECRETS = re.compile(
    r"((?:token|assertion|secret|verifier|password)=)([^&\s]+)"
    r"|(?<![\w-])(eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+)",  # a signed token (RFC 7515 §7.1), whatever it is called
    re.IGNORECASE,
)
_SECRET_WORDS = ("token=", "assertion=", "secret=", "verifier=", "password=", ".eyj")


class UnreadableRecord(ValueError):
    """The bytes are not a record in a form this version knows."""


def to_canonical(record: AuditRecord, salt: str | None = None) -> bytes:
    """The bytes of `record`; equal records have equal bytes, unless each has a `salt`.

    A request that bears a token where none belongs, in its query or form, keeps the last 32 characters of it at most.
    Texts longer than the caps are cut and say so (a hostile header must not fill the store), and lone surrogates, which
    no UTF-8 can hold, are spelled out. Raises TypeError where a field has a type no record may have.
    """
    members = {"schema": SCHEMA, **_members(record)}
    if salt is not None:
        members["salt"] = salt
    if record.request:
        members["request"] = _without_secrets(str(members["request"]))
    return orjson.dumps(members, option=orjson.OPT_SORT_KEYS)


def from_canonical(raw: bytes) -> AuditRecord:
    """The record that `raw` stands for. Raises UnreadableRecord."""
    try:
        members = orjson.loads(raw)
        if members.pop("schema") != SCHEMA:
            raise KeyError(SCHEMA)
        members.pop("salt", None)
        return AuditRecord(**{name: _READERS.get(name, _as_it_is)(value) for name, value in members.items()})
    except (TypeError, KeyError, AttributeError, ValueError) as exc:
        msg = f"the bytes are not an audit record of schema {SCHEMA}"
        raise UnreadableRecord(msg) from exc


def _without_secrets(request: str) -> str:
    lowered = request.lower()
    if not any(word in lowered for word in _SECRET_WORDS):
        return request
    return _SECRETS.sub(lambda found: (found[1] or "") + (found[2] or found[3])[-MOST_CHARACTERS_OF_A_TOKEN:], request)


def _members(part: object) -> dict[str, object]:
    # This runs for every answer: a member that holds its default is passed by, a short plain text taken as it is.
    return {
        name: value if _is_short(value) else _plain(name, value)
        for name, default in _DEFAULTS[type(part)]
        if (value := getattr(part, name)) is not default and value != default
    }


_DEFAULTS: dict[type, tuple[tuple[str, object], ...]] = {
    part: tuple((field.name, field.default) for field in fields(part)) for part in (AuditRecord, Who)
}


def _plain_members(part: Struct) -> dict[str, object]:
    members: dict[str, object] = to_builtins(part)
    return {name: value if _is_short(value) else _plain(name, value) for name, value in members.items()}


def _is_short(value: object) -> bool:
    return type(value) is str and len(value) <= MOST_CHARACTERS and value.isascii()


def _plain(name: str, value: object) -> object:
    if isinstance(value, str):
        return _text(value, MOST_CHARACTERS_OF_A_REQUEST if name == "request" else MOST_CHARACTERS)
    if isinstance(value, tuple | list):
        return [item if _is_short(item) else _plain(name, item) for item in value]
    if isinstance(value, Struct):
        return _plain_members(value)
    if type(value) in _DEFAULTS:
        return _members(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if value is None or isinstance(value, int):
        return value
    msg = f"an audit record can't hold a {type(value).__name__} in {name}"
    raise TypeError(msg)


def _text(value: str, most: int) -> str:
    if len(value) > most:
        value = f"{value[:most]} … (cut: {len(value)} characters)"
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()


def _as_it_is(value: Any) -> Any:
    return value


def _each(part: type) -> Callable[[Any], Any]:
    def read(items: list[Mapping[str, Any]]) -> tuple[Any, ...]:
        return tuple(_part(part, item) for item in items)

    return read


def _part(part: type, item: Mapping[str, Any]) -> Any:
    return part(**{name: tuple(value) if isinstance(value, list) else value for name, value in item.items()})


def _who(item: Mapping[str, Any]) -> Any:
    return _part(Who, item)


def _pairs(items: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in items)


_READERS: dict[str, Callable[[Any], Any]] = {
    "recorded": datetime.fromisoformat,
    "who": _who,
    "asked": _each(Asked),
    "decided": _each(Decided),
    "released": _each(Released),
    "resources": tuple,
    "details": _pairs,
}
