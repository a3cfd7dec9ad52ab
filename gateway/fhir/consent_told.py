"""A version of a Consent as this API tells it: in FHIR R4, with what the server knows of the version."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.consent.fhir_r4 import to_r4
from gateway.consent.store import StoredVersion
from gateway.errors import LoadRefused, NotAcceptable
from gateway.fhir.consent_body import as_the_client_says
from gateway.fhir.meta import to_instant
from gateway.fhir.operation_outcome import outcome

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A version of a Consent, as it is answered."""

    resource: Resource
    version: int
    recorded: datetime

    @property
    def etag(self) -> str:
        """Of this version (FHIR R4 http §managing resource contention)."""
        return f'W/"{self.version}"'


def told(stored: StoredVersion) -> Told:
    """The version in R4. Raises NotAcceptable where it was filed in R5 and says what R4 can't."""
    consent = stored.consent
    try:
        resource = to_r4(stored.resource)
    except LoadRefused as exc:
        raise NotAcceptable(f"it was filed in FHIR R5 and can't be told in R4: {exc.problems[0]}") from exc
    ours = {"versionId": str(consent.version), "lastUpdated": to_instant(consent.recorded_at)}
    return Told(
        resource={**resource, "meta": {**resource.get("meta", {}), **ours}},
        version=consent.version,
        recorded=consent.recorded_at,
    )


def told_anyhow(stored: StoredVersion) -> Told:
    """The version, or why it can't be told, after a change that has been made all the same."""
    try:
        return told(stored)
    except NotAcceptable as exc:
        consent = stored.consent
        return Told(resource=untold_outcome(stored, exc), version=consent.version, recorded=consent.recorded_at)


def is_as_told(resource: Mapping[str, Any], stored: StoredVersion) -> bool:
    """Whether a client sends back exactly what it was told of the version."""
    try:
        return as_the_client_says(resource) == as_the_client_says(told(stored).resource)
    except NotAcceptable:
        return False


def tell_all(versions: Iterable[StoredVersion]) -> tuple[list[Told], list[Resource]]:
    """Each version in R4; and for each one that can't be told so an OperationOutcome that names it."""
    found: list[Told] = []
    untold: list[Resource] = []
    for one in versions:
        try:
            found.append(told(one))
        except NotAcceptable as exc:
            untold.append(untold_outcome(one, exc))
    return found, untold


def untold_outcome(stored: StoredVersion, exc: NotAcceptable) -> Resource:
    """What is told in place of a version that R4 can't say."""
    return outcome("warning", "not-supported", f"Consent/{stored.consent.id}: {exc.reason}")
