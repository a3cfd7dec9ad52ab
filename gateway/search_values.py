"""How is the value of a search parameter read? Commas, escapes, tokens, references (FHIR R4 search §3.1.1.4–5)."""

import re
from collections.abc import Callable
from typing import TypeVar

from gateway.errors import InvalidQuery
from gateway.model import DateBound, Identifier, Token
from gateway.search_dates import parse_date_bound

MOST_ALTERNATIVES = 50
_SEPARATORS = {",": re.compile(r"\\.|,"), "|": re.compile(r"\\.|\|")}
_ESCAPE = re.compile(r"\\([\\,|$])")
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")

T = TypeVar("T")


def parse_tokens(value: str, parameter: str) -> tuple[Token, ...]:
    """The alternatives of a token parameter: `code`, `system|code`, `|code` or `system|`."""
    return _each(value, parameter, _token)


def parse_dates(value: str, parameter: str) -> tuple[DateBound, ...]:
    """The alternatives of a date parameter."""
    return _each(value, parameter, parse_date_bound)


def parse_strings(value: str, parameter: str) -> tuple[str, ...]:
    """The alternatives of a string parameter, or of a list of words."""
    return _each(value, parameter, lambda part, _: _unescape(part))


def parse_ids(value: str, parameter: str) -> tuple[str, ...]:
    """The alternatives of `_id`: FHIR ids."""
    return _each(value, parameter, _id)


def parse_references(value: str, parameter: str, resource_type: str, base: str) -> tuple[str, ...]:
    """The alternatives of a reference parameter as ids: `{id}`, `{type}/{id}` or `{base}/{type}/{id}`."""
    relative = f"{resource_type}/"
    absolute = f"{base}/{relative}"
    return _each(value, parameter, lambda part, name: _id(part.removeprefix(absolute).removeprefix(relative), name))


def parse_reference(value: str, parameter: str, resource_type: str, base: str) -> str:
    """The one id that a reference parameter names. Raises InvalidQuery where it names more."""
    return _only(parse_references(value, parameter, resource_type, base), parameter)


def parse_identifier(value: str, parameter: str) -> Identifier:
    """The one identifier a parameter names. Without its system it would name somebody else elsewhere: refused."""
    token = _only(parse_tokens(value, parameter), parameter)
    if not token.system or not token.code:
        raise InvalidQuery(f"{parameter} is system|value, with both parts")
    return Identifier(token.system, token.code)


def split_alternatives(value: str) -> tuple[str, ...]:
    """The alternatives of a value as they are written, escapes included."""
    return tuple(_split(value, ","))


def _each(value: str, parameter: str, read: Callable[[str, str], T]) -> tuple[T, ...]:
    parts = _split(value, ",")
    if len(parts) > MOST_ALTERNATIVES:
        raise InvalidQuery(f"{parameter} has more than {MOST_ALTERNATIVES} alternatives")
    if not all(parts):
        raise InvalidQuery(f"{parameter} has an empty alternative")
    return tuple(read(part, parameter) for part in parts)


def _only(values: tuple[T, ...], parameter: str) -> T:
    if len(values) != 1:
        raise InvalidQuery(f"{parameter} takes exactly one value")
    return values[0]


def _split(text: str, separator: str) -> list[str]:
    if "\\" not in text:
        return text.split(separator)
    # The pattern takes an escaped character whole, so a match of one character is a separator.
    cuts = [found.start() for found in _SEPARATORS[separator].finditer(text) if len(found[0]) == 1]
    return [text[start + 1 : end] for start, end in zip([-1, *cuts], [*cuts, len(text)], strict=True)]


def _unescape(text: str) -> str:
    return _ESCAPE.sub(r"\1", text) if "\\" in text else text


def _token(text: str, parameter: str) -> Token:
    parts = _split(text, "|")
    if len(parts) == 1:
        return Token(None, _unescape(text))
    if len(parts) != 2 or text == "|":
        raise InvalidQuery(f"{parameter} is a token: code, system|code, |code or system|")
    return Token(_unescape(parts[0]), _unescape(parts[1]) or None)


def _id(text: str, parameter: str) -> str:
    if _ID.fullmatch(text) is None:
        raise InvalidQuery(f"{parameter} is not an id or a reference of this server")
    return text
