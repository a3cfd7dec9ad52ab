"""Which parameters of a request does the search honour, and which does it refuse?"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.errors import InvalidQuery, UnsupportedParameter
from gateway.fhir.parameters import REFUSED, SearchTable
from gateway.fhir.query_string import MOST_PARAMETERS, Pairs

MOST_VALUE_CHARACTERS = 2048
MOST_SEARCH_BYTES = 4096
"""Of all names and values together: a page link carries them, and must fit into a request line."""

_UNREADABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffd]")
_SHOWABLE = re.compile(r"[A-Za-z0-9_:.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Sifted:
    """The honoured parameters: by name, and as they were written, in order."""

    values: dict[str, list[str]]
    pairs: Pairs

    def all(self, name: str) -> Sequence[str]:
        """Every value given for the parameter: each narrows further (AND)."""
        return self.values.get(name, ())

    def one(self, name: str, default: str) -> str:
        """The value of a parameter that has one meaning for the whole search. Raises InvalidQuery if it is repeated."""
        values = self.values.get(name)
        if values is None:
            return default
        if len(values) > 1:
            raise InvalidQuery(f"{name} is given more than once")
        return values[0]


def sift(pairs: Sequence[tuple[str, str]], table: SearchTable, *, strict: bool) -> Sifted:
    """The parameters that `table` knows; unknown and empty ones are left out (FHIR R4 search §3.1.1.3, `Prefer`).

    A date has no blank: one in it is the `+` of its zone, which the client did not percent-encode, and counts as that.
    Raises UnsupportedParameter for what would change the meaning if it were ignored: modifiers of known parameters,
    chains, `_has` and their like, and, where `strict`, for everything unknown or empty. Raises InvalidQuery for what
    is too long or not text.
    """
    require_text(pairs)
    values: dict[str, list[str]] = {}
    honoured = []
    for name, value in pairs:
        parameter = table.by_spelling.get(name)
        if parameter is None:
            _refuse_unknown(name, table, strict)
        elif value:
            meant = value.replace(" ", "+") if parameter.type == "date" else value
            values.setdefault(parameter.name, []).append(meant)
            honoured.append((name, meant))
        elif strict:
            raise InvalidQuery(f"{name} has no value")
    return Sifted(values, tuple(honoured))


def with_values(pairs: Pairs, values: dict[str, str]) -> Pairs:
    """`pairs` with the values that were honoured in place of the ones that were given; an empty one is left out."""
    replaced: Iterable[tuple[str, str]] = ((name, values.get(name, value)) for name, value in pairs)
    return tuple((name, value) for name, value in replaced if value)


def require_text(pairs: Sequence[tuple[str, str]]) -> None:
    """The parameters are text, and not too many or too long to be read. Raises InvalidQuery."""
    if len(pairs) > MOST_PARAMETERS:
        raise InvalidQuery(f"a search has at most {MOST_PARAMETERS} parameters")
    if any(len(value) > MOST_VALUE_CHARACTERS for _, value in pairs):
        raise InvalidQuery(f"a parameter has at most {MOST_VALUE_CHARACTERS} characters")
    text = "".join([name + value for name, value in pairs])
    if _UNREADABLE.search(text):
        raise InvalidQuery("a parameter has characters that are not text")
    if (len(text) if text.isascii() else len(text.encode())) > MOST_SEARCH_BYTES:
        raise InvalidQuery(f"the parameters of a search have at most {MOST_SEARCH_BYTES} bytes together")


def _refuse_unknown(name: str, table: SearchTable, strict: bool) -> None:
    base = name.partition(":")[0]
    if strict or "." in name or base in REFUSED or base in table.by_spelling:
        shown = name if _SHOWABLE.fullmatch(name) else "a parameter of this search"
        raise UnsupportedParameter(f"{shown} is not supported")
