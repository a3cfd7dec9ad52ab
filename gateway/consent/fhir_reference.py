"""Whom a FHIR R4 Reference in a Consent names: a facility of the exchange, an actor, a patient. Pure.

A Reference names by `reference` (a relative or absolute URL) or by `identifier` (FHIR R4 §references); `display` names
nobody. Relative references are to this exchange: `Organization/{facility id}`, `Patient/{id}`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.model import Facility, FacilityID, Identifier, PatientID, PatientRef

URI_SYSTEM = "urn:ietf:rfc:3986"
"""The identifier system of identifiers that are URIs themselves (FHIR R4 §identifier registry)."""

FacilityNames = Mapping[str, FacilityID]
"""Each facility by everything a Reference may call it (`names_of_reference`)."""


def facility_names(facilities: Iterable[Facility], fhir_base: str = "") -> dict[str, FacilityID]:
    """Each facility by `Organization/{id}` and, where it is the only one in that domain, by its identifier system."""
    names: dict[str, FacilityID] = {}
    shared: set[str] = set()
    for facility in facilities:
        names[f"Organization/{facility.id}"] = facility.id
        if fhir_base:
            names[f"{fhir_base}/Organization/{facility.id}"] = facility.id
        if facility.identifier_system in names:
            shared.add(facility.identifier_system)
        names[facility.identifier_system] = facility.id
    return {name: facility for name, facility in names.items() if name not in shared}


def names_in(reference: Mapping[str, Any]) -> tuple[str, ...]:
    """Everything by which this Reference names its target: `Type/id`, a URL, `system|value`, or a URI identifier."""
    names: list[str] = []
    literal = reference.get("reference")
    if isinstance(literal, str) and literal and not literal.startswith("#"):
        names.append(literal.partition("/_history/")[0])
    identifier = _identifier_in(reference)
    if identifier is not None:
        plain = identifier.system in ("", URI_SYSTEM)
        names.append(identifier.value if plain else f"{identifier.system}|{identifier.value}")
    return tuple(names)


def type_of(reference: Mapping[str, Any]) -> str | None:
    """The resource type of the target, as its `type` or a relative `reference` states it."""
    stated = reference.get("type")
    if isinstance(stated, str) and stated:
        return stated
    literal = reference.get("reference")
    if isinstance(literal, str) and "/" in literal and ":" not in literal:
        return literal.partition("/")[0]
    return None


def facility_in(reference: Mapping[str, Any], names: FacilityNames) -> FacilityID | None:
    """The one facility that the Reference names, None where it names none or two different ones."""
    found = {names[name] for name in names_in(reference) if name in names}
    return found.pop() if len(found) == 1 else None


def patients_in(reference: Mapping[str, Any], fhir_base: str = "") -> tuple[PatientRef, ...]:
    """Each way in which the Reference names a patient: by the exchange's id, by an identifier with its system."""
    found: list[PatientRef] = []
    literal = reference.get("reference")
    if isinstance(literal, str):
        relative = literal.removeprefix(f"{fhir_base}/") if fhir_base else literal
        kind, _, rest = relative.partition("/_history/")[0].partition("/")
        if kind == "Patient" and rest and "/" not in rest:
            found.append(PatientRef(id=PatientID(rest)))
    identifier = _identifier_in(reference)
    if identifier is not None and identifier.system:
        found.append(PatientRef(identifier=identifier))
    return tuple(found)


def _identifier_in(reference: Mapping[str, Any]) -> Identifier | None:
    identifier = reference.get("identifier")
    if not isinstance(identifier, dict):
        return None
    system, value = identifier.get("system", ""), identifier.get("value")
    if not isinstance(value, str) or not isinstance(system, str) or not value:
        return None
    return Identifier(system, value)
