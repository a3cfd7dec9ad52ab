"""A person of the index as one R4 Patient, composed of the source records that the caller may know of."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from gateway.fhir.meta import meta_of
from gateway.model import PatientID, SourceRecord

SourcePatient = tuple[SourceRecord, Mapping[str, Any]]
"""A source record, and the FHIR Patient its domain sent."""

_DEMOGRAPHICS = (
    *("name", "telecom", "gender", "birthDate", "deceasedBoolean", "deceasedDateTime", "address", "maritalStatus"),
    *("multipleBirthBoolean", "multipleBirthInteger", "communication"),
)
_NOT_PASSED_ON = frozenset(("extension", "modifierExtension", "id", "reference", "assigner"))
"""What only means something in the record it is from, or that nobody here has understood."""


def to_patient(person: PatientID, records: Sequence[SourcePatient], fhir_base: str) -> dict[str, Any]:
    """The Patient `person`, of at least one record: every record's identifiers, each once, and the demographics of the
    record that was updated last.

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
    for element in _DEMOGRAPHICS:
        value = _plain(latest.get(element))
        if value not in _NOTHING:
            resource[element] = value
    return resource


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
