"""Values of search parameters: alternatives, escapes, tokens, references."""

import pytest

from gateway.errors import InvalidQuery
from gateway.model import Identifier, Token
from gateway.search_values import (
    MOST_ALTERNATIVES,
    parse_dates,
    parse_identifier,
    parse_ids,
    parse_reference,
    parse_references,
    parse_strings,
    parse_tokens,
)

BASE = "https://gateway.example/fhir/r4"


@pytest.mark.parametrize(
    ("value", "tokens"),
    [
        ("CT", (Token(None, "CT"),)),
        ("CT,MR", (Token(None, "CT"), Token(None, "MR"))),
        ("urn:s|CT", (Token("urn:s", "CT"),)),
        ("|CT", (Token("", "CT"),)),
        ("urn:s|", (Token("urn:s", None),)),
        ("urn:s|A,|B,C", (Token("urn:s", "A"), Token("", "B"), Token(None, "C"))),
        (r"A\,B", (Token(None, "A,B"),)),
        (r"A\,B,C", (Token(None, "A,B"), Token(None, "C"))),
        (r"a\|b", (Token(None, "a|b"),)),
        (r"urn:s|a\|b", (Token("urn:s", "a|b"),)),
        (r"urn:s\|t|b", (Token("urn:s|t", "b"),)),
        (r"a\$b", (Token(None, "a$b"),)),
        (r"a\\,b", (Token(None, "a\\"), Token(None, "b"))),
        (r"a\\\,b", (Token(None, "a\\,b"),)),
        (r"a\nb", (Token(None, r"a\nb"),)),
        ("a\\", (Token(None, "a\\"),)),
    ],
)
def test_a_token_is_a_code_within_a_system(value: str, tokens: tuple[Token, ...]) -> None:
    """All four forms, OR by commas, and the escapes of FHIR R4 search §3.1.1.5."""
    assert parse_tokens(value, "modality") == tokens


@pytest.mark.parametrize("value", ["|", "a|b|c", "a,|"])
def test_a_token_with_nothing_or_too_much_in_it_is_refused(value: str) -> None:
    """Neither a lone bar nor two bars say what is meant."""
    with pytest.raises(InvalidQuery, match="modality is a token"):
        parse_tokens(value, "modality")


@pytest.mark.parametrize("value", ["CT,", ",CT", "CT,,MR", ","])
def test_an_empty_alternative_is_refused(value: str) -> None:
    """It would mean everything or nothing; the caller hears of it."""
    with pytest.raises(InvalidQuery, match="empty alternative"):
        parse_tokens(value, "modality")


def test_t117b_more_than_fifty_alternatives_are_refused() -> None:
    """Fifty are read, one more isn't."""
    assert len(parse_tokens(",".join(["CT"] * MOST_ALTERNATIVES), "modality")) == MOST_ALTERNATIVES
    with pytest.raises(InvalidQuery, match="more than 50"):
        parse_tokens(",".join(["CT"] * (MOST_ALTERNATIVES + 1)), "modality")


@pytest.mark.parametrize("value", ["Patient/p-1.A", "p-1.A", f"{BASE}/Patient/p-1.A"])
def test_a_reference_is_an_id_or_one_of_ours(value: str) -> None:
    """Bare id, relative and absolute reference name the same."""
    assert parse_reference(value, "patient", "Patient", BASE) == "p-1.A"


@pytest.mark.parametrize(
    "value",
    [
        *("Group/1", "https://other.example/fhir/Patient/1", "Patient/1/_history/2", "Patient/", "'", "a b", "x" * 65),
        *("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "<script>", "..%2f", "Patient/Patient/1", "pätient"),
    ],
)
def test_t117c_anything_else_is_no_reference_of_this_server(value: str) -> None:
    """Foreign servers, other types, versions and junk are refused without being echoed."""
    with pytest.raises(InvalidQuery) as refused:
        parse_reference(value, "patient", "Patient", BASE)

    assert refused.value.reason == "patient is not an id or a reference of this server"


def test_two_references_are_not_one() -> None:
    """A list where one is meant is refused; where many may be meant it is an OR."""
    with pytest.raises(InvalidQuery, match="exactly one"):
        parse_reference("a,b", "patient", "Patient", BASE)
    assert parse_references("Endpoint/a,b", "endpoint", "Endpoint", BASE) == ("a", "b")


@pytest.mark.parametrize("value", ["123", "|123", "urn:s|", "urn:s|1,urn:s|2"])
def test_an_identifier_needs_both_its_parts_and_stands_alone(value: str) -> None:
    """A number without its system is somebody else's number at the next hospital."""
    with pytest.raises(InvalidQuery):
        parse_identifier(value, "patient.identifier")


def test_an_identifier_may_hold_escaped_signs() -> None:
    """Escapes are undone in both parts."""
    assert parse_identifier(r"urn:s|a\,b\|c", "identifier") == Identifier("urn:s", "a,b|c")


def test_ids_dates_and_strings_are_lists_too() -> None:
    """Comma is OR for every kind."""
    assert parse_ids("a,b", "_id") == ("a", "b")
    assert parse_strings(r"St. Mary\, North,South", "name") == ("St. Mary, North", "South")
    assert [bound.prefix for bound in parse_dates("ge2024,lt2020", "started")] == ["ge", "lt"]
    with pytest.raises(InvalidQuery):
        parse_ids("a,b c", "_id")
