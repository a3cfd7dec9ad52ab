"""The rooms of a query, in memory and with state: what a test puts in comes out, what is done is remembered.

Each can be `down`, and then fails as the real one does. `tests/contract` holds real rooms and these to the same rules.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from gateway.adapters.base import FacilityQuestion, FacilityReply, Observation, Sighting, Target
from gateway.audit.record import AuditRecord
from gateway.consent.label_rules import NO_RULES, LabelRules
from gateway.consent.policy import ConsentVersion, PatientPolicy
from gateway.deadline import Deadline
from gateway.errors import AuditUnavailable, DependencyUnavailable
from gateway.imaging.study import SourceStudy
from gateway.model import Facility, FacilityID, ImplicitPolicy, PatientID, PatientIdentity, PatientRef, StudyUID
from gateway.rooms import Rooms
from tests.factories_auth import FakeDeclarations

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def _nothing() -> None:
    """Nothing happens meanwhile."""


@dataclass(slots=True)
class FakeMPI:
    """Persons by id, by each record's identifier, and by ids that were retired in their favour."""

    persons: list[PatientIdentity] = field(default_factory=list)
    retired: dict[PatientID, PatientID] = field(default_factory=dict)
    down: bool = False

    def resolve(self, ref: PatientRef) -> PatientIdentity | None:
        """The one person meant, or None."""
        if self.down:
            raise DependencyUnavailable("the patient index can't be read")
        if ref.id is not None:
            wanted = self.retired.get(ref.id, ref.id)
            return next((person for person in self.persons if person.id == wanted), None)
        found = [person for person in self.persons if any(r.identifier == ref.identifier for r in person.records)]
        return found[0] if len(found) == 1 else None

    def find_carriers(self, ref: PatientRef) -> Sequence[PatientIdentity]:
        """The persons who share the identifier, where several do."""
        found = [person for person in self.persons if any(r.identifier == ref.identifier for r in person.records)]
        return found if len(found) > 1 else ()


@dataclass(slots=True)
class FakePatientRecords:
    """FHIR Patients by record id."""

    patients: dict[int, dict[str, Any]] = field(default_factory=dict)

    def find_record_patients(self, patient: PatientIdentity) -> Mapping[int, dict[str, Any]]:
        """Those of the person's records."""
        wanted = {record.record_id for record in patient.records}
        return {record_id: resource for record_id, resource in self.patients.items() if record_id in wanted}


@dataclass(slots=True)
class FakeConsents:
    """Consents by person, and one implicit policy for everyone."""

    implicit: ImplicitPolicy = "all-normal"
    on_file: dict[PatientID, tuple[ConsentVersion, ...]] = field(default_factory=dict)
    down: bool = False
    looked_up: list[PatientID] = field(default_factory=list)

    def find(self, patient: PatientID) -> PatientPolicy:
        """All that is on file now."""
        if self.down:
            raise DependencyUnavailable("the consents can't be read")
        self.looked_up.append(patient)
        return PatientPolicy(patient=patient, consents=self.on_file.get(patient, ()), implicit=self.implicit)


@dataclass(slots=True)
class FakeFacilities:
    """Registered facilities with the reply each gives; who was asked is remembered."""

    registered: list[Facility] = field(default_factory=list)
    replies: dict[FacilityID, FacilityReply] = field(default_factory=dict)
    asked: list[tuple[Target, FacilityQuestion]] = field(default_factory=list)
    meanwhile: Callable[[], None] = _nothing
    """What happens elsewhere while the facilities are asked: a revocation, say."""

    def add(self, facility: Facility, *studies: SourceStudy, **reply: Any) -> None:
        """The facility is registered and answers with the studies, or as `reply` says."""
        self.registered.append(facility)
        answer = {"status": "answered", "studies": studies} | reply
        self.replies[facility.id] = FacilityReply(facility=facility, **answer)

    def all(self) -> Sequence[Facility]:
        """Every registered facility, in id order."""
        return sorted(self.registered, key=lambda facility: facility.id)

    def ask(self, targets: Sequence[Target], question: FacilityQuestion, deadline: Deadline) -> Sequence[FacilityReply]:
        """A reply for each target, in target order."""
        self.asked += [(target, question) for target in targets]
        self.meanwhile()
        return [self.replies[target.facility.id] for target in targets]

    @property
    def asked_ids(self) -> list[FacilityID]:
        """The ids of those asked, in order."""
        return [target.facility.id for target, _ in self.asked]


