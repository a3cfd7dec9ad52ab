"""How is the answer to a search wanted? Page size, summary, elements, total, format (FHIR R4 search §3.1.1.5)."""

from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

from gateway.errors import InvalidQuery
from gateway.fhir.negotiation import require_json_format
from gateway.fhir.parameters import SearchTable
from gateway.fhir.query_string import Pairs
from gateway.fhir.sift import Sifted, with_values

Summary = Literal["false", "true", "text", "data", "count"]
Total = Literal["accurate", "estimate", "none"]
SUMMARIES: tuple[Summary, ...] = get_args(Summary)
TOTALS: tuple[Total, ...] = get_args(Total)
DEFAULT_COUNT = 50
MOST_COUNT = 200

W = TypeVar("W", bound=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerForm:
    """What every search says of the form of its answer."""

    count: int
    """Matches a page, 1 to 200. With `_count=0` the summary is `count`."""
    summary: Summary
    elements: tuple[str, ...]
    """The elements to return beside the mandatory ones; empty: all."""
    total: Total
    """What was asked for; the total is exact in each case."""
    pretty: bool
    self_pairs: Pairs
    """The honoured parameters, as they go into `link[self]`."""


def parse_answer_form(sifted: Sifted, table: SearchTable, *, strict: bool) -> AnswerForm:
    """The form that the result parameters ask for. Raises InvalidQuery, and NotAcceptable for another `_format`."""
    for format_ in sifted.all("_format"):
        require_json_format(format_)
    count = _count(sifted)
    summary = parse_word(sifted, "_summary", SUMMARIES, "false")
    elements = _elements(sifted, table, strict)
    if elements and summary != "false":
        raise InvalidQuery("_summary and _elements exclude each other")
    honoured = {}
    if "_elements" in sifted.values:
        honoured["_elements"] = ",".join(elements)
    if count > MOST_COUNT:
        honoured["_count"] = str(MOST_COUNT)
    return AnswerForm(
        count=min(count, MOST_COUNT) or DEFAULT_COUNT,
        summary=summary if count else "count",
        elements=elements,
        total=parse_word(sifted, "_total", TOTALS, "accurate"),
        pretty=parse_word(sifted, "_pretty", ("true", "false"), "false") == "true",
        self_pairs=with_values(sifted.pairs, honoured) if honoured else sifted.pairs,
    )


def _count(sifted: Sifted) -> int:
    text = sifted.one("_count", "")
    if not text:
        return DEFAULT_COUNT
    if not (text.isascii() and text.isdigit()):
        raise InvalidQuery("_count is a whole number, 0 or more")
    return int(text)


def _elements(sifted: Sifted, table: SearchTable, strict: bool) -> tuple[str, ...]:
    text = sifted.one("_elements", "")
    if not text:
        return ()
    named = [name.strip().removeprefix(f"{table.resource_type}.") for name in text.split(",")]
    known = tuple(dict.fromkeys(name for name in named if name in table.elements))
    if strict and not table.elements.issuperset(named):
        raise InvalidQuery(f"_elements names something that is no top-level element of {table.resource_type}")
    return known


def parse_word(sifted: Sifted, name: str, words: tuple[W, ...], default: W) -> W:
    """The one of `words` that the parameter states; `default` where it states none. Raises InvalidQuery."""
    text = sifted.one(name, "")
    if not text:
        return default
    for word in words:
        if word == text:
            return word
    raise InvalidQuery(f"{name} is one of " + ", ".join(words))
