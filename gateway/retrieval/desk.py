"""THE DECISION about one request to an archive, a stage a line: whose study, whose consent, what of it.

Identity, links, consent and the caller's standing are read anew for each; any failure on the way opens nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.adapters.base import Target
from gateway.auth.break_glass import require_standing
from gateway.auth.smart_scopes import limits_of, require
from gateway.consent.decide import decide_query, decide_sources
from gateway.consent.labels import NORMAL, Labels
from gateway.consent.policy import Decision, PatientPolicy
from gateway.deadline import Deadline
from gateway.errors import DependencyUnavailable
from gateway.imaging.narrowing import admits
from gateway.imaging.study import SourceStudy
from gateway.model import Facility, FacilityID, PatientID, PatientRef, Requester, StudyUID
from gateway.retrieval.decide import UNKNOWN, Admits, Known, Source, Verdict, decide
from gateway.retrieval.facts import Asked, FactsMemory, PersonFacts
from gateway.retrieval.resource import Resource
from gateway.retrieval.whose import Holder, StudyHolders
from gateway.rooms import Rooms
from gateway.search import holders_of

OF_ANOTHER = "the study is not known to be the patient's that the token is bound to"
OF_TWO = "the facility shows this study under two persons, and can't tell them apart"
SUSPENDED = "the facility is suspended"
OTHER_STUDY = "the token is bound to something else"


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
class Person:
    """A person as consent sees them now, for one caller."""

    id: PatientID
    policy: PatientPolicy
    floors: Mapping[FacilityID, Labels]
    allowed: Mapping[FacilityID, Decision]
    asked: Asked
    """The facilities that this caller may have asked about them, and the records that each is asked about."""


class RetrievalDesk:
    """Decides who may fetch what from whom. One object serves all threads."""

    def __init__(self, rooms: Rooms, holders: StudyHolders, facts: FactsMemory, *, patience: timedelta) -> None:
        """`patience` is how long the facilities are waited for where they have to be asked."""
        self._rooms = rooms
        self._holders = holders
        self._facts = facts
        self._patience = patience

    def decide(self, caller: Caller, facility: Facility, resource: Resource, now: datetime) -> Ruling:
        """Whether the caller may fetch `resource` from `facility` now.

        Raises ScopeMissing where no scope reaches images, BreakGlassRefused or BreakGlassEnded, and
        DependencyUnavailable where it can't be known.
        """
        requester = caller.requester
        require_reading(requester)
        require_standing(self._rooms.declarations, requester, now)
        if not caller.reaches(resource):
            return _refused(OTHER_STUDY, requester.patient)
        if facility.suspended:
            return _refused(SUSPENDED)
        holder = self.find_holder(requester, facility, resource.study)
        if isinstance(holder, Ruling):
            return holder
        person = self.person(holder, requester, now)
        decision = person.allowed.get(facility.id)
        if decision is None:
            return _refused(UNKNOWN.reason, holder.person)
        if not decision.permitted:
            verdict = Verdict(permitted=False, reason=decision.reason, decisions=(decision,))
            return Ruling(verdict=verdict, patient=holder.person)
        known = self.known(person, facility, resource.study, requester, now)
        return Ruling(verdict=decide(known, resource, admits_by(requester, now)), patient=holder.person)

    def find_holder(self, requester: Requester, facility: Facility, uid: StudyUID) -> Holder | Ruling:
        """The person whose study it is, to this caller; or the refusal, where it is nobody's or of two."""
        shown = self._holders.find(uid)
        here = self._shown_here(shown, uid, facility.id)
        holder = self._holder_for(requester, shown, here)
        if holder is None:
            return _refused(OF_ANOTHER if requester.patient is not None else UNKNOWN.reason, requester.patient)
        if any(one.person != holder.person for one in here):
            return _refused(OF_TWO, holder.person)
        return holder

    def holds(self, caller: Caller, facility: Facility, uid: StudyUID, series: str, now: datetime) -> bool:
        """Whether the facility tells this caller of that series in the study. Nothing is decided by it.

        Raises DependencyUnavailable.
        """
        holder = self.find_holder(caller.requester, facility, uid)
        if isinstance(holder, Ruling):
            return False
        person = self.person(holder, caller.requester, now)
        if facility.id not in {id_ for id_, _ in person.asked[1]}:
            return False
        told = self.facts(person, facility).of(uid, self._rooms.labels, person.floors)
        return told is not None and any(
            source.facility == facility.id and uids is not None and series in uids
            for source, uids in zip(told.sources, told.series, strict=True)
        )

    def _shown_here(self, shown: Sequence[Holder], uid: StudyUID, facility: FacilityID) -> Sequence[Holder]:
        """The persons under whom the facility shows the study; of several, those under whom it still does."""
        here = [one for one in shown if one.seen_at(facility)]
        if len(here) == 1 == len(shown):
            return here
        return [one for one in here if self._holders.is_shown_now(uid, one, facility)]

    def _holder_for(self, requester: Requester, shown: Sequence[Holder], here: Sequence[Holder]) -> Holder | None:
        """Under which person this caller asks for a study that was shown as `shown` has it; None where under none.

        A token that is bound to a patient asks for that one's alone. Any other token asks for what has been shown:
        what the gateway has never told anybody of, it can't be asked for.
        """
        if requester.patient is not None:
            bound = next((one for one in shown if one.person == requester.patient), None)
            return bound or self._bound(requester.patient, shown)
        asked = here or shown
        return asked[0] if asked and (here or len(shown) == 1) else None

    def _bound(self, patient: PatientID, shown: Sequence[Holder]) -> Holder | None:
        identity = self._rooms.mpi.resolve(PatientRef(id=patient))
        if identity is None:
            return None
        known = next((one for one in shown if one.person == identity.id), None)
        records = tuple((record.record_id, record.identifier.system) for record in identity.records)
        return known or Holder(person=identity.id, records=records, seen=())

    def person(self, holder: Holder, requester: Requester, now: datetime) -> Person:
        """The person of `holder`: what consent says now of each facility in whose domain they have a record."""
        domains: dict[str, list[tuple[int, str]]] = {}
        for record in holder.records:
            domains.setdefault(record[1], []).append(record)
        facilities = [one for one in self._rooms.facilities.all() if one.identifier_system in domains]
        floors = self._rooms.labels.floors(facilities)
        policy = self._rooms.consents.find(holder.person)
        allowed = decide_query(policy, requester, [one.id for one in facilities], now, floors)
        asked = tuple(
            (one.id, tuple(domains[one.identifier_system]))
            for one in facilities
            if allowed[one.id].permitted and not one.suspended
        )
        return Person(id=holder.person, policy=policy, floors=floors, allowed=allowed, asked=(holder.person, asked))

    def facts(self, person: Person, facility: Facility) -> PersonFacts:
        """What the facilities that may be asked tell of the person.

        Raises DependencyUnavailable where this one does not answer.
        """
        found = self._facts.recall(person.asked)
        if found is None:
            deadline = Deadline.after(self._patience)
            found = self._facts.find(person.asked, lambda: self._targets(person), deadline)
        if facility.id not in found.replies or facility.id in found.silent:
            raise DependencyUnavailable("the facility does not answer")
        return found

    def _targets(self, person: Person) -> list[Target]:
        identity = self._rooms.mpi.resolve(PatientRef(id=person.id))
        if identity is None:
            return []
        wanted = {id_: {number for number, _ in records} for id_, records in person.asked[1]}
        targets = []
        for id_, target in holders_of(identity, self._rooms.facilities.all()).items():
            records = tuple(one for one in target.records if one.record_id in wanted.get(id_, ()))
            if records:
                targets.append(Target(facility=target.facility, records=records))
        return targets

    def known(self, person: Person, facility: Facility, uid: StudyUID, requester: Requester, now: datetime) -> Known:
        """The study as it is known, each source with its own decision."""
        told = self.facts(person, facility).of(uid, self._rooms.labels, person.floors)
        if told is None:
            return Known(here=())
        decisions = decide_sources(
            person.policy,
            requester,
            told.sources,
            now,
            told.labels,
            self._rooms.sightings.study_id,
            {(id_, person.floors.get(id_, NORMAL)): decision for id_, decision in person.allowed.items()},
        )
        sources = [Source(*one) for one in zip(told.sources, decisions, told.series, strict=True)]
        here = [one for one in sources if one.study.facility == facility.id]
        elsewhere = [one for one in sources if one.study.facility != facility.id]
        return Known(here=here, elsewhere=elsewhere)


def require_reading(requester: Requester) -> None:
    """The token's scopes reach some images. Raises ScopeMissing."""
    bound = requester.patient is not None
    require(requester.scopes, "ImagingStudy", "r", patient_bound=bound, signed_in=requester.signed_in)


def admits_by(requester: Requester, now: datetime) -> Admits:
    """What the granular scopes of the token admit."""
    limits = limits_of(
        requester.scopes, "r", patient_bound=requester.patient is not None, signed_in=requester.signed_in
    )
    if limits is None:
        return _everything
    return lambda source, series: admits(source, limits, now, series)


def _everything(_source: SourceStudy, _series: str | None) -> bool:
    return True


def _refused(reason: str, patient: PatientID | None = None) -> Ruling:
    return Ruling(verdict=Verdict(permitted=False, reason=reason), patient=patient)
