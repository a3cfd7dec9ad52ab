"""Searches on Patient, Endpoint and Organization."""

import pytest

from gateway.errors import InvalidQuery, UnsupportedParameter
from gateway.fhir.directory import facilities_found
from gateway.fhir.patient_search_params import PatientSearch, parse_patient_search
from gateway.fhir.query_string import read_pairs
from gateway.fhir.search_params import DirectoryType, parse_directory_search
from gateway.model import Facility, FacilityID, Token
from gateway.mpi.patient_query import STRING_FIELDS, Text

BASE = "https://gateway.example/fhir/r4"
NORTH = Facility(id=FacilityID("north"), name="Hôpital du Nord", identifier_system="urn:oid:1")
SOUTH = Facility(id=FacilityID("south"), name="South Clinic", identifier_system="urn:oid:2", suspended=True)


def _found(query: str, kind: DirectoryType = "Endpoint") -> list[str]:
    search = parse_directory_search(read_pairs(query), kind, strict=False, path_base=BASE)
    return [facility.id for facility in facilities_found(search, [SOUTH, NORTH])]


def _patient(query: str, *, strict: bool = False) -> PatientSearch:
    return parse_patient_search(read_pairs(query), strict=strict, path_base=BASE)


def test_a_patient_is_asked_for_by_identifiers_and_ids() -> None:
    """Comma is OR, repetition AND; an identifier with its system, or in any."""
    assert _patient("identifier=urn:s%7C1,2&identifier=urn:t%7C3").query.identifiers == (
        (Token("urn:s", "1"), Token(None, "2")),
        (Token("urn:t", "3"),),
    )
    assert _patient(f"_id=p1,Patient/p2&_id={BASE}/Patient/p1").query.ids == (("p1", "p2"), ("p1",))


def test_systems_alone_say_which_identifiers_are_told() -> None:
    """By `identifier=system|` or `targetSystem`; not where an alternative asks for somebody."""
    assert _patient("identifier=urn:s%7C,urn:t%7C").query.domains == {"urn:s", "urn:t"}
    assert _patient("targetSystem=urn:s&targetSystem=urn:t").query.domains == {"urn:s", "urn:t"}
    assert _patient("identifier=urn:s%7C,urn:t%7C1").query.domains == set()


def test_strings_are_beginnings_or_exact() -> None:
    """`:exact` of each; both spellings side by side are an AND."""
    for name in STRING_FIELDS:
        asked = _patient(f"{name}=A,B&{name}:exact=C").query.described.strings[name]
        assert asked == ((Text("A"), Text("B")), (Text("C", exact=True),))


def test_whether_active_is_a_truth() -> None:
    """With or without its system."""
    assert _patient("active=true,false").query.described.active == ((True, False),)
    system = "http://terminology.hl7.org/CodeSystem/special-values"
    assert _patient(f"active={system}%7Ctrue").query.described.active == ((True,),)


@pytest.mark.parametrize(
    "query",
    [
        *("", "identifier=", "_id='", "foo=bar", "family=-", "given:exact=.", "telecom=%2B", "active=yes"),
        *("birthdate=1980-13-01", "family=a,", "_sort=family&_sort=given", "active=urn:x%7Ctrue"),
    ],
)
def test_a_patient_search_that_asks_for_nobody_or_cannot_be_understood_is_refused(query: str) -> None:
    """Nothing is widened to everybody."""
    with pytest.raises(InvalidQuery):
        _patient(query)


def test_the_order_of_patients_is_asked_for_by_known_keys() -> None:
    """Names and birth date unless said; the first of equal keys counts."""
    assert _patient("_id=p1").sort == (("family", False), ("given", False), ("birthdate", False))
    assert _patient("_id=p1&_sort=-birthdate,family,birthdate").sort == (("birthdate", True), ("family", False))
    with pytest.raises(UnsupportedParameter):
        _patient("_id=p1&_sort=phone")


def test_other_parameters_of_patient_are_ignored_or_refused() -> None:
    """Lenient: left out of `self`; strict: 400; includes and other modifiers: 400 always."""
    assert _patient("_id=p1&deceased=true").self_pairs == (("_id", "p1"),)
    for query, strict in (
        ("_id=p1&deceased=true", True),
        ("_id=p1&_include=x", False),
        ("identifier:of-type=x", False),
        ("family:contains=x", False),
        ("gender:not=male", False),
        ("birthdate:missing=true", False),
    ):
        with pytest.raises(UnsupportedParameter):
            _patient(query, strict=strict)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["north", "south"]),
        ("_id=north", ["north"]),
        ("_id=north,south&_id=south", ["south"]),
        ("_id=east", []),
        ("name=south", ["south"]),
        ("name=HOPITAL", ["north"]),
        ("name=h%C3%B4p,sou", ["north", "south"]),
        ("name=clinic", []),
        ("organization=Organization/south", ["south"]),
        (f"organization={BASE}/Organization/north", ["north"]),
        ("status=active", ["north"]),
        ("status=http://hl7.org/fhir/endpoint-status%7Csuspended", ["south"]),
        ("status=http://hl7.org/fhir/endpoint-status%7C", ["north", "south"]),
        ("status=urn:other%7Cactive", []),
        ("status=%7Cactive", []),
    ],
)
def test_the_directory_is_searched(query: str, found: list[str]) -> None:
    """By id, beginning of the name, organization and status, in id order."""
    assert _found(query) == found


def test_an_organization_has_fewer_parameters() -> None:
    """What Organization doesn't have is ignored, and refused when strict."""
    assert _found("status=suspended&name=so", "Organization") == ["south"]
    with pytest.raises(UnsupportedParameter):
        parse_directory_search([("status", "active")], "Organization", strict=True, path_base=BASE)
