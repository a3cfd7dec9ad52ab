"""A Patient is composed of the permitted source records, and betrays no other."""

import json
from datetime import timedelta
from typing import Any

import fhirkit
import pytest
from fhir.resources.R4B.patient import Patient

from gateway.fhir.patient import PDQM_PATIENT, SourcePatient, to_patient
from gateway.model import Identifier
from gateway.mpi.patient_query import MOTHERS_MAIDEN_NAME
from tests.factories import NOON, PERSON, a_facility, a_source_record

BASE = "https://gateway.example/fhir/r4"
NORTH, SOUTH = a_facility("north"), a_facility("south")
SSN = {"system": "http://hl7.org/fhir/sid/us-ssn", "value": "000-00-0001"}


def a_record(facility: Any, value: str, days_old: int, **patient: Any) -> SourcePatient:
    """A facility's record, updated so many days ago, with the Patient it sent."""
    record = a_source_record(facility, value, updated_at=NOON - timedelta(days=days_old))
    own = {"system": facility.identifier_system, "value": value}
    return record, {"resourceType": "Patient", "identifier": [own], **patient}


OLD = a_record(NORTH, "N-1", 9, name=[{"family": "Nordqvist"}], gender="female", birthDate="1961-02-03")
NEW = a_record(SOUTH, "S-1", 2, name=[{"family": "Nordqvist-Meyer", "given": ["Anna"]}], maritalStatus={"text": "M"})


def composed(*records: SourcePatient) -> dict[str, Any]:
    """The Patient, valid by fhir.resources and fhirkit."""
    resource = to_patient(PERSON, records, BASE)
    Patient.model_validate(resource)
    assert [issue for issue in fhirkit.validate(json.dumps(resource)) if issue.severity == "error"] == []
    return resource


def test_identifiers_and_names_are_of_all_records_and_other_demographics_of_the_newest() -> None:
    """In either order of records; the newest record's names come first."""
    patient = composed(OLD, NEW)

    assert patient == composed(NEW, OLD)
    assert (patient["resourceType"], patient["id"], patient["active"]) == ("Patient", PERSON, True)
    assert [(one["system"], one["value"]) for one in patient["identifier"]] == [
        (SOUTH.identifier_system, "S-1"),
        (NORTH.identifier_system, "N-1"),
    ]
    assert patient["name"] == [{"family": "Nordqvist-Meyer", "given": ["Anna"]}, {"family": "Nordqvist"}]
    assert patient["maritalStatus"] == {"text": "M"}
    assert "birthDate" not in patient
    assert "gender" not in patient


def test_a_record_that_is_not_given_leaves_no_trace() -> None:
    """Neither identifier nor name nor time: exactly as if it didn't exist."""
    assert composed(OLD)["meta"]["lastUpdated"] == "2026-11-15T12:00:00.000Z"
    assert "S-1" not in json.dumps(composed(OLD))
    assert SOUTH.identifier_system not in json.dumps(composed(OLD))


def test_meta_is_of_the_gateway_and_the_newest_record() -> None:
    """A link may be newer than the record."""
    linked = (a_source_record(NORTH, "N-1", linked_at=NOON), OLD[1])

    assert composed(OLD, NEW)["meta"] == {
        "lastUpdated": "2026-11-22T12:00:00.000Z",
        "source": BASE,
        "profile": [PDQM_PATIENT],
        "security": composed(OLD)["meta"]["security"],
    }
    assert composed(linked, NEW)["meta"]["lastUpdated"] == "2026-11-24T12:00:00.000Z"


def test_each_identifier_is_told_once() -> None:
    """However many records list it, and with whatever white space."""
    spaced = {"system": SSN["system"], "value": " 000-00-0001 "}
    first = a_record(NORTH, "N-1", 1, identifier=[SSN, {"system": NORTH.identifier_system, "value": "N-1"}])
    second = a_record(SOUTH, "S-1", 2, identifier=[spaced, {"system": "urn:oid:1.2"}, {"value": "loose"}])

    assert [(one.get("system"), one["value"]) for one in composed(first, second)["identifier"]] == [
        (NORTH.identifier_system, "N-1"),
        (SOUTH.identifier_system, "S-1"),
        (SSN["system"], "000-00-0001"),
        (None, "loose"),
    ]


def test_each_name_contact_and_address_is_told_once() -> None:
    """However it is spelled; what else it says of its use makes no other of it."""
    first = a_record(
        NORTH,
        "N-1",
        1,
        name=[{"family": "Nordqvist", "given": ["Anna"], "use": "official"}],
        telecom=[{"system": "phone", "value": "044 765 43 21"}],
        address=[{"city": "Zürich"}],
    )
    second = a_record(
        SOUTH,
        "S-1",
        2,
        name=[{"family": "NORDQVIST", "given": ["Anna"]}, {"family": "Holm", "given": ["Anna"], "use": "maiden"}],
        telecom=[{"system": "phone", "value": "044-765-43-21"}, {"system": "email", "value": "a@example.org"}],
        address=[{"city": "Zurich"}, {"city": "Basel", "use": "old"}],
    )
    patient = composed(second, first)

    assert [one["family"] for one in patient["name"]] == ["Nordqvist", "Holm"]
    assert [one["value"] for one in patient["telecom"]] == ["044 765 43 21", "a@example.org"]
    assert [one["city"] for one in patient["address"]] == ["Zürich", "Basel"]


