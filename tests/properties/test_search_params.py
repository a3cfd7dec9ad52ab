"""Parsing a search: it never crashes, never widens, and its self link says what it did."""

from contextlib import suppress
from urllib.parse import quote

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import InvalidQuery, NotAcceptable
from gateway.fhir.json_in import read_json_object
from gateway.fhir.parameters import IMAGING_STUDY
from gateway.fhir.query_string import read_pairs, write_url
from gateway.fhir.search_params import parse_imaging_search
from gateway.model import Token
from gateway.search_dates import parse_date_bound
from gateway.search_values import parse_tokens

BASE = "https://gateway.example/fhir/r4"
NAMES = [*IMAGING_STUDY.by_spelling, "_has:x:y:z", "patient.name", "modality:not", "foo", "_include:iterate"]
DATE = (
    r"(ge|eb|)[0-9]{4}(-[0-9]{2}){0,2}"
    r"(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2}))?"
)
VALUES = [
    "",
    "a",
    "a,b",
    "urn:s|1",
    "Patient/p",
    "2024",
    "ge2024-05",
    "CT",
    "0",
    "10",
    "true",
    "json",
    "started",
    "\\,",
]
pairs_ = st.lists(
    st.tuples(st.sampled_from(NAMES) | st.text(max_size=8), st.sampled_from(VALUES) | st.text()), max_size=8
)


@given(pairs_, st.booleans())
@example([("patient", "p"), ("_elements", "status,nope"), ("_count", "999")], False)
def test_every_search_is_parsed_or_refused(pairs: list[tuple[str, str]], strict: bool) -> None:
    """No input ends in anything but a search about one patient or a refusal; honoured parameters say the same again."""
    with suppress(InvalidQuery, NotAcceptable):
        search = parse_imaging_search(pairs, strict=strict, path_base=BASE)
        assert (search.query.patient.id is None) != (search.query.patient.identifier is None)
        assert 1 <= search.count <= 200
        assert parse_imaging_search(search.self_pairs, strict=True, path_base=BASE) == search
        assert read_pairs(write_url("", search.self_pairs).removeprefix("?")) == search.self_pairs


@given(pairs_)
def test_a_strict_search_means_what_a_lenient_one_does(pairs: list[tuple[str, str]]) -> None:
    """Strict handling refuses more and changes nothing."""
    with suppress(InvalidQuery, NotAcceptable):
        search = parse_imaging_search(pairs, strict=True, path_base=BASE)
        assert parse_imaging_search(pairs, strict=False, path_base=BASE) == search


def _escaped(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "\\,|$" else letter for letter in text)


@given(st.lists(st.tuples(st.none() | st.text(), st.text(min_size=1)), min_size=1, max_size=5))
def test_escaped_tokens_read_as_they_were_meant(tokens: list[tuple[str | None, str]]) -> None:
    """Commas, bars, dollars and backslashes in systems and codes survive."""
    written = [_escaped(code) if system is None else f"{_escaped(system)}|{_escaped(code)}" for system, code in tokens]

    assert parse_tokens(",".join(written), "identifier") == tuple(Token(system, code) for system, code in tokens)


@given(st.from_regex(DATE, fullmatch=True) | st.text())
def test_every_date_is_an_interval_or_refused(value: str) -> None:
    """An interval has a length, and knows its zone."""
    with suppress(InvalidQuery):
        moment = parse_date_bound(value, "started").moment
        assert moment.start < moment.end
        assert moment.start.utcoffset() is not None
        assert moment.end.utcoffset() is not None


@given(st.text(), st.binary())
def test_every_query_string_and_every_body_is_read_or_refused(text: str, raw: bytes) -> None:
    """Neither bytes nor text crash the readers."""
    assert read_pairs(f"a={quote(text.encode('utf-8', 'replace'))}") == (
        ("a", text.encode("utf-8", "replace").decode()),
    )
    for body in (raw, text.encode("utf-8", "surrogatepass"), b'{"a":' + raw + b"}"):
        with suppress(InvalidQuery):
            read_pairs(body)
        with suppress(InvalidQuery):
            assert isinstance(read_json_object(body), dict)
