"""Is this JSON safe to read? Bodies, lines of bulk files and signed documents all come in through here (RFC 8259).

What parsers disagree on or choke on is refused, so that nobody who reads the same bytes sees something else in them:
duplicate names, NaN and infinities, depth, numbers that can't be kept, halves of surrogate pairs, NUL, other encodings
than UTF-8, a byte order mark.
"""

import json
import re
from collections.abc import Iterator
from math import isfinite
from typing import Any, NoReturn

MOST_DEPTH = 64
_MOST_DIGITS = 100
_LEAST, _MOST = -(2**63), 2**64 - 1
"""The integers that the gateway can keep as it got them."""
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{\]}]', re.DOTALL)
"""A string is taken whole and never given back, closed or not, so that no text takes more than linear time."""
_ESCAPED = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")


class UnreadableJSON(ValueError):
    """The JSON is refused. `reason` says why, with nothing of it: `has NaN or an infinity`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BrokenJSON(UnreadableJSON):
    """It is no JSON at all, from `line` and `column` on."""

    def __init__(self, line: int, column: int) -> None:
        super().__init__(f"can't be read at line {line}, column {column}")
        self.line = line
        self.column = column


def read_strict_json(body: bytes) -> Any:
    """The value in `body`, read the one way it can be meant. Raises UnreadableJSON."""
    text = _text(body)
    _require_shallow(text)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as exc:
        raise BrokenJSON(exc.lineno, exc.colno) from exc
    if _ESCAPED.search(text) and any(_NOT_TEXT.search(part) for part in _strings(value)):
        raise UnreadableJSON("has characters that are not text")
    return value


def _text(body: bytes) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError as exc:
        raise UnreadableJSON("is not UTF-8") from exc
    if text.startswith("\ufeff"):
        raise UnreadableJSON("starts with a byte order mark")
    return text


def _require_shallow(text: str) -> None:
    # Before parsing, since the parser recurses. Most bodies have too few brackets to be deep.
    if text.count("[") + text.count("{") <= MOST_DEPTH:
        return
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(text):
        if found[0] in ("[", "{"):
            depth += 1
            if depth > MOST_DEPTH:
                raise UnreadableJSON(f"is nested more than {MOST_DEPTH} levels deep")
        elif found[0] in ("]", "}"):
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # RFC 8259 §4 leaves open which of two equal names counts: two readers could then see two different patients.
    value = dict(pairs)
    if len(value) != len(pairs):
        raise UnreadableJSON("has an object with the same name twice")
    return value


def _refuse_constant(_: str) -> NoReturn:
    raise UnreadableJSON("has NaN or an infinity")


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise UnreadableJSON(f"has a number of more than {_MOST_DIGITS} digits")
    number = int(text)
    if not _LEAST <= number <= _MOST:
        raise UnreadableJSON("has a whole number beyond 64 bits")
    return number


def _finite(text: str) -> float:
    number = float(text) if len(text) <= _MOST_DIGITS else float("inf")
    if not isfinite(number):
        raise UnreadableJSON("has a number beyond what can be kept")
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


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_refuse_constant, parse_int=_integer, parse_float=_finite
)
