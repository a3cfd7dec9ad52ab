"""THE SPINE: one imaging query from request to answer, a stage a line.

Only this file knows the order of the stages. Every decision in it is a pure function of another room, every effect a
port of `Rooms`. What it returns has been permitted, looked at again after the facilities answered, and audited.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.adapters.base import FacilityQuestion, FacilityReply, Target
from gateway.auth.break_glass import require_standing
from gateway.consent.decide import decide_query, still_holds
from gateway.consent.policy import Decision
from gateway.deadline import Deadline
from gateway.disclosure import Request, alert_records, answer_record, break_glass_record
from gateway.emergency import require_permitted_emergency
from gateway.enumeration import require_few_identifiers
from gateway.errors import (
    AccessRefused,
    AllFacilitiesFailed,
    BreakGlassRefused,
    DeadlinePassed,
    DependencyUnavailable,
    NotFound,
)
from gateway.imaging.matching import those_that_match
from gateway.imaging.study import Study
from gateway.model import (
    Facility,
    FacilityID,
    PatientIdentity,
    PatientRef,
    Requester,
    SourceRecord,
    StudyQuery,
)
from gateway.purposes import BREAK_GLASS
from gateway.releasing import decide_each_source, permitted_sources, released_studies, study_limits
from gateway.rooms import Rooms

GapReason = Literal["timeout", "transient", "incomplete", "suspended", "unreadable"]
Select = Callable[[Sequence[Study]], Sequence[Study]]
"""Of all studies that match and may be seen: the ones this answer hands out, in order (the page)."""

Holders = Mapping[FacilityID, Target]
Decisions = Mapping[FacilityID, Decision]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A facility whose part of the answer is missing, wholly or partly. Only those the caller may see are named."""

    facility: Facility
    reason: GapReason


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchAnswer:
    """What one query may release, audited."""

    patient: PatientIdentity | None = None
    studies: tuple[Study, ...] = ()
    """The page, as `select` chose it."""
    total: int = 0
    """How many studies match and may be seen, over all pages."""
    gaps: tuple[Gap, ...] = ()
    facilities: Mapping[FacilityID, Facility]
    """Those that were asked, by id: the sources of the page are among them."""
    permitted_records: tuple[SourceRecord, ...] = ()
    """The person's records that this caller may know of."""
    ambiguous: bool = False
    """True where the identifier asked by names several persons, and the caller might see something of one of them."""


def search_imaging_studies(
    query: StudyQuery,
    requester: Requester,
    rooms: Rooms,
    deadline: Deadline,
    request: Request,
    select: Select,
    *,
    interaction: Literal["r", "s"] = "s",
) -> SearchAnswer:
    """Answer one imaging query, releasing only what was permitted, within the token's scopes, and audited.

    Raises AccessRefused where the token is bound to another patient, AllFacilitiesFailed (audited) where nobody
    answered, DeadlinePassed, and DependencyUnavailable or AuditUnavailable where the gateway itself can't work.
    """
    require_few_identifiers([query.patient], requester, rooms, request)
    patient = rooms.mpi.resolve(query.patient)
    require_bound_patient(requester, query.patient, patient, rooms)
    if patient is None:
        require_permitted_emergency(requester, None, {}, rooms, request)
        ambiguous = is_ambiguous(query.patient, requester, rooms)
        rooms.audit.record([answer_record(request, requester, None, rooms.clock(), ambiguous=ambiguous)])
        return SearchAnswer(facilities={}, ambiguous=ambiguous)
    limits = study_limits(requester, interaction)
    holders = holders_of(patient, rooms.facilities.all())
    floors = rooms.labels.floors([holder.facility for holder in holders.values()])
    asked_at, policy_then = rooms.clock(), rooms.consents.find(patient.id)
    allowed = decide_query(policy_then, requester, list(holders), asked_at, floors)
    require_permitted_emergency(requester, patient, allowed, rooms, request)
    targets = [holder for id_, holder in holders.items() if allowed[id_].permitted and not holder.facility.suspended]
    if deadline.passed():
        raise DeadlinePassed("no time was left to ask the facilities")
    question = FacilityQuestion(
        wants_series=query.wants_series or rooms.labels.look_at_series or limits is not None,
        wants_department=rooms.labels.look_at_departments,
    )
    replies = rooms.facilities.ask(targets, question, deadline)

    now = rooms.clock()
    require_standing(rooms.declarations, requester, now)
    seen = rooms.sightings.observe(patient.id, [study for reply in replies for study in reply.studies], now)
    policy = rooms.consents.find(patient.id)  # once more: a revocation that came while the facilities were asked counts
    unchanged = still_holds(policy_then, asked_at, policy, now)
    decided = allowed if unchanged else decide_query(policy, requester, list(holders), now, floors)
    sources = decide_each_source(replies, policy, requester, decided, floors, rooms, now)
    admitted = permitted_sources(sources, limits, now)
    studies = released_studies(admitted, seen, patient, floors, rooms)
    matching = those_that_match(studies, query, now)
    gaps = gaps_in(holders, replies, decided)
    failed = bool(replies) and all(reply.failed for reply in replies)
    page = () if failed else tuple(select(matching))

    withheld = [(one.study.uid, one.decision) for one in sources if not one.decision.permitted]
    record = answer_record(
        *(request, requester, patient, now, decided, replies, page),
        failed=failed,
        withheld=withheld,
        in_part=() if limits is None else [study.uid for study in page if study.partial],
    )
    notices = [break_glass_record(request, requester, patient, now)] if BREAK_GLASS in requester.purposes else []
    unevaluable = [one.reference for one in policy.consents if one.active and one.root is None]
    alerts = alert_records(request, patient, replies, seen.shared, now, unevaluable)
    rooms.audit.record([record, *notices, *alerts])
    if failed:
        raise AllFacilitiesFailed([(gap.facility.id, gap.facility.name, gap.reason) for gap in gaps])
    return SearchAnswer(
        patient=patient,
        studies=page,
        total=len(matching),
        gaps=gaps,
        facilities={target.facility.id: target.facility for target in targets},
        permitted_records=permitted_records(holders, decided),
    )