@dataclass(slots=True)
class FakeSightings:
    """Remembers each source as it was first seen."""

    seen: dict[tuple[int, FacilityID, StudyUID], tuple[SourceStudy, datetime]] = field(default_factory=dict)
    known: dict[str, tuple[PatientID, set[FacilityID]]] = field(default_factory=dict)
    down: bool = False

    def study_id(self, person: PatientID, uid: StudyUID) -> str:
        """Always the same for the same person and UID."""
        return sha256(f"{person}/{uid}".encode()).hexdigest()[:32]

    def observe(self, person: PatientID, studies: Sequence[SourceStudy], now: datetime) -> Observation:
        """New and changed sources are seen now, others when they first were."""
        if self.down:
            raise DependencyUnavailable("the sightings can't be written")
        shared: list[StudyUID] = []
        for study in studies:
            key = (study.record_id, study.facility, study.uid)
            if key not in self.seen and self._is_anothers(person, study.uid):
                shared.append(study.uid)
            if key not in self.seen or self.seen[key][0] != study:
                self.seen[key] = (study, now)
            self.known.setdefault(self.study_id(person, study.uid), (person, set()))[1].add(study.facility)
        times = {(s.record_id, s.facility, s.uid): self.seen[s.record_id, s.facility, s.uid][1] for s in studies}
        ids = {study.uid: self.study_id(person, study.uid) for study in studies}
        return Observation(first_seen=times, study_ids=ids, shared=tuple(dict.fromkeys(shared)))

    def _is_anothers(self, person: PatientID, uid: StudyUID) -> bool:
        return any(owner != person and self.study_id(owner, uid) in self.known for owner, _ in self.known.values())

    def find(self, study_id: str) -> Sighting | None:
        """Whose study it is and where it was shown."""
        if study_id not in self.known:
            return None
        person, facilities = self.known[study_id]
        return Sighting(person=person, facilities=frozenset(facilities))


@dataclass(slots=True)
class FakeAudit:
    """Keeps records in a list."""

    records: list[AuditRecord] = field(default_factory=list)
    down: bool = False

    def record(self, records: Sequence[AuditRecord]) -> None:
        """All are kept, or none."""
        if self.down:
            raise AuditUnavailable("the audit can't be written")
        self.records.extend(records)

    @property
    def kinds(self) -> list[str]:
        """What kind each record is, in order."""
        return [record.kind for record in self.records]


@dataclass(slots=True)
class FakeRooms:
    """All rooms of a query, to be filled by the test; `now` is the test's to move."""

    mpi: FakeMPI = field(default_factory=FakeMPI)
    records: FakePatientRecords = field(default_factory=FakePatientRecords)
    consents: FakeConsents = field(default_factory=FakeConsents)
    facilities: FakeFacilities = field(default_factory=FakeFacilities)
    sightings: FakeSightings = field(default_factory=FakeSightings)
    audit: FakeAudit = field(default_factory=FakeAudit)
    now: datetime = NOON
    labels: LabelRules = NO_RULES
    declarations: FakeDeclarations = field(default_factory=FakeDeclarations)

    @property
    def rooms(self) -> Rooms:
        """The same rooms, as the use-cases are given them."""
        return Rooms(
            mpi=self.mpi,
            records=self.records,
            consents=self.consents,
            facilities=self.facilities,
            sightings=self.sightings,
            audit=self.audit,
            clock=lambda: self.now,
            labels=self.labels,
            declarations=self.declarations,
        )
