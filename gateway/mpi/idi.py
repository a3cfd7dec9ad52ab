"""Does a description say as much as it claims? The weights of HL7 Identity Matching (IDI-Patient). Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_PROFILES = "http://hl7.org/fhir/us/identity-matching/StructureDefinition/IDI-Patient-"
NEEDED = {f"{_PROFILES}L0": 9, f"{_PROFILES}L1": 10}
"""The weight that each profile needs (invariants idi-L0, idi-L1)."""
CONSUMER_WEIGHT = 10
"""What has to be said before a consumer is told anything of a patient (idi-L1)."""
_VERIFIED = frozenset(("PPN", "DL", "STID"))
"""HL7 v2 table 0203: passport, driver's licence, state identifier."""
_DIGITAL = "http://hl7.org/fhir/us/identity-matching/ns/HL7Identifier"


def idi_weight(patient: Mapping[str, Any]) -> int:
    """How much the FHIR Patient says of who is meant.

    5 for each digital identifier, passport, driver's licence or state identifier, 10 at most; 4 for one, 5 for more of
    address, e-mail, phone, another identifier and a photo; 3 for first and last name; 2 for the birth date.
    """
    identifiers = [one for one in _each(patient, "identifier") if one.get("value")]
    verified = [one for one in identifiers if one.get("system") == _DIGITAL or _VERIFIED & set(_codes(one))]
    said = {one.get("system") for one in _each(patient, "telecom") if one.get("value")}
    others = [
        any(map(_is_whole, _each(patient, "address"))),
        "email" in said,
        "phone" in said,
        len(identifiers) > len(verified),
        bool(patient.get("photo")),
    ]
    named = any(one.get("family") and one.get("given") for one in _each(patient, "name"))
    return (
        min(10, 5 * len(verified))
        + (5 if sum(others) > 1 else 4 if any(others) else 0)
        + (3 if named else 0)
        + (2 if patient.get("birthDate") else 0)
    )


def idi_claims(patient: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Of each IDI-Patient profile that the Patient claims: its name, and the weight it needs."""
    for profile in (patient.get("meta") or {}).get("profile") or ():
        needed = NEEDED.get(str(profile).partition("|")[0])
        if needed is not None:
            yield f"IDI-Patient-{str(profile).partition('|')[0][-2:]}", needed


def _each(patient: Mapping[str, Any], element: str) -> Iterable[Mapping[str, Any]]:
    return [one for one in patient.get(element) or () if isinstance(one, Mapping)]


def _codes(identifier: Mapping[str, Any]) -> Iterator[str]:
    for coding in (identifier.get("type") or {}).get("coding") or ():
        yield str(coding.get("code"))


def _is_whole(address: Mapping[str, Any]) -> bool:
    return bool(address.get("line") and (address.get("postalCode") or (address.get("city") and address.get("state"))))