def is_ambiguous(asked: PatientRef, requester: Requester, rooms: Rooms) -> bool:
    """Whether `asked` names several persons of whom this caller might see something: an empty answer would be a lie.

    Where everything of all of them is withheld, the answer is that of an unknown patient.
    """
    for person in rooms.mpi.find_carriers(asked):
        holders = holders_of(person, rooms.facilities.all())
        floors = rooms.labels.floors([holder.facility for holder in holders.values()])
        decided = decide_query(rooms.consents.find(person.id), requester, list(holders), rooms.clock(), floors)
        if any(decision.permitted for decision in decided.values()):
            return True
    return False


def read_imaging_study(
    study_id: str, requester: Requester, rooms: Rooms, deadline: Deadline, request: Request
) -> tuple[Study, SearchAnswer]:
    """The study of that id as this caller may see it now, decided and audited like a search.

    Raises NotFound where it is absent or withheld (the two can't be told apart) and DependencyUnavailable where a
    facility that may be seen, and has shown this study before, did not answer.
    """
    sighting = rooms.sightings.find(study_id)
    if sighting is None or (requester.patient is not None and not _same_person(sighting.person, requester, rooms)):
        rooms.audit.record([answer_record(request, requester, None, rooms.clock())])
        raise NotFound
    query = StudyQuery(patient=PatientRef(id=sighting.person), id=((study_id,),))
    try:
        answer = search_imaging_studies(query, requester, rooms, deadline, request, tuple, interaction="r")
    except BreakGlassRefused as exc:
        raise NotFound from exc  # an id that was never given out is not found either
    except AllFacilitiesFailed as exc:
        missing = {facility for facility, _, _ in exc.gaps}
        raise _missing(bool(missing & sighting.facilities)) from exc
    if not answer.studies:
        raise _missing(any(gap.facility.id in sighting.facilities for gap in answer.gaps))
    return answer.studies[0], answer


def _missing(holder_failed: bool) -> Exception:
    return DependencyUnavailable("a facility did not answer") if holder_failed else NotFound()


def require_bound_patient(requester: Requester, asked: PatientRef, found: PatientIdentity | None, rooms: Rooms) -> None:
    """A token bound to one patient is used for that patient. Raises AccessRefused, whether the other exists or not."""
    if requester.patient is None or asked.id == requester.patient:
        return
    if found is None or not _same_person(found.id, requester, rooms):
        raise AccessRefused("the token is bound to another patient")


def _same_person(person: str, requester: Requester, rooms: Rooms) -> bool:
    if person == requester.patient:
        return True
    bound = rooms.mpi.resolve(PatientRef(id=requester.patient))
    return bound is not None and bound.id == person


def holders_of(patient: PatientIdentity, facilities: Sequence[Facility]) -> Holders:
    """The facilities in whose domain the person has a record, each with those records, in facility order."""
    by_system: dict[str, list[SourceRecord]] = {}
    for record in patient.records:
        by_system.setdefault(record.identifier.system, []).append(record)
    return {
        facility.id: Target(facility=facility, records=tuple(by_system[facility.identifier_system]))
        for facility in facilities
        if facility.identifier_system in by_system
    }


def permitted_records(holders: Holders, decided: Decisions) -> tuple[SourceRecord, ...]:
    """The records, each once, of the facilities that this caller may see."""
    permitted = [record for id_, holder in holders.items() if decided[id_].permitted for record in holder.records]
    return tuple({record.record_id: record for record in permitted}.values())


_REASON_OF: Mapping[str, GapReason] = {
    "timed_out": "timeout",
    "unreachable": "transient",
    "refused": "transient",
    "unreadable": "unreadable",
}


def gaps_in(holders: Holders, replies: Sequence[FacilityReply], decided: Decisions) -> tuple[Gap, ...]:
    """The facilities whose part is missing, of those that may be seen now; a suspended one is missing too."""
    reasons: dict[FacilityID, GapReason] = {
        id_: "suspended" for id_, holder in holders.items() if holder.facility.suspended
    }
    for reply in replies:
        if reply.failed or reply.incomplete:
            reasons[reply.facility.id] = _REASON_OF.get(reply.status, "incomplete")
    return tuple(
        Gap(facility=holder.facility, reason=reasons[id_])
        for id_, holder in holders.items()
        if id_ in reasons and decided[id_].permitted
    )
