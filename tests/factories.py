"""The values that rooms pass to one another, ready made: plain functions, every field open to change."""

from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.deadline import Deadline
from gateway.imaging.study import SourceStudy
from gateway.model import (
    ClientID,
    Demographics,
    Facility,
    FacilityID,
    Identifier,
    LocalPatientID,
    PatientID,
    PatientIdentity,
    Requester,
    SourceRecord,
    StudyUID,
)

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
PERSON = PatientID("5e2f7a54-7c0b-4f6e-9b9e-0d6a2c1f4b11")


def a_facility(id_: str = "north", **changes: Any) -> Facility:
    """A DICOMweb facility of that id, with a domain of its own."""
    known = {
        "id": FacilityID(id_),
        "name": f"{id_.title()} Hospital",
        "identifier_system": f"urn:oid:2.25.{sum(id_.encode())}",
        "issuer": id_.upper(),
        "query_url": f"http://127.0.0.1:9/{id_}",
        "link_url": f"https://pacs.{id_}.example/dicom-web",
    }
    return Facility(**{**known, **changes})


def a_requester(**changes: Any) -> Requester:
    """An EHR that may search imaging for treatment."""
    known = {
        "client_id": ClientID("ehr"),
        "client_name": "Lakeside EHR",
        "organization": "lakeside",
        "scopes": ("system/ImagingStudy.rs", "system/Patient.rs"),
        "purposes": ("TREAT",),
        "issuer": "https://gateway.example",
        "subject": "ehr",
        "token_id": "token-1",
        "expires_at": NOON + timedelta(minutes=5),
    }
    return Requester(**{**known, **changes})


def a_source_record(facility: Facility, value: str = "MRN-1", record_id: int = 1, **changes: Any) -> SourceRecord:
    """The facility's record of a patient it knows by `value`."""
    known = {
        "record_id": record_id,
        "identifier": Identifier(facility.identifier_system, value),
        "demographics": Demographics(family=("Müller",), given=("Jürgen",), birth_date="1952-03-14", sex="male"),
        "linked_at": NOON - timedelta(days=30),
        "updated_at": NOON - timedelta(days=30),
    }
    return SourceRecord(**{**known, **changes})


def a_patient(*facilities: Facility, id_: str = PERSON) -> PatientIdentity:
    """A person with one record at each facility, `MRN-1` at the first, `MRN-2` at the second and so on."""
    records = (a_source_record(facility, f"MRN-{n}", n) for n, facility in enumerate(facilities, 1))
    return PatientIdentity(id=PatientID(id_), records=tuple(records))


def a_source_study(facility: Facility, uid: str = "2.25.1", record_id: int = 1, **changes: Any) -> SourceStudy:
    """A CT study as the facility tells it of its record."""
    known = {
        "uid": StudyUID(uid),
        "facility": facility.id,
        "local_id": LocalPatientID(f"MRN-{record_id}"),
        "record_id": record_id,
        "modalities": ("CT",),
        "number_of_series": 1,
        "number_of_instances": 3,
    }
    return SourceStudy(**{**known, **changes})


def a_deadline(**span: float) -> Deadline:
    """A deadline far enough away, or as given (`seconds=0`: it has passed)."""
    return Deadline.after(timedelta(**span) if span else timedelta(seconds=30))
