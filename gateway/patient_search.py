"""Who is meant by a search on Patient, of those that this caller may know of? (IHE PDQm ITI-78)

Of a person, a record that is withheld from the caller counts for nothing, so that nothing can be learnt from what a
search finds: whoever would be found by it alone is not there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.audit.record import AuditRecord
from gateway.consent.decide import decide_query
from gateway.consent.labels import Labels
from gateway.disclosure import Request, answer_record
from gateway.enumeration import require_few
from gateway.imaging.matching import holds
from gateway.model import (
    Facility,
    FacilityID,
    Identifier,
    Moment,
    PatientID,
    PatientRef,
    Requester,
    SourceRecord,
    Token,
)
from gateway.mpi.demographics import identifiers_of
from gateway.mpi.patient_finder import FoundPatient, PatientFinder
from gateway.mpi.patient_query import PatientQuery, is_described
from gateway.patients import PatientAnswer
from gateway.rooms import Rooms
from gateway.search import holders_of, is_ambiguous, permitted_records, require_bound_patient

_AN_INSTANT = timedelta(microseconds=1)
MOST_WITHHELD = 20
"""Persons who are withheld that the audit of one search names."""

Select = Callable[[Sequence[PatientAnswer]], Sequence[PatientAnswer]]
"""Of all who are found: those that this answer hands out, in order (the page)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientsAnswer:
    """The persons a search may tell of, audited."""

    patients: tuple[PatientAnswer, ...]
    """The page, as `select` chose it."""
    total: int
    ambiguous: bool
    """True where an identifier names several persons, and the caller might see something of one of them."""


def search_patients(
    query: PatientQuery, requester: Requester, rooms: Rooms, finder: PatientFinder, request: Request, select: Select
) -> PatientsAnswer:
    """The persons who are meant and may be known of, each of them audited before this returns.

    An identifier with its system names its one person, whichever of their facilities may be seen; one that several
    persons carry names nobody. Raises AccessRefused where the token is bound to another patient than one that is
    named, and TooCostly.
    """
    tried = [f"{token.system or ''}|{token.code}" for tokens in query.identifiers for token in tokens if token.code]
    require_few(tried, requester, rooms, request)
    named = _named(query, requester, rooms, finder)
    now = rooms.clock()
    if named.persons is None:
        found = finder.find(query.described, now)
    else:
        found = finder.find_among(named.persons, query.described, now)
    judge = _Judge(query=query, named=named, requester=requester, rooms=rooms, request=request, now=now)
    shown: dict[PatientID, tuple[PatientAnswer, AuditRecord]] = {}
    withheld: list[AuditRecord] = []
    for one in found:
        answer, record = judge.judge(one)
        if answer is not None:
            shown[one.patient.id] = answer, record
        elif len(withheld) < MOST_WITHHELD:
            withheld.append(record)
    page = tuple(select([answer for answer, _ in shown.values()]))
    records = [*(shown[one.patient.id][1] for one in page), *withheld]
    rooms.audit.record(records or [answer_record(request, requester, None, now, ambiguous=named.ambiguous)])
    return PatientsAnswer(patients=page, total=len(shown), ambiguous=named.ambiguous)


@dataclass(slots=True, kw_only=True)
class _Named:
    """Whom ids and identifiers name."""

    persons: set[PatientID] | None = None
    """Nobody else can be meant; None where a description alone decides."""
    by_token: dict[Token, set[PatientID]] = field(default_factory=dict)
    ambiguous: bool = False

    def narrow(self, persons: set[PatientID]) -> None:
        self.persons = persons if self.persons is None else self.persons & persons


def _named(query: PatientQuery, requester: Requester, rooms: Rooms, finder: PatientFinder) -> _Named:
    named = _Named()
    for ids in query.ids:
        named.narrow({person for one in ids for person in _resolved(PatientRef(id=one), requester, rooms)})
    for tokens in query.identifiers:
        for token in tokens:
            if token.system and token.code:
                ref = PatientRef(identifier=Identifier(token.system, token.code))
                named.by_token[token] = _resolved(ref, requester, rooms)
                named.ambiguous |= not named.by_token[token] and is_ambiguous(ref, requester, rooms)
            elif token.code and requester.patient is None:
                domains = {facility.identifier_system for facility in rooms.facilities.all()}
                named.by_token[token] = finder.find_carriers(token.code, domains)
        if all(token in named.by_token for token in tokens):
            named.narrow({person for token in tokens for person in named.by_token[token]})
    if requester.patient is not None:
        named.narrow(_resolved(PatientRef(id=requester.patient), requester, rooms))
    return named


def _resolved(ref: PatientRef, requester: Requester, rooms: Rooms) -> set[PatientID]:
    found = rooms.mpi.resolve(ref)
    require_bound_patient(requester, ref, found, rooms)
    return {found.id} if found else set()


@dataclass(slots=True, kw_only=True)
class _Judge:
    """Decides, person after person, what of them this caller may know, and whether that is who is meant."""

    query: PatientQuery
    named: _Named
    requester: Requester
    rooms: Rooms
    request: Request
    now: datetime
    facilities: Sequence[Facility] = field(init=False)
    floors: Mapping[FacilityID, Labels] = field(init=False)

    def __post_init__(self) -> None:
        self.facilities = self.rooms.facilities.all()
        self.floors = self.rooms.labels.floors(self.facilities)

    def judge(self, one: FoundPatient) -> tuple[PatientAnswer | None, AuditRecord]:
        """The person as the caller may know them, None where that is not who is meant; and what the audit says."""
        holders = holders_of(one.patient, self.facilities)
        policy = self.rooms.consents.find(one.patient.id)
        decided = decide_query(policy, self.requester, list(holders), self.now, self.floors)
        permitted = permitted_records(holders, decided)
        told = self._is_meant(one, permitted)
        resources = (f"Patient/{one.patient.id}",) if told else ()
        record = answer_record(self.request, self.requester, one.patient, self.now, decided, resources=resources)
        records = tuple((source, dict(one.patients[source.record_id])) for source in permitted)
        return (PatientAnswer(patient=one.patient, records=records) if told else None), record

    def _is_meant(self, one: FoundPatient, permitted: Sequence[SourceRecord]) -> bool:
        patients = [one.patients[source.record_id] for source in permitted]
        if not any(is_described(patient, self.query.described, self.now) for patient in patients):
            return False
        identifiers = {identifier for patient in patients for identifier in identifiers_of(patient)}
        if not self._is_changed(permitted):
            return False
        if self.query.domains and self.query.domains.isdisjoint(identifier.system for identifier in identifiers):
            return False
        return all(
            any(self._carries(one.patient.id, identifiers, token) for token in tokens)
            for tokens in self.query.identifiers
        )

    def _is_changed(self, permitted: Sequence[SourceRecord]) -> bool:
        at = max(max(source.updated_at, source.linked_at) for source in permitted)
        changed = Moment(start=at, end=at + _AN_INSTANT)
        return all(any(holds(one, changed, self.now) for one in bounds) for bounds in self.query.last_updated)

    def _carries(self, person: PatientID, identifiers: set[Identifier], token: Token) -> bool:
        if token.system and token.code:
            return person in self.named.by_token[token]
        return any(
            token.system in (None, identifier.system) and token.code in (None, identifier.value)
            for identifier in identifiers
        )
