"""Which events of the audit does a question find? A page of them costs the same however long the audit is.

A record gives several events, and a page ends wherever it is full: a place names the event, not the record alone. A
page looks at so many records at most; where few of many fit, a page is short and the next goes on behind it.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Engine, select

from gateway.audit.fhir_audit_event import to_audit_events
from gateway.audit.for_patients import only_about
from gateway.audit.places import Place, Records, Span
from gateway.audit.record import AuditKind, AuditLog, AuditRecord
from gateway.db.session import reading
from gateway.disclosure import Request, who
from gateway.model import PatientID, Requester
from gateway.mpi.tables import person
from gateway.watch.term_index import TermIndex
from gateway.watch.terms import Term, patients_of

Event = dict[str, Any]
MOST_BEHIND = 5_000
"""Records that the index has not come to and that a search looks at one by one; with more it does without the index."""
MOST_LOOKED_AT = 2_000
"""Records that one page opens at most."""
_A_LOOK = 250
_OPENED_FIRST = 10
_ALL_OF_IT = 1_000_000
"""Behind every event of a record."""


class EventPlace(NamedTuple):
    """Where an event stands: its record's place, and which of the record's events it is."""

    record: Place
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuestion:
    """What is looked for."""

    finds: Callable[[Event], bool]
    """Whether an event is one of them."""
    terms: tuple[tuple[Term, ...], ...] = ()
    """What all of them have: one of each tuple. Where that is in the index it is where they are looked for."""
    since: datetime | None = None
    until: datetime | None = None
    """All were recorded in `[since, until)`."""
    descends: bool = True
    """Whether the last come first."""
    patients: frozenset[PatientID] | None = None
    """The ids of the person whose own history it is, where that is all that may be told; nothing of others then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Some of the events, in order."""

    events: tuple[Event, ...]
    next: EventPlace | None
    """Behind which event more may follow; None where all have been told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditDesk:
    """What reading the audit needs."""

    engine: Engine
    records: Records
    index: TermIndex
    audit: AuditLog
    clock: Callable[[], datetime]
    base_url: str

    def page(self, question: EventQuestion, count: int, after: EventPlace | None = None) -> EventPage:
        """Up to `count` events behind `after`. Raises AuditRecordBroken, DependencyUnavailable."""
        found: list[Event] = []
        place = after
        if after is not None:  # the rest of the record that the last page ended in
            for event_place, event in self._events([after.record], question):
                if event_place.number > after.number:
                    found.append(event)
                    place = event_place
                    if len(found) == count:
                        return EventPage(events=tuple(found), next=place)
        looked = 0
        begin = place.record if place else None
        behind = self.index.behind(self.records, MOST_BEHIND) if question.terms else None
        while looked < MOST_LOOKED_AT:
            places = self._places(question, begin, behind)
            for event_place, event in self._events(places, question):
                found.append(event)
                if len(found) == count:
                    return EventPage(events=tuple(found), next=event_place)
            if len(places) < _A_LOOK:
                return EventPage(events=tuple(found), next=None)
            looked += len(places)
            begin = places[-1]
        assert begin is not None  # noqa: S101  # a full look has a last place
        return EventPage(events=tuple(found), next=EventPlace(begin, _ALL_OF_IT))

    def read(self, id_: str, patients: frozenset[PatientID] | None) -> Event | None:
        """The event of that id; None where there is none, or where it is not about `patients`. Raises as `page`."""
        record_id, _, number = id_.rpartition("-")
        record = self.records.find(record_id) if record_id and number.isdecimal() else None
        events = [] if record is None else self._told(record, patients)
        return next((event for event in events if event["id"] == id_), None)

    def ids_of(self, patient: PatientID) -> frozenset[PatientID]:
        """Every id by which the one person is or was known, that one included."""
        with reading(self.engine) as connection:
            survivor = connection.execute(select(person.c.survivor_id).where(person.c.id == patient)).scalar()
            living = survivor or patient
            same = connection.execute(select(person.c.id).where(person.c.survivor_id == living))
            return frozenset((patient, PatientID(living), *(PatientID(one) for one in same.scalars())))

    def note(
        self,
        kind: AuditKind,
        requester: Requester,
        request: Request,
        patient: PatientID | None,
        *,
        resources: Sequence[str] = (),
        details: Sequence[tuple[str, str]] = (),
    ) -> None:
        """That the audit is read is in the audit. Raises AuditUnavailable: then nothing is told."""
        record = AuditRecord(
            id=str(uuid.uuid4()),
            recorded=self.clock(),
            kind=kind,
            outcome="success",
            who=who(requester, request),
            patient=patient,
            request=request.raw,
            request_id=request.id,
            resources=tuple(resources),
            details=tuple(details),
        )
        self.audit.record([record])

    def _places(self, question: EventQuestion, after: Place | None, behind: Sequence[Place] | None) -> Sequence[Place]:
        """The next places where what is looked for may be; fewer than _A_LOOK where they are the last.

        `behind` are those that the index had not come to before it was first looked into; None: it is of no use.
        """
        span = Span(question.descends, after, question.since, question.until)
        if behind is None:
            return self.records.places(span, _A_LOOK)
        # Of several terms, the rarest: the one whose places reach furthest.
        looks = [self.index.places(terms, span, _A_LOOK) for terms in question.terms]
        rarest = max(looks, key=lambda places: _reach(places, span))
        new = [place for place in behind if _is_in(place, span)]
        return sorted({*rarest, *new}, reverse=span.descends)[:_A_LOOK]

    def _events(self, places: Sequence[Place], question: EventQuestion) -> Iterator[tuple[EventPlace, Event]]:
        # A few records are opened first, then ever more: where many fit, a page needs no others.
        opened, some = 0, _OPENED_FIRST
        while opened < len(places):
            part = places[opened : opened + some]
            records: Mapping[int, AuditRecord] = self.records.read([place.seq for place in part])
            for place in part:
                if place.seq in records:
                    for event in self._told(records[place.seq], question.patients):
                        if question.finds(event):
                            yield EventPlace(place, _number_of(event)), event
            opened, some = opened + some, some * 2

    def _told(self, record: AuditRecord, patients: frozenset[PatientID] | None) -> list[Event]:
        events = to_audit_events(record, base_url=self.base_url)
        if patients is None:
            return events
        return [only_about(event, patients, record.kind) for event in events if patients & patients_of(event)]


def _reach(places: Sequence[Place], span: Span) -> tuple[int, float]:
    """How far a full look reaches; one that isn't full reaches to the end."""
    if len(places) < _A_LOOK:
        return 1, -len(places)
    at = places[-1].recorded_at.timestamp()
    return 0, -at if span.descends else at


def _is_in(place: Place, span: Span) -> bool:
    if (span.since is not None and place.recorded_at < span.since) or (
        span.until is not None and place.recorded_at >= span.until
    ):
        return False
    if span.after is None:
        return True
    return place < span.after if span.descends else place > span.after


def _number_of(event: Event) -> int:
    return int(event["id"].rpartition("-")[2])
