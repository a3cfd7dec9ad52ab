"""The rooms a query walks through, as the use-cases see them: ports only, so that tests can hand in fakes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from gateway.adapters.base import Facilities, Observation, Sighting
from gateway.audit.record import AuditLog
from gateway.auth.break_glass import NO_DECLARATIONS, Declarations
from gateway.consent.label_rules import NO_RULES, LabelRules
from gateway.consent.policy import Consents
from gateway.imaging.study import SourceStudy
from gateway.limits import NO_LIMITS, Limiter
from gateway.model import PatientID, PatientIdentity, StudyUID
from gateway.mpi.index import MasterPatientIndex

Clock = Callable[[], datetime]


class StudySightings(Protocol):
    """What was seen where, and since when: the memory behind stable ids and `meta.lastUpdated`."""

    def observe(self, person: PatientID, studies: Sequence[SourceStudy], now: datetime) -> Observation:
        """First-seen times of `studies` as they now are; what is new is stored when this returns."""
        ...

    def find(self, study_id: str) -> Sighting | None:
        """Whose study carries this id and which facilities have shown it; None where it was never given out."""
        ...

    def study_id(self, person: PatientID, uid: StudyUID) -> str:
        """The opaque id of this study of this person: always the same, and nothing can be read from it."""
        ...


class PatientRecords(Protocol):
    """The full source records of a person, for reading a Patient."""

    def find_record_patients(self, patient: PatientIdentity) -> Mapping[int, dict[str, Any]]:
        """The FHIR Patient of each record, by record id."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """Everything an imaging query needs, built once in `wiring.py`."""

    mpi: MasterPatientIndex
    records: PatientRecords
    consents: Consents
    facilities: Facilities
    sightings: StudySightings
    audit: AuditLog
    clock: Clock
    labels: LabelRules = NO_RULES
    declarations: Declarations = NO_DECLARATIONS
    limits: Limiter = NO_LIMITS
