"""What a resource says of itself: when it last changed, where it is from, how confidential it is."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from gateway.model import Coding

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


def meta_of(
    last_updated: datetime, source: str, profile: str | None = None, security: Sequence[Coding] = ()
) -> dict[str, Any]:
    """The Meta of a resource about a patient: of normal confidentiality unless `security` says otherwise."""
    meta: dict[str, Any] = {"lastUpdated": to_instant(last_updated), "source": source}
    if profile:
        meta["profile"] = [profile]
    meta["security"] = [{"system": one.system, "code": one.code} for one in security] or [NORMAL]
    return meta


def to_instant(time: datetime) -> str:
    """The time as a FHIR instant in UTC, to the millisecond."""
    return f"{time.astimezone(UTC).isoformat(timespec='milliseconds')[:-6]}Z"
