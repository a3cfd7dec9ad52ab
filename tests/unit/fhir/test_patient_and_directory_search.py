"""Searches on Patient, Endpoint and Organization."""

import pytest

from gateway.errors import InvalidQuery, UnsupportedParameter
from gateway.fhir.directory import facilities_found
from gateway.fhir.query_string import read_pairs
from gateway.fhir.search_params import DirectoryType, parse_directory_search, parse_patient_search
from gateway.model import Facility, FacilityID, Identifier

BASE = "https://gateway.example/fhir/r4"
NORTH = Facility(id=FacilityID("north"), name="Hôpital du Nord", identifier_system="urn:oid:1")
SOUTH = Facility(id=FacilityID("south"), name="South Clinic", identifier_system="urn:oid:2", suspended=True)


def _found(query: str, kind: DirectoryType = "Endpoint") -> list[str]:
    search = parse_directory_search(read_pairs(query), kind, strict=False, path_base=BASE)
    return [facility.id for facility in facilities_found(search, [SOUTH, NORTH])]


def test_a_patient_is_found_by_identifier_or_id() -> None:
    """Either, or both; both then hold."""
    assert parse_patient_search(read_pairs("identifier=urn:s%7C1"), strict=False).identifier == Identifier("urn:s", "1")
    assert parse_patient_search(read_pairs("_id=p1"), strict=False).id == "p1"
    both = parse_patient_search(read_pairs("_id=p1&identifier=urn:s%7C1"), strict=False)
    assert (both.id, both.identifier) == ("p1", Identifier("urn:s", "1"))


@pytest.mark.parametrize(
    "query",
    [
        *("", "family=x", "identifier=1", "identifier=", "identifier=s%7C1,s%7C2", "_id=a,b", "_id=a&_id=b", "_id='"),
        "identifier=s%7C1&identifier=s%7C2",
    ],
)
def test_a_patient_search_that_could_mean_several_is_refused(query: str) -> None:
    """One identifier with its system, or one id."""
    with pytest.raises(InvalidQuery):
        parse_patient_search(read_pairs(query), strict=False)


def test_other_parameters_of_patient_are_ignored_or_refused() -> None:
    """Lenient: left out of `self`; strict: 400; includes and modifiers: 400 always."""
    search = parse_patient_search(read_pairs("_id=p1&birthdate=2000"), strict=False)
    assert search.self_pairs == (("_id", "p1"),)
    for query, strict in (
        ("_id=p1&birthdate=2000", True),
        ("_id=p1&_include=x", False),
        ("identifier:of-type=x", False),
    ):
        with pytest.raises(UnsupportedParameter):
            parse_patient_search(read_pairs(query), strict=strict)


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
