"""Whom may a description mean, of those that this caller may know of? Judged by what may be shown of them alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.audit.record import AuditRecord
from gateway.consent.decide import decide_query
from gateway.disclosure import Request, answer_record
from gateway.enumeration import require_few_matches
from gateway.model import PatientID, PatientIdentity, PatientRef, Requester, SourceRecord
from gateway.mpi.grade import Grade, only_certain
from gateway.mpi.questions import PatientQuestions, score
from gateway.patients import PatientAnswer
from gateway.rooms import Rooms
from gateway.search import holders_of, permitted_records

MOST_JUDGED = 20
"""Persons whose consents are looked at: the most alike ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """A person that a description may mean, as this caller may know them."""

    found: PatientAnswer
    grade: Grade
    score: float


def match_patients(
    patient: Mapping[str, Any],
    questions: PatientQuestions,
    requester: Requester,
    rooms: Rooms,
    request: Request,
    *,
    only_certain_matches: bool,
    count: int,
) -> list[Likeness]:
    """The persons that `patient` may mean, the most alike first; audited, found or not (IHE PDQm ITI-119).

    A record that is withheld from the caller counts for nothing, so that nothing can be learnt from how an answer
    changes. With `only_certain_matches` there is one person or none.
    """
    require_few_matches(requester, rooms, request)
    now = rooms.clock()
    candidates = questions.find(patient, now)
    likeliest = questions.rank(candidates, candidates.persons)[:MOST_JUDGED]
    shown: dict[PatientID, tuple[PatientIdentity, tuple[SourceRecord, ...]]] = {}
    records: dict[PatientID, AuditRecord] = {}
    for one in likeliest:
        found = rooms.mpi.resolve(PatientRef(id=one.person))
        if found is None or requester.patient not in (None, found.id):
            continue
        permitted, record = _permitted(found, requester, rooms, request)
        records[found.id] = record
        if permitted:
            shown[found.id] = (found, permitted)
    visible = {
        person: [one for one in members if one.record_id in {record.record_id for record in shown[person][1]}]
        for person, members in candidates.persons.items()
        if person in shown
    }
    ranked = questions.rank(candidates, visible)
    grades = questions.grades(ranked, candidates)
    places = only_certain(grades) if only_certain_matches else tuple(range(len(ranked)))
    answer = []
    for place in places[:count]:
        one = ranked[place]
        identity, permitted = shown[one.person]
        full = rooms.records.find_record_patients(identity)
        found_records = tuple((record, full[record.record_id]) for record in permitted)
        answered = PatientAnswer(patient=identity, records=found_records)
        answer.append(Likeness(found=answered, grade=grades[place], score=score(one, candidates.question)))
    rooms.audit.record(_audited(answer, records, requester, rooms, request, questions.algorithm))
    return answer


def _permitted(
    patient: PatientIdentity, requester: Requester, rooms: Rooms, request: Request
) -> tuple[tuple[SourceRecord, ...], AuditRecord]:
    now = rooms.clock()
    holders = holders_of(patient, rooms.facilities.all())
    floors = rooms.labels.floors([holder.facility for holder in holders.values()])
    decided = decide_query(rooms.consents.find(patient.id), requester, list(holders), now, floors)
    return permitted_records(holders, decided), answer_record(request, requester, patient, now, decided)


def _audited(
    answer: Sequence[Likeness],
    records: Mapping[PatientID, AuditRecord],
    requester: Requester,
    rooms: Rooms,
    request: Request,
    algorithm: str,
) -> list[AuditRecord]:
    told = {one.found.patient.id: one for one in answer}
    if not records:
        return [replace(answer_record(request, requester, None, rooms.clock()), algorithm=algorithm)]
    return [
        replace(
            record,
            algorithm=algorithm,
            resources=(f"Patient/{person}",) if person in told else (),
            details=(("grade", told[person].grade), ("score", str(told[person].score))) if person in told else (),
        )
        for person, record in records.items()
    ]
