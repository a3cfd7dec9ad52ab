"""Who asks at a facility, and what comes of it: the values that decisions about images are made of. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.consent.labels import Labels
from gateway.consent.policy import Decision, PatientPolicy
from gateway.model import FacilityID, LocalPatientID, PatientID, Requester, StudyUID
from gateway.retrieval.decide import Verdict
from gateway.retrieval.facts import Asked
from gateway.retrieval.resource import Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who presents a token at a facility, and what the token itself is bound to."""

    requester: Requester
    studies: frozenset[StudyUID] | None = None
    """The studies that a facility-bound token is for; None for any token that names none."""
    series: frozenset[str] | None = None
    """The only series that it opens; None for a token that opens its studies as far as is permitted."""
    bound: bool = False
    """Whether the token is bound to the facility."""

    def reaches(self, resource: Resource) -> bool:
        """Whether the token itself, whatever anybody permits, is for `resource`."""
        if self.studies is not None and resource.study not in self.studies:
            return False
        return self.series is None or resource.series in self.series


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What was decided about one request, and about whom."""

    verdict: Verdict
    patient: PatientID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How far one study is open to a caller at a facility."""

    study: StudyUID
    patient: PatientID | None
    verdict: Verdict
    """About the whole study."""
    local_id: LocalPatientID | None = None
    """The PatientID that the facility has it under."""
    series: tuple[str, ...] | None = None
    """Where not the whole study is open: the series that are. None where none is, or all are."""

    @property
    def is_open(self) -> bool:
        """Whether anything of it is."""
        return self.verdict.permitted or self.series is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A person as consent sees them now, for one caller."""

    id: PatientID
    policy: PatientPolicy
    floors: Mapping[FacilityID, Labels]
    allowed: Mapping[FacilityID, Decision]
    asked: Asked
    """The facilities that this caller may have asked about them, and the records that each is asked about."""
