"""What the `?parameter=value` of a granular scope says, and which studies a token's scopes admit (SMART 2.2). Pure.

The parameters are those of a search on ImagingStudy, each at most once, read as a search reads them: `modality`,
`bodysite`, `started`, `status`, `identifier`. A scope with any other parameter, or on another type, is not granted and,
found in a token, reaches nothing: what it means can't be told. `&` is AND, a comma is OR; several scopes add up.
Values may be percent-encoded (`%5C` for the backslash, which a scope can't hold).
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote

from gateway.errors import InvalidQuery
from gateway.imaging.narrowing import StudyLimit
from gateway.model import DateBound, Token
from gateway.search_values import parse_dates, parse_tokens, split_alternatives

RESOURCE_TYPE = "ImagingStudy"
"""The one type whose scopes may be granular."""

PARAMETERS: Mapping[str, Callable[[str, str], tuple[Any, ...]]] = {
    "modality": parse_tokens,
    "bodysite": parse_tokens,
    "started": parse_dates,
    "status": parse_tokens,
    "identifier": parse_tokens,
}
_PLAIN = "-._~:/?@!$'()*,;|"
"""What a scope shows as it is; all else is percent-encoded."""

Alternative = tuple[str, Token | DateBound]
"""As it is written, and what it says."""


@lru_cache(maxsize=1024)
def limit_of(resource_type: str, parameters: str) -> StudyLimit | None:
    """The studies that a granular scope on `resource_type` admits; None where it can't be understood."""
    parsed = _parse(resource_type, parameters)
    if parsed is None:
        return None
    values: dict[str, Any] = {name: tuple([value for _, value in written]) for name, written in parsed.items()}
    return StudyLimit(**values)


@lru_cache(maxsize=1024)
def meet(resource_type: str, asked: str, held: str) -> str | None:
    """The parameters of what both `asked` and `held` admit; None where that is nothing, or can't be understood.

    An empty text admits the whole type. What one of the two says alone is in the words it was written in.
    """
    if not (asked and held):
        return _understood(resource_type, asked or held)
    one, other = _parse(resource_type, asked), _parse(resource_type, held)
    if one is None or other is None:
        return None
    both = {}
    for name in {**one, **other}:
        shared = _shared(one[name], other[name]) if name in one and name in other else one.get(name, other.get(name))
        if not shared:
            return None
        both[name] = shared
    for parsed, text in ((one, asked), (other, held)):
        if both == parsed:
            return text
    return "&".join(f"{name}={','.join(_written(text) for text, _ in values)}" for name, values in both.items())


def _understood(resource_type: str, parameters: str) -> str | None:
    return parameters if not parameters or _parse(resource_type, parameters) is not None else None


def _parse(resource_type: str, parameters: str) -> dict[str, tuple[Alternative, ...]] | None:
    if resource_type != RESOURCE_TYPE:
        return None
    parsed: dict[str, tuple[Alternative, ...]] = {}
    for pair in parameters.split("&"):
        name, equals, written = pair.partition("=")
        read = PARAMETERS.get(name)
        if read is None or not equals or name in parsed:
            return None
        try:
            text = unquote(written, errors="strict")
            parsed[name] = tuple(zip(split_alternatives(text), read(text, name), strict=True))
        except (InvalidQuery, UnicodeDecodeError):
            return None
    return parsed


def _written(text: str) -> str:
    return quote(text, safe=_PLAIN)


def _shared(asked: tuple[Alternative, ...], held: tuple[Alternative, ...]) -> tuple[Alternative, ...]:
    """What the two lists of alternatives both admit: the narrower of each two that overlap."""
    kept = [one for one in asked if any(_covers(other, one[1]) for _, other in held)]
    kept += [other for other in held if any(_covers(one, other[1]) for _, one in asked)]
    return tuple(dict.fromkeys(kept))


def _covers(wide: Token | DateBound, narrow: Token | DateBound) -> bool:
    """Whether all that `narrow` finds, `wide` finds; intervals of time only where they are the same."""
    if not isinstance(wide, Token) or not isinstance(narrow, Token):
        return wide == narrow
    if wide.system is not None and wide.system != narrow.system:
        return False
    # `|code` also finds what has a system where it is told by its words (`bodysite`), which `|` alone doesn't.
    return wide.code == narrow.code or (wide.code is None and bool(wide.system))
