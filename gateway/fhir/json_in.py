"""Is this JSON safe to read? Every JSON body and every line of a bulk file comes in through here (RFC 8259)."""

import json
import re
from collections.abc import Iterator
from math import isfinite
from typing import Any, NoReturn

from gateway.errors import InvalidQuery, PayloadTooLarge

MOST_BYTES = 1_000_000
MOST_DEPTH = 64
_MOST_DIGITS = 100
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{\]}]', re.DOTALL)
"""A string is taken whole and never given back, closed or not, so that no text takes more than linear time."""
_ESCAPED = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")


def read_json_object(body: bytes, *, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """The JSON object in `body`, read the one way it can be meant.

    Raises PayloadTooLarge, and InvalidQuery for everything that parsers disagree on or choke on: other encodings than
    UTF-8, a byte order mark, duplicate names, NaN and infinities, depth, endless numbers, lone surrogates, NUL.
    """
    if len(body) > most_bytes:
        raise PayloadTooLarge(f"the JSON is longer than {most_bytes} bytes")
    value = _parsed(_text(body))
    if not isinstance(value, dict):
        raise InvalidQuery("the JSON is not an object")
    return value


def _text(body: bytes) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError as exc:
        raise InvalidQuery("the JSON is not UTF-8") from exc
    if text.startswith("\ufeff"):
        raise InvalidQuery("the JSON starts with a byte order mark")
    return text


def _parsed(text: str) -> Any:
    _require_shallow(text)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=_finite,
        )
    except json.JSONDecodeError as exc:
        raise InvalidQuery(f"the JSON can't be read at line {exc.lineno}, column {exc.colno}") from exc
    if _ESCAPED.search(text) and any(_NOT_TEXT.search(part) for part in _strings(value)):
        raise InvalidQuery("the JSON has characters that are not text")
    return value


def _require_shallow(text: str) -> None:
    # Before parsing, since the parser recurses. Most bodies have too few brackets to be deep.
    if text.count("[") + text.count("{") <= MOST_DEPTH:
        return
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(text):
        if found[0] in ("[", "{"):
            depth += 1
            if depth > MOST_DEPTH:
                raise InvalidQuery(f"the JSON is nested more than {MOST_DEPTH} levels deep")
        elif found[0] in ("]", "}"):
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise InvalidQuery("the JSON has an object with the same name twice")
    return value


def _refuse_constant(_: str) -> NoReturn:
    raise InvalidQuery("the JSON has NaN or an infinity")


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise InvalidQuery(f"the JSON has a number of more than {_MOST_DIGITS} digits")
    return int(text)


def _finite(text: str) -> float:
    number = float(text) if len(text) <= _MOST_DIGITS else float("inf")
    if not isfinite(number):
        raise InvalidQuery("the JSON has a number that can't be held")
    return number


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, held in value.items():
            yield name
            yield from _strings(held)
    elif isinstance(value, list):
        for held in value:
            yield from _strings(held)