def test_the_mothers_maiden_name_is_passed_on() -> None:
    """IHE PDQm §2:3.78.4.2.2.2: where it is known it is told."""
    extension = {"url": MOTHERS_MAIDEN_NAME, "valueString": "Holm"}
    old = a_record(NORTH, "N-1", 9, extension=[{"url": "urn:x", "valueBoolean": True}, extension])

    assert composed(old, NEW)["extension"] == [extension]
    assert "extension" not in composed(NEW)


def test_the_pdqm_profile_is_claimed_where_it_is_kept() -> None:
    """Each identifier with its system, each name with something in it."""
    loose = a_record(NORTH, "N-1", 1, identifier=[{"value": "loose"}])
    nameless = a_record(NORTH, "N-1", 1, name=[{"use": "official"}])

    assert composed(NEW)["meta"]["profile"] == [PDQM_PATIENT]
    assert "profile" not in composed(loose)["meta"]
    assert "profile" not in composed(nameless)["meta"]


def test_what_only_means_something_at_its_source_stays_there() -> None:
    """References lead nowhere here; extensions and contained resources nobody has understood."""
    junk = a_record(
        NORTH,
        "N-1",
        1,
        id="local-7",
        meta={"security": [{"code": "R"}]},
        text={"status": "generated", "div": "<div xmlns='http://www.w3.org/1999/xhtml'>Nordqvist</div>"},
        contained=[{"resourceType": "Organization", "id": "o"}],
        extension=[{"url": "http://north.example/vip", "valueBoolean": True}],
        managingOrganization={"reference": "#o"},
        generalPractitioner=[{"reference": "Practitioner/1"}],
        link=[{"other": {"reference": "Patient/8"}, "type": "seealso"}],
        photo=[{"url": "http://north.example/photo"}],
        contact=[{"name": {"family": "Meyer"}}],
        _birthDate={"extension": [{"url": "http://north.example/time", "valueString": "x"}]},
        birthDate="1961-02-03",
        name=[{"family": "Nordqvist", "_family": {"id": "f"}, "extension": [{"url": "http://x.example"}]}],
        address=[{"extension": [{"url": "http://x.example", "valueString": "y"}]}],
        telecom=[],
        deceasedBoolean=False,
        identifier=[
            {
                "system": NORTH.identifier_system,
                "value": "N-1",
                "assigner": {"reference": "Organization/9"},
            },
            SSN | {"assigner": {"display": "SSA"}, "type": {"text": "SSN", "extension": []}},
        ],
    )

    patient = composed(junk)

    assert {name: patient[name] for name in patient if name not in ("meta", "resourceType", "id", "active")} == {
        "identifier": [
            {"use": "usual", "system": NORTH.identifier_system, "value": "N-1"},
            SSN | {"type": {"text": "SSN"}},
        ],
        "name": [{"family": "Nordqvist"}],
        "birthDate": "1961-02-03",
        "deceasedBoolean": False,
    }
    assert composed(junk)["meta"]["security"][0]["code"] == "N"


def test_a_person_is_active_while_any_record_is() -> None:
    """An old number that was retired doesn't end the person."""
    retired = a_record(NORTH, "N-1", 1, active=False)

    assert composed(retired)["active"] is False
    assert composed(retired, NEW)["active"] is True


def test_equally_new_records_are_told_apart_by_their_identifiers() -> None:
    """The same answer every time."""
    one, other = a_record(NORTH, "N-1", 1, gender="female"), a_record(NORTH, "N-2", 1, gender="male")

    assert composed(one, other) == composed(other, one)
    assert composed(one, other)["gender"] == "male"


@pytest.mark.integration
def test_an_independent_validator_finds_nothing_wrong(fhir_validator: Any) -> None:
    """Google's R4 types, with required codes."""
    assert fhir_validator.problems(composed(OLD, NEW)) == []


def test_the_own_identifier_is_the_one_the_record_is_known_by() -> None:
    """`SourceRecord.identifier`, whatever the resource says besides."""
    record = a_source_record(NORTH, "N-1")

    assert record.identifier == Identifier(NORTH.identifier_system, "N-1")
    assert composed((record, {"resourceType": "Patient"}))["identifier"] == [
        {"use": "usual", "system": NORTH.identifier_system, "value": "N-1"}
    ]
