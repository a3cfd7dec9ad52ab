"""AuditEvent on the wire: who may read the audit, and what of it (IHE ATNA ITI-81).

An auditor's client or account reads everything; a token that is bound to a patient reads what concerns that patient, by
every id they have had, and of nobody else. Each reading is in the audit before it is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gateway.audit.places import Place
from gateway.audit_desk import AuditDesk, EventPage, EventPlace, EventQuestion
from gateway.db.base import EPOCH
from gateway.db.crypto import KeyRing
from gateway.disclosure import Request
from gateway.enumeration import require_few_identifiers
from gateway.errors import NotFound, TooCostly
from gateway.fhir.audit_search import AuditSearch, parse_audit_search
from gateway.fhir.bundle import searchset
from gateway.fhir.elements import with_elements, with_summary
from gateway.fhir.imaging_face import require_scope
from gateway.fhir.paging import Cursor, cursor_in, decode_cursor, encode_cursor, page_url
from gateway.fhir.query_string import Pairs, write_url
from gateway.model import PatientID, PatientRef, Requester
from gateway.rooms import Rooms
from gateway.search import require_bound_patient

TYPE = "AuditEvent"
MOST_COUNTED = 10_000
_PAGE = 500
_MICROSECOND = timedelta(microseconds=1)
Resource = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFace:
    """What the views of AuditEvent need to answer."""

    rooms: Rooms
    desk: AuditDesk
    keys: KeyRing
    base: str
    """The FHIR base URL."""

    def search(self, pairs: Pairs, requester: Requester, request: Request, *, strict: bool) -> tuple[Resource, bool]:
        """A page of the events that are asked for, and whether it is wanted indented.

        The total is said where this page is all there is: to count the rest would be to read it.
        """
        require_scope(requester, "s", TYPE)
        return self.answer(pairs, requester, request, strict=strict)

    def answer(self, pairs: Pairs, requester: Requester, request: Request, *, strict: bool) -> tuple[Resource, bool]:
        """As `search`, to somebody who is known to be an auditor, or a patient."""
        now, after, text = self.rooms.clock(), None, cursor_in(pairs)
        if text:
            cursor = decode_cursor(self.keys, text, resource_type=TYPE, requester=requester, now=now)
            pairs, strict, after = cursor.pairs, False, _event_place(cursor.after)
        search = parse_audit_search(pairs, strict=strict, path_base=self.base)
        require_few_identifiers(search.patients, requester, self.rooms, request)
        question = self._question(search, requester)
        self._note_search(search, requester, request)
        if search.form.summary == "count":
            return self._bundle(search, request, now, EventPage(events=(), next=None), self._count(question)), False
        page = self.desk.page(question, search.form.count, after)
        total = len(page.events) if page.next is None and after is None else None
        next_url = None
        if page.next is not None:
            following = Cursor(pairs=search.form.self_pairs, after=_as_place(page.next))
            sealed = encode_cursor(self.keys, following, resource_type=TYPE, requester=requester, now=now)
            next_url = page_url(self.base, TYPE, sealed)
        self_url = page_url(self.base, TYPE, text) if text else None
        bundle = self._bundle(search, request, now, page, total, next_url=next_url, self_url=self_url)
        return bundle, search.form.pretty

    def read(self, id_: str, requester: Requester, request: Request) -> Resource:
        """The event of that id. Raises NotFound where it is absent, or not about the token's patient."""
        require_scope(requester, "r", TYPE)
        return self.show(id_, requester, request)

    def show(self, id_: str, requester: Requester, request: Request) -> Resource:
        """As `read`, to somebody who is known to be an auditor, or a patient."""
        own = None if requester.patient is None else self.desk.ids_of(requester.patient)
        found = self.desk.read(id_, own)
        self.desk.note(
            "audit-read", requester, request, requester.patient, resources=[f"{TYPE}/{id_}"] if found else ()
        )
        if found is None:
            raise NotFound
        return found

    def _question(self, search: AuditSearch, requester: Requester) -> EventQuestion:
        persons = [self._ids(ref, requester) for ref in search.patients]
        own = None if requester.patient is None else self.desk.ids_of(requester.patient)
        return search.about(persons, own)

    def _ids(self, ref: PatientRef, requester: Requester) -> frozenset[PatientID]:
        """Every id of the person meant; those of an unknown one are the one asked for, or none at all."""
        found = self.rooms.mpi.resolve(ref)
        require_bound_patient(requester, ref, found, self.rooms)
        if found is not None:
            return self.desk.ids_of(found.id) | ({ref.id} if ref.id else frozenset())
        return frozenset((ref.id,) if ref.id else ())

    def _note_search(self, search: AuditSearch, requester: Requester, request: Request) -> None:
        named = self.rooms.mpi.resolve(search.patients[0]) if len(search.patients) == 1 else None
        self.desk.note("audit-search", requester, request, requester.patient or (named.id if named else None))

    def _count(self, question: EventQuestion) -> int:
        """How many there are. Raises TooCostly where that would be to read the audit."""
        counted, after = 0, None
        for _ in range(MOST_COUNTED // _PAGE):
            page = self.desk.page(question, _PAGE, after)
            counted, after = counted + len(page.events), page.next
            if after is None:
                return counted
        raise TooCostly("these are too many to be counted: narrow the search by date, patient or agent")

    def _bundle(
        self,
        search: AuditSearch,
        request: Request,
        now: datetime,
        page: EventPage,
        total: int | None,
        *,
        next_url: str | None = None,
        self_url: str | None = None,
    ) -> Resource:
        return searchset(
            bundle_id=request.id,
            now=now,
            base=self.base,
            self_url=self_url or write_url(f"{self.base}/{TYPE}", search.form.self_pairs),
            next_url=next_url,
            total=total,
            matches=[_formed(event, search) for event in page.events],
        )


def _formed(event: Resource, search: AuditSearch) -> Resource:
    form = search.form
    return with_elements(event, form.elements) if form.elements else with_summary(event, form.summary)


def _as_place(place: EventPlace) -> tuple[int, ...]:
    return (place.record.recorded_at - EPOCH) // _MICROSECOND, place.record.seq, place.number


def _event_place(place: Sequence[int | str]) -> EventPlace:
    at, seq, number = (int(one) for one in place)
    return EventPlace(Place(EPOCH + at * _MICROSECOND, seq), number)
