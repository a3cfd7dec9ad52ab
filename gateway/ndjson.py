"""Reading an operator's NDJSON file: one JSON object a line, each line good or refused on its own.

JSON is read strictly (RFC 8259, RFC 7493 I-JSON): no NaN, no duplicate names, no byte order mark, no lone surrogates,
nothing that another reader would understand differently.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

import orjson

MOST_LINE_BYTES = 1_000_000
MOST_DEPTH = 64
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line that is not blank: the object it holds, or why it is refused. `end` is the offset after it."""

    number: int
    end: int
    value: dict[str, Any] | None = None
    problem: str = ""


class _Refused(ValueError):
    """A line that is not strict JSON; the message is ours."""


def read_ndjson(stream: BinaryIO) -> Iterator[Line]:
    """The lines of `stream`, in order, never more than one of them in memory."""
    number, end = 0, 0
    while raw := stream.readline(MOST_LINE_BYTES + 1):
        number += 1
        end += len(raw)
        if len(raw) > MOST_LINE_BYTES:
            while raw and not raw.endswith(b"\n"):
                raw = stream.readline(_CHUNK)
                end += len(raw)
            yield Line(number=number, end=end, problem=f"longer than {MOST_LINE_BYTES} bytes")
        elif raw.strip():
            try:
                yield Line(number=number, end=end, value=parse_object(raw))
            except ValueError as exc:
                yield Line(number=number, end=end, problem=str(exc) if isinstance(exc, _Refused) else "not JSON")


def parse_object(raw: bytes) -> dict[str, Any]:
    """The JSON object in `raw`. Raises ValueError, whose words are safe to show where they are our own."""
    if raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise _Refused("begins with a byte order mark")
    try:
        text = raw.decode()
    except UnicodeDecodeError as exc:
        raise _Refused("not UTF-8") from exc
    try:
        value = json.loads(
            text, object_pairs_hook=_without_duplicates, parse_constant=_no_constant, parse_float=_finite
        )
        # What can't be written again (a lone surrogate, a number beyond 64 bits) is refused on reading.
        orjson.dumps(value)
    except _Refused:
        raise
    except RecursionError as exc:
        raise _Refused(f"nested deeper than {MOST_DEPTH}") from exc
    except json.JSONDecodeError as exc:
        raise _Refused(f"not JSON (at character {exc.pos + 1})") from exc
    except (ValueError, TypeError) as exc:
        raise _Refused("holds a number or a character that JSON can't carry") from exc
    if not isinstance(value, dict):
        raise _Refused("not a JSON object")
    if text.count("{") + text.count("[") > MOST_DEPTH and _depth(value) > MOST_DEPTH:
        raise _Refused(f"nested deeper than {MOST_DEPTH}")
    return value


def _without_duplicates(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Refused("names a member twice in one object")
    return members


def _no_constant(_text: str) -> NoReturn:
    raise _Refused("holds NaN or Infinity")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _Refused("holds a number that is too large")
    return number


def _depth(value: object) -> int:
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        item, depth = waiting.pop()
        deepest = max(deepest, depth)
        children: Any = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        waiting.extend((child, depth + 1) for child in children if isinstance(child, dict | list))
    return deepest
