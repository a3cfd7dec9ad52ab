"""Where a facility says who its patients are: filed, replaced, linked, parted, removed. One way in for every feed.

A feed speaks of its own domain alone. Nothing is answered before it is stored and in the audit; whatever is sent again
changes nothing.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import orjson

from gateway.audit.record import AuditLog, AuditRecord, Who
from gateway.errors import AccessRefused, NotFound
from gateway.model import Facility, FacilityID, Identifier, PatientID
from gateway.mpi.domain_words import DomainWords
from gateway.mpi.feed import Note, Outcome, PatientFeed
from gateway.mpi.fhir_patient import read_patient
from gateway.mpi.links import ALGORITHM
from gateway.mpi.patient_record import PatientRecord
from gateway.mpi.source import Source, SourceRecords

Act = Literal["filed", "replaced", "removed", "linked", "parted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Who tells: which facility's feed, and how the audit and the history of links name it."""

    facility: Facility
    who: Who
    name: str
    """`feed north (client north-adt)`, written beside every link that changes."""
    request: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityDesk:
    """The use-cases of identity feeds. Each raises DependencyUnavailable and AuditUnavailable."""

    facilities: Callable[[], Sequence[Facility]]
    facility_of: Callable[[str], FacilityID | None]
    """The facility whose identity feed the client of that id is."""
    feed: Callable[[str], tuple[PatientFeed, DomainWords]]
    """The way into the index, by how the teller is named."""
    records: SourceRecords
    audit: AuditLog
    strong_systems: frozenset[str]

    @property
    def domains(self) -> frozenset[str]:
        """The identifier systems of all facilities."""
        return frozenset(facility.identifier_system for facility in self.facilities())

    def feed_facility(self, client_id: str) -> Facility:
        """The facility whose feed the client is. Raises AccessRefused where it is none's."""
        id_ = self.facility_of(client_id)
        found = [facility for facility in self.facilities() if facility.id == id_]
        if not found:
            raise AccessRefused("the client is not the identity feed of a facility")
        return found[0]

    def require_own(self, identifier: Identifier, told: Told) -> None:
        """The identifier is of the feed's own domain. Raises AccessRefused."""
        if identifier.system != told.facility.identifier_system:
            raise AccessRefused("a feed speaks of its own facility's identifiers alone")

    def read(self, resource: Mapping[str, Any]) -> PatientRecord:
        """The source record that `resource` states. Raises LoadRefused with every problem by its path."""
        return read_patient(resource, self.domains)

    def file(self, patient: PatientRecord, told: Told, now: datetime) -> Outcome:
        """The record says what `patient` says. Raises AccessRefused where it is of another domain."""
        self.require_own(patient.source, told)
        return self.feed(told.name)[0].file(patient, now, _noting("filed", told, now))

    def replace(self, patient: PatientRecord, survivor: Identifier, told: Told, now: datetime) -> Outcome:
        """`patient` is inactive, and `survivor`'s person's. Raises AccessRefused, LoadRefused, Conflict."""
        self.require_own(patient.source, told)
        self.require_own(survivor, told)
        words = self.feed(told.name)[1]
        return words.replace(inactive(patient), survivor, now, _noting("replaced", told, now))

    def remove(self, source: Identifier, told: Told, now: datetime) -> None:
        """The record is inactive and says nothing of the person any more. Raises AccessRefused, NotFound.

        That it was there, under which identifier, and its history stay: what was done with it must stay explainable.
        """
        self.require_own(source, told)
        found = self.records.find(source)
        if found is None or not found.active:
            raise NotFound
        bare = {
            "resourceType": "Patient",
            "identifier": [{"system": source.system, "value": source.value}],
            "active": False,
        }
        self.feed(told.name)[0].file(self.read(bare), now, _noting("removed", told, now))

    def link(self, one: Identifier, other: Identifier, told: Told, now: datetime, *, same: bool) -> None:
        """The facility says that two of its records are one person's, or two persons'. Raises as `replace`."""
        self.require_own(one, told)
        self.require_own(other, told)
        note = _noting("linked" if same else "parted", told, now)
        self.feed(told.name)[1].say(one, other, now, note, same=same)

    def find(self, source: Identifier) -> Source | None:
        """The record that its domain knows by that identifier."""
        return self.records.find(source)


def _noting(act: Act, told: Told, now: datetime) -> Note:
    def note(persons: Sequence[PatientID], outcome: Outcome) -> list[AuditRecord]:
        return [
            AuditRecord(
                id=str(uuid.uuid4()),
                recorded=now,
                kind="patient-feed",
                outcome="success",
                reason=f"patient {act}",
                who=told.who,
                patient=person,
                request=told.request,
                request_id=told.request_id,
                resources=(f"Patient/{person}",),
                algorithm=ALGORITHM,
                details=(("facility", told.facility.id), ("outcome", outcome)),
            )
            for person in persons
        ]

    return note


def inactive(patient: PatientRecord) -> PatientRecord:
    """The same record, saying that it is inactive."""
    stated = orjson.loads(patient.content) | {"active": False}
    return replace(patient, active=False, content=orjson.dumps(stated, option=orjson.OPT_SORT_KEYS))
