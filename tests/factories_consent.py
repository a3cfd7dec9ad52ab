"""Plain functions that make what a consent decision needs, with a value for all that a test doesn't care about."""

from datetime import UTC, datetime
from typing import Any

from gateway.consent.policy import ConsentVersion, PatientPolicy, Provision, ProvisionType
from gateway.model import ClientID, FacilityID, ImplicitPolicy, PatientID, Requester
from gateway.purposes import SYSTEM

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
RECORDED = datetime(2026, 1, 1, tzinfo=UTC)
NORTH, SOUTH = FacilityID("north"), FacilityID("south")


def a_requester(**changes: Any) -> Requester:
    """A clinician's EHR of north that asks for treatment."""
    stated: dict[str, Any] = {
        "client_id": ClientID("ehr"),
        "client_name": "EHR",
        "organization": "north",
        "scopes": ("system/ImagingStudy.rs",),
        "purposes": ("TREAT",),
        "issuer": "https://gateway.example",
        "subject": "ehr",
        "token_id": "token",
        "expires_at": NOW,
    }
    return Requester(**{**stated, **changes})


def a_rule(kind: ProvisionType = "permit", **attributes: Any) -> Provision:
    """A provision that is about everything it doesn't narrow."""
    return Provision(type=kind, **attributes)


def a_consent(root: Provision | None = None, **changes: Any) -> ConsentVersion:
    """A live consent of version 1 with that rule (by default: everything is permitted)."""
    stated: dict[str, Any] = {
        "id": "c1",
        "version": 1,
        "active": True,
        "recorded_at": RECORDED,
        "root": root or a_rule(),
    }
    return ConsentVersion(**{**stated, **changes})


def a_policy(*consents: ConsentVersion, implicit: ImplicitPolicy = "deny") -> PatientPolicy:
    """What is on file for a person."""
    return PatientPolicy(patient=PatientID("p1"), consents=consents, implicit=implicit)


def a_coding(code: str, system: str = SYSTEM) -> dict[str, str]:
    """A purpose of use as FHIR writes it."""
    return {"system": system, "code": code}


def an_actor(**reference: Any) -> dict[str, Any]:
    """A recipient as IHE PCF writes it."""
    role = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]}
    return {"role": role, "reference": reference}


def authored_by(facility: str) -> dict[str, Any]:
    """Data of a facility as IHE PCF names it."""
    return {"meaning": "authoredby", "reference": {"reference": f"Organization/{facility}"}}


def a_resource(provision: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A FHIR R4 Consent of IHE PCF Basic: permits treatment unless told otherwise. A change to None leaves it out."""
    stated: dict[str, Any] = {
        "resourceType": "Consent",
        "id": "c1",
        "status": "active",
        "scope": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]
        },
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": "Patient/p1"},
        "dateTime": "2026-01-01",
        "policy": [{"uri": "https://exchange.example/policies/sharing"}],
        "provision": {"type": "permit", "purpose": [a_coding("TREAT")]} if provision is None else provision,
    }
    return {name: value for name, value in {**stated, **changes}.items() if value is not None}
