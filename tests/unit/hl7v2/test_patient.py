"""The FHIR Patient that a PID states."""

from typing import Any

import pytest

from gateway.hl7v2.message import Segment, read_message
from gateway.hl7v2.patient import MOTHERS_MAIDEN_NAME, SSN, moved_to, own_identifier, to_patient
from gateway.hl7v2.refusal import MessageRefused
from gateway.model import Facility, FacilityID, Identifier
from gateway.mpi.fhir_patient import read_patient

NORTH = Facility(id=FacilityID("north"), name="North", identifier_system="urn:oid:1.2.3", issuer="NTH")
DOMAINS = frozenset(("urn:oid:1.2.4",))


def a_segment(text: str) -> Segment:
    """The one segment after a header."""
    ((_, segment),) = read_message(f"MSH|^~\\&|||||||ADT^A08|1|P|2.5\r{text}".encode()).named("PID", "MRG")
    return segment


def patient_of(text: str) -> dict[str, Any]:
    """The Patient of a PID, which the index would take in."""
    patient = to_patient(a_segment(text), NORTH, DOMAINS)
    read_patient(patient, DOMAINS | {NORTH.identifier_system})
    return patient


@pytest.mark.parametrize(
    "authority", ["", "^^^NTH", "^^^north", "^^^&1.2.3&ISO", "^^^X&1.2.3&ISO", "^^^&urn:oid:1.2.3&URI"]
)
def test_the_own_domain_is_told_by_name_or_oid_or_nothing(authority: str) -> None:
    """CX.4: namespace, or universal id."""
    assert own_identifier(a_segment(f"PID|||77{authority}"), 3, NORTH) == Identifier("urn:oid:1.2.3", "77")


@pytest.mark.parametrize("field", ["", "^^^NTH", "77^^^OTHER", "77^^^&9.9&ISO", "77~78"])
def test_it_takes_exactly_one_identifier_of_the_own_domain(field: str) -> None:
    """None, or two of them, is an error in what the message says."""
    with pytest.raises(MessageRefused) as refused:
        own_identifier(a_segment(f"PID|||{field}"), 3, NORTH)

    assert refused.value.answer == "AE"


def test_other_identifiers_come_along_but_those_of_other_facilities() -> None:
    """By OID, URI or UUID; a namespace that nobody knows names no system."""
    listed = "77~N1^^^&9.9&ISO~U1^^^&http://x.example/id&URI~S1^^^&1.2.4&ISO~Q^^^UNKNOWN"
    patient = patient_of(f"PID|||{listed}||Fam^Giv{'|' * 14}123-45-6789")

    assert [(one["system"], one["value"]) for one in patient["identifier"]] == [
        ("urn:oid:1.2.3", "77"),
        ("urn:oid:9.9", "N1"),
        ("http://x.example/id", "U1"),
        (SSN, "123-45-6789"),
    ]


def test_names_addresses_and_contacts_keep_their_uses() -> None:
    """Legal and maiden name, home and old address, phone, mobile and e-mail."""
    patient = patient_of(
        "PID|||77||Fam&von^Giv^Mid Third^Jr^Dr^^L~Born^^^^^^M|Maiden^Ma|19800203|M|||"
        "1 Way^Flat 2^Town^ZH^8000^CH^H~9 Old^^Ville^^^^BA||"
        "+41 1^PRN^PH~+41 79^PRN^CP~^NET^Internet^a@b.example|+41 2||M"
    )

    assert patient["name"] == [
        {"use": "official", "family": "Fam", "given": ["Giv", "Mid", "Third"], "suffix": ["Jr"], "prefix": ["Dr"]},
        {"use": "maiden", "family": "Born"},
    ]
    assert patient["extension"] == [{"url": MOTHERS_MAIDEN_NAME, "valueString": "Maiden"}]
    assert [one["use"] for one in patient["address"]] == ["home", "old"]
    assert patient["address"][0]["line"] == ["1 Way", "Flat 2"]
    assert [(one["system"], one["value"], one["use"]) for one in patient["telecom"]] == [
        ("phone", "+41 1", "home"),
        ("phone", "+41 79", "mobile"),
        ("email", "a@b.example", "home"),
        ("phone", "+41 2", "work"),
    ]
    assert patient["maritalStatus"]["coding"][0]["code"] == "M"


@pytest.mark.parametrize(
    ("written", "date"),
    [("1980", "1980"), ("198002", "1980-02"), ("19800203", "1980-02-03"), ("198002031530", "1980-02-03")],
)
def test_birth_dates_are_as_precise_as_they_are_known(written: str, date: str) -> None:
    """Year, month, day; the time of day is left out."""
    assert patient_of(f"PID|||77||Fam^Giv||{written}|F")["birthDate"] == date


def test_what_is_not_said_is_not_there() -> None:
    """A PID with an identifier alone."""
    assert patient_of("PID|||77") == {
        "resourceType": "Patient",
        "identifier": [{"system": "urn:oid:1.2.3", "value": "77"}],
        "active": True,
    }


def test_a_changed_identifier_keeps_what_was_known() -> None:
    """What the message says counts first; the old own identifier goes, others stay."""
    old = patient_of("PID|||77~N1^^^&9.9&ISO||Fam^Giv||19800203|F") | {"link": [{"type": "seealso"}]}
    moved = moved_to(old, patient_of("PID|||78||Other^Giv"), NORTH)

    assert [one["value"] for one in moved["identifier"]] == ["78", "N1"]
    assert (moved["name"][0]["family"], moved["birthDate"]) == ("Other", "1980-02-03")
    assert "link" not in moved
