"""THE DECISION about one request to an archive, a stage a line: whose study, whose consent, what of it.

Identity, links, consent and the caller's standing are read anew for each; any failure on the way opens nothing.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from gateway.adapters.base import Target
from gateway.auth.break_glass import require_standing
from gateway.auth.smart_scopes import limits_of, require
from gateway.consent.decide import decide_sources
from gateway.consent.labels import NORMAL
from gateway.deadline import Deadline
from gateway.errors import DependencyUnavailable
from gateway.imaging.narrowing import admits
from gateway.imaging.study import SourceStudy
from gateway.model import (
    Facility,
    FacilityID,
    PatientID,
    PatientRef,
    Requester,
    StudyUID,
)
from gateway.retrieval.again import Grounds, SameAgain
from gateway.retrieval.decide import UNKNOWN, Admits, Known, Source, Verdict, decide, series_permitted
from gateway.retrieval.facts import FactsMemory, PersonFacts
from gateway.retrieval.person import holder_of, person_of
from gateway.retrieval.resource import Resource
from gateway.retrieval.ruling import Caller, Opening, Person, Ruling
from gateway.retrieval.whose import Holder, Holders
from gateway.rooms import Rooms
from gateway.search import holders_of

OF_ANOTHER = "the study is not known to be the patient's that the token is bound to"
OF_TWO = "the facility shows this study under two persons, and can't tell them apart"
SUSPENDED = "the facility is suspended"
_MOST_ROUNDS = 3
OTHER_STUDY = "the token is bound to something else"


class RetrievalDesk:
    """Decides who may fetch what from whom. One object serves all threads."""

    def __init__(self, rooms: Rooms, holders: Holders, facts: FactsMemory, *, patience: timedelta) -> None:
        """`patience` is how long the facilities are waited for where they have to be asked."""
        self._rooms = rooms
        self._holders = holders
        self._facts = facts
        self._again = SameAgain(facts)
        self._patience = patience

    def decide(self, caller: Caller, facility: Facility, resource: Resource, now: datetime) -> Ruling:
        """Whether the caller may fetch `resource` from `facility` now.

        Raises ScopeMissing where no scope reaches images, BreakGlassRefused or BreakGlassEnded, and
        DependencyUnavailable where it can't be known.
        """
        self.require_standing(caller.requester, now)
        if not caller.reaches(resource):
            return _refused(OTHER_STUDY, caller.requester.patient)
        looked = self._look(caller.requester, facility, resource.study, now)
        if isinstance(looked, Ruling):
            return looked
        patient, known = looked
        return Ruling(verdict=decide(known, resource, admits_by(caller.requester, now)), patient=patient)

    def opening(self, caller: Caller, facility: Facility, uid: StudyUID, now: datetime) -> Opening:
        """How far the study is open to the caller now, for a token that others will go by. Raises as `decide` does."""
        self.require_standing(caller.requester, now)
        looked = self._look(caller.requester, facility, uid, now)
        if isinstance(looked, Ruling):
            return Opening(study=uid, patient=looked.patient, verdict=looked.verdict)
        patient, known = looked
        admits = admits_by(caller.requester, now)
        verdict = decide(known, Resource(study=uid), admits)
        series = None
        if verdict.in_part or caller.series is not None:
            permitted = series_permitted(known, admits) or ()
            series = tuple(one for one in permitted if caller.series is None or one in caller.series)
        return Opening(
            study=uid,
            patient=patient,
            verdict=verdict,
            local_id=known.here[0].study.local_id if known.here else None,
            series=series or None,
        )

    def studies_of(
        self, requester: Requester, facility: Facility, patient: PatientRef, now: datetime
    ) -> list[StudyUID]:
        """The studies that `facility` tells of for the one person meant, the latest first; not decided one by one yet.

        Empty where the person is unknown, or has nothing there that this caller may see. Raises DependencyUnavailable.
        """
        identity = self._rooms.mpi.resolve(patient)
        if identity is None:
            return []
        grounds = Grounds(
            requester=requester,
            holder=holder_of(identity),
            policy=self._rooms.consents.find(identity.id),
            facilities=self._rooms.facilities.all(),
            at=now,
        )
        person = person_of(grounds, self._rooms.labels)
        if facility.id not in {id_ for id_, _ in person.asked[1]}:
            return []
        facts = self._ask(person)
        require_answer(facts, facility)
        told = facts.replies[facility.id].studies
        latest = sorted(told, key=lambda one: one.started.place if one.started else 0, reverse=True)
        return list(dict.fromkeys(one.uid for one in latest))

    def holds(self, caller: Caller, facility: Facility, uid: StudyUID, series: str, now: datetime) -> bool:
        """Whether the facility tells this caller of that series in the study. Nothing is decided by it.

        Raises DependencyUnavailable.
        """
        looked = self._look(caller.requester, facility, uid, now)
        if isinstance(looked, Ruling):
            return False
        return any(source.series is not None and series in source.series for source in looked[1].here)

    def require_standing(self, requester: Requester, now: datetime) -> None:
        """The caller's own authority reaches images at all. Raises ScopeMissing, BreakGlassRefused, BreakGlassEnded."""
        bound = requester.patient is not None
        require(requester.scopes, "ImagingStudy", "r", patient_bound=bound, signed_in=requester.signed_in)
        require_standing(self._rooms.declarations, requester, now)

    def _look(
        self, requester: Requester, facility: Facility, uid: StudyUID, now: datetime
    ) -> tuple[PatientID, Known] | Ruling:
        """Whose study it is and what is known of it, or a refusal: nobody's, or of a facility that consent bars."""
        if facility.suspended:
            return _refused(SUSPENDED)
        for _ in range(_MOST_ROUNDS):
            with self._holders.looking():
                holder = self._find_holder(requester, facility, uid)
                if isinstance(holder, Ruling):
                    return holder
                policy = self._rooms.consents.find(holder.person)
            grounds = Grounds(
                requester=requester, holder=holder, policy=policy, facilities=self._rooms.facilities.all(), at=now
            )
            key = (requester.token_id, facility.id, uid)
            if (known := self._again.find(key, grounds)) is not None:
                return holder.person, known
            person = person_of(grounds, self._rooms.labels)
            if (barred := _barred(person, facility)) is not None:
                return barred
            facts = self._facts.recall_lately(person.asked, partial(self._targets, person), self._patience)
            if facts is not None:
                require_answer(facts, facility)
                known = self._known(grounds, person, facts, facility, uid)
                self._again.keep(key, grounds, person.asked, facts, known)
                return holder.person, known
            # While the facilities are asked somebody may revoke or unlink: all of it is read once more.
            require_answer(self._ask(person), facility)
        raise DependencyUnavailable("what is known of the patient does not stay the same")

    def _find_holder(self, requester: Requester, facility: Facility, uid: StudyUID) -> Holder | Ruling:
        """The person whose study it is, to this caller; or the refusal, where it is nobody's or of two persons."""
        shown = self._holders.find(uid)
        here = self._shown_here(shown, uid, facility.id)
        holder = self._holder_for(requester, shown, here)
        if holder is None:
            return _refused(OF_ANOTHER if requester.patient is not None else UNKNOWN.reason, requester.patient)
        persons = {one.person for one in here}
        if persons - {holder.person}:
            return _refused(OF_TWO if holder.person in persons else OF_ANOTHER, holder.person)
        return holder

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
        return known or holder_of(identity)

    def _ask(self, person: Person) -> PersonFacts:
        """What the facilities that may be asked tell of the person."""
        return self._facts.find(person.asked, partial(self._targets, person), Deadline.after(self._patience))

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

    def _known(self, grounds: Grounds, person: Person, facts: PersonFacts, facility: Facility, uid: StudyUID) -> Known:
        """The study as it is known, each source with its own decision."""
        told = facts.of(uid, self._rooms.labels, person.floors)
        if told is None:
            return Known(here=())
        decisions = decide_sources(
            grounds.policy,
            grounds.requester,
            told.sources,
            grounds.at,
            told.labels,
            self._rooms.sightings.study_id,
            {(id_, person.floors.get(id_, NORMAL)): decision for id_, decision in person.allowed.items()},
        )
        sources = [Source(*one) for one in zip(told.sources, decisions, told.series, strict=True)]
        here = [one for one in sources if one.study.facility == facility.id]
        elsewhere = [one for one in sources if one.study.facility != facility.id]
        return Known(here=here, elsewhere=elsewhere, barred=self._barred_copies(grounds.holder, person, uid, here))

    def _barred_copies(
        self, holder: Holder, person: Person, uid: StudyUID, here: Sequence[Source]
    ) -> dict[FacilityID, bool]:
        """The facilities that have shown the study and may not be asked, and whether they showed what is here.

        What else one of them holds, nobody may find out: so that it may be more, unless it was seen to be the same, or
        to be gone since.
        """
        series = None
        if all(source.series is not None for source in here):
            series = frozenset(one for source in here for one in source.series or ())
        copies: dict[FacilityID, bool] = {}
        for shown in holder.seen:
            decision = person.allowed.get(shown.facility)
            if decision is None or decision.permitted:
                continue
            same = series is not None and self._holders.has_series(shown, series)
            same = same or not self._holders.is_shown_now(uid, holder, shown.facility)
            copies[shown.facility] = copies.get(shown.facility, True) and same
        return copies


def _barred(person: Person, facility: Facility) -> Ruling | None:
    """The refusal where the person has no record at the facility, or this caller may see nothing of it."""
    decision = person.allowed.get(facility.id)
    if decision is None:
        return _refused(UNKNOWN.reason, person.id)
    if decision.permitted:
        return None
    verdict = Verdict(permitted=False, reason=decision.reason, decisions=(decision,))
    return Ruling(verdict=verdict, patient=person.id)


def require_answer(facts: PersonFacts, facility: Facility) -> None:
    """The facility has told something of the person. Raises DependencyUnavailable where it does not answer."""
    if facility.id not in facts.replies or facility.id in facts.silent:
        raise DependencyUnavailable("the facility does not answer")


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
