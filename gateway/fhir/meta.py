"""What a resource says of itself: when it last changed, where it is from, how confidential it is."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from gateway.model import Coding, SecurityLabel

NORMAL = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality",
    "code": "N",
    "display": "normal",
}
SUBSETTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
    "display": "subsetted",
}

LABEL_BASIS = "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-sec-label-basis"
"""The law or policy that a label was given by (HL7 DS4P)."""


def meta_of(
    last_updated: datetime, source: str, profile: str | None = None, security: Sequence[SecurityLabel] = ()
) -> dict[str, Any]:
    """The Meta of a resource about a patient: of normal confidentiality unless `security` says otherwise."""
    meta: dict[str, Any] = {"lastUpdated": to_instant(last_updated), "source": source}
    if profile:
        meta["profile"] = [profile]
    meta["security"] = [_label(one) for one in security] or [NORMAL]
    return meta


def _label(label: SecurityLabel) -> dict[str, Any]:
    extensions = [{"url": LABEL_BASIS, "valueCoding": _coding(one)} for one in label.basis]
    return {**({"extension": extensions} if extensions else {}), **_coding(label)}


def _coding(coding: Coding) -> dict[str, Any]:
    stated = {"system": coding.system, "code": coding.code, "display": coding.display}
    return {name: value for name, value in stated.items() if value}


@lru_cache(maxsize=1024)
def to_instant(time: datetime) -> str:
    """The time as a FHIR instant in UTC, to the millisecond."""
    return f"{time.astimezone(UTC).isoformat(timespec='milliseconds')[:-6]}Z"
