"""A person of the index as one R4 Patient, composed of the source records that the caller may know of."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from gateway.fhir.meta import meta_of
from gateway.model import PatientID, SourceRecord
from gateway.mpi.demographics import fold
from gateway.mpi.patient_query import MOTHERS_MAIDEN_NAME, mothers_maiden_names

SourcePatient = tuple[SourceRecord, Mapping[str, Any]]
"""A source record, and the FHIR Patient its domain sent."""

_PDQM = "https://profiles.ihe.net/ITI/PDQm/StructureDefinition/IHE.PDQm"
PDQM_PATIENT = f"{_PDQM}.Patient"
PDQM_FOUND = f"{_PDQM}.QueryPatientResourceResponseMessage"
PDQM_MATCHED = f"{_PDQM}.MatchParametersOut"
_LISTS = ("name", "telecom", "address")
_DEMOGRAPHICS = (
    *("gender", "birthDate", "deceasedBoolean", "deceasedDateTime", "maritalStatus"),
    *("multipleBirthBoolean", "multipleBirthInteger", "communication"),
)
_OF_NO_MATTER = frozenset(("use", "rank", "period"))
"""What does not make another name, contact or address of one that is told already."""
_NOT_PASSED_ON = frozenset(("extension", "modifierExtension", "id", "reference", "assigner"))
"""What only means something in the record it is from, or that nobody here has understood."""


def to_patient(person: PatientID, records: Sequence[SourcePatient], fhir_base: str) -> dict[str, Any]:
    """The Patient `person`, of at least one record: every record's identifiers, names, contacts and addresses, each
    once and the newest first, and for the rest the demographics of the record that was updated last.

    Nothing of a record that isn't given is in it, its being there included: `meta.lastUpdated` is of these records
    alone. References, extensions and contained resources stay behind.
    """
    ordered = sorted(records, key=_recency, reverse=True)
    latest = ordered[0][1]
    resource: dict[str, Any] = {
        "resourceType": "Patient",
        "id": person,
        "meta": meta_of(max(max(record.updated_at, record.linked_at) for record, _ in records), fhir_base),
        "identifier": _identifiers(ordered),
        "active": any(patient.get("active", True) for _, patient in records),
    }
    for element in _LISTS:
        if told := _once(_plain([one for _, patient in ordered for one in patient.get(element) or ()])):
            resource[element] = told
    for element in _DEMOGRAPHICS:
        value = _plain(latest.get(element))
        if value not in _NOTHING:
            resource[element] = value
    for _, patient in ordered:
        if maiden := next(mothers_maiden_names(patient), None):
            resource.setdefault("extension", [{"url": MOTHERS_MAIDEN_NAME, "valueString": maiden}])
    if _is_pdqm(resource):
        resource["meta"]["profile"] = [PDQM_PATIENT]
    return resource


def _once(values: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    told: dict[str, dict[str, Any]] = {}
    for value in values:
        said = {name: part for name, part in value.items() if name not in _OF_NO_MATTER}
        told.setdefault(fold(orjson.dumps(said, option=orjson.OPT_SORT_KEYS).decode()), value)
    return list(told.values())


def with_profile(bundle: dict[str, Any], profile: str) -> dict[str, Any]:
    """`bundle` says that it keeps `profile` (of IHE PDQm), where each of its Patients keeps theirs."""
    patients = [one["resource"] for one in bundle.get("entry", ()) if one["resource"]["resourceType"] == "Patient"]
    if all(PDQM_PATIENT in one["meta"].get("profile", ()) for one in patients):
        bundle["meta"]["profile"] = [profile]
    return bundle


def _is_pdqm(resource: Mapping[str, Any]) -> bool:
    """Whether it keeps the PDQm Patient profile: identifiers with their system, names that say something."""
    return all(one.get("system") for one in resource["identifier"]) and all(
        not {"family", "given", "text"}.isdisjoint(name) for name in resource.get("name", ())
    )


def _recency(source: SourcePatient) -> tuple[datetime, str, str]:
    record = source[0]
    return record.updated_at, record.identifier.system, record.identifier.value


def _identifiers(records: Iterable[SourcePatient]) -> list[dict[str, Any]]:
    """Each record's own identifier first, then what else it lists, each system and value once."""
    own = [{"use": "usual", "system": r.identifier.system, "value": r.identifier.value} for r, _ in records]
    others = [_plain(one) for _, patient in records for one in patient.get("identifier") or ()]
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for identifier in [*own, *others]:
        value = identifier.get("value", "").strip()
        if value:
            found.setdefault((identifier.get("system", ""), value), identifier | {"value": value})
    return list(found.values())


_NOTHING: tuple[Any, ...] = (None, "", {}, [])


def _plain(value: Any) -> Any:
    """The value without what isn't passed on, and without what is empty then."""
    if isinstance(value, dict):
        kept = {
            name: _plain(part)
            for name, part in value.items()
            if name not in _NOT_PASSED_ON and not name.startswith("_")
        }
        return {name: part for name, part in kept.items() if part not in _NOTHING}
    if isinstance(value, list):
        return [part for one in value if (part := _plain(one)) not in _NOTHING]
    return value
