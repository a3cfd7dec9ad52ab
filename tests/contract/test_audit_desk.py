"""The audit is read by questions: every event that is one of them, once, in order, whatever has been indexed so far."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, insert

from gateway.audit.fhir_audit_event import to_audit_events
from gateway.audit.log import StoredAuditLog, open_audit_log
from gateway.audit.places import Records
from gateway.audit.record import AuditRecord, Who
from gateway.audit.tables import audit_record
from gateway.audit_desk import MOST_LOOKED_AT, AuditDesk, EventPlace
from gateway.db.crypto import KeyRing
from gateway.db.session import writing
from gateway.fhir.audit_search import parse_audit_search
from gateway.model import PatientID
from gateway.mpi.tables import person
from gateway.watch.follow import GAP_PATIENCE, Following
from gateway.watch.term_index import TermIndex, TermIndexer
from tests.factories_audit import NOON, a_record, a_who

BASE = "https://exchange.example"
LATER = NOON + timedelta(days=1)
KINDS = ("imaging-search", "imaging-read", "patient-search", "token-issued", "access-refused", "operator", "sign-in")
PATIENTS = ("p1", "p2", "p3", None)


@pytest.fixture
def log(engine: Engine, keys: KeyRing) -> Iterator[StoredAuditLog]:
    """The log that the desk reads."""
    with open_audit_log(engine, keys) as one:
        yield one


@pytest.fixture
def desk(engine: Engine, keys: KeyRing, log: StoredAuditLog) -> AuditDesk:
    """What reads it."""
    records = Records(engine, keys)
    index = TermIndex(engine, keys)
    return AuditDesk(engine=engine, records=records, index=index, audit=log, clock=lambda: LATER, base_url=BASE)


def _following(engine: Engine, keys: KeyRing, holder: str = "one", now: datetime = LATER) -> Following:
    return Following(engine=engine, records=Records(engine, keys), holder=holder, clock=lambda: now)


def _index(engine: Engine, keys: KeyRing) -> int:
    following, indexer, done = _following(engine, keys), TermIndexer(keys), 0
    while step := following.step(indexer):
        done += step
    return done


def _various(count: int) -> list[AuditRecord]:
    """Records of many kinds, patients and callers; several at one moment, and not stored in the order of time."""
    made = []
    for n in range(count):
        kind = KINDS[n % len(KINDS)]
        patient = PATIENTS[n % len(PATIENTS)]
        changes: dict[str, Any] = {
            "id": str(uuid.UUID(int=n)),
            "kind": kind,
            "patient": patient,
            "recorded": NOON + timedelta(seconds=(n * 7) % 13),
            "who": a_who(client_id=f"ehr-{n % 3}", network=f"192.0.2.{n % 5}") if n % 6 else Who(subject_id="root"),
        }
        if kind not in ("imaging-search", "imaging-read"):
            changes |= {"asked": (), "decided": (), "released": (), "resources": (f"Patient/{patient}",)}
        if kind == "access-refused":
            changes["outcome"] = "refused"
        made.append(a_record(**changes))
    return made


def _expected(records: list[AuditRecord], pairs: tuple[tuple[str, str], ...]) -> list[str]:
    search = parse_audit_search(pairs, strict=True, path_base=f"{BASE}/fhir/r4")
    question = search.about([frozenset((PatientID(ref.id),)) for ref in search.patients if ref.id])
    numbered = sorted(enumerate(records), key=lambda one: (one[1].recorded, one[0]), reverse=question.descends)
    return [
        event["id"]
        for _, record in numbered
        for event in to_audit_events(record, base_url=BASE)
        if question.finds(event)
    ]


def _read(desk: AuditDesk, pairs: tuple[tuple[str, str], ...], count: int) -> list[str]:
    search = parse_audit_search(pairs, strict=True, path_base=f"{BASE}/fhir/r4")
    question = search.about([desk.ids_of(PatientID(ref.id)) for ref in search.patients if ref.id])
    found: list[str] = []
    after: EventPlace | None = None
    while True:
        page = desk.page(question, count, after)
        assert len(page.events) <= count
        found += [event["id"] for event in page.events]
        if page.next is None:
            return found
        after = page.next


SEARCHES = {
    "everything": (),
    "everything, the oldest first": (("_sort", "date"),),
    "one patient": (("patient", "Patient/p1"),),
    "one patient's refusals by consent": (("patient", "p2"), ("outcome", "8")),
    "one client": (("agent.identifier", "ehr-1"),),
    "one client in one span": (
        ("agent.identifier", "ehr-2"),
        ("date", "ge2026-03-05T12:00:03Z"),
        ("date", "lt2026-03-05T12:00:09Z"),
    ),
    "one of two clients, the oldest first": (("agent.identifier", "ehr-0,ehr-2"), ("_sort", "date")),
    "what the facility north took part in": (("agent", "Organization/north"),),
    "by a bare id, which is not indexed": (("agent", "north"),),
    "a study": (("entity.identifier", "urn:oid:1.2.840.2"),),
    "a consent": (("entity", "Consent/c1/_history/2"),),
    "sign-ins": (("subtype", "110122"),),
    "all searches, which is no term": (("type", "http://terminology.hl7.org/CodeSystem/audit-event-type|rest"),),
    "refused": (("outcome", "4"), ("action", "E")),
    "the gateway itself, which is in everything": (("agent.identifier", BASE),),
    "where the gateway is": (("address", "exchange.example"), ("subtype", "110122")),
    "an address": (("address", "192.0.2.3"), ("type", "rest")),
    "a name": (("agent-name", "dr. ada"), ("outcome", "0,4")),
    "nobody": (("patient", "nobody"),),
}


@pytest.mark.parametrize("indexed", [0, 21, 42])
def test_pages_tell_each_event_that_is_asked_for_once_and_in_order(
    engine: Engine, keys: KeyRing, log: StoredAuditLog, desk: AuditDesk, indexed: int
) -> None:
    """Whatever is asked, however long a page is, and however much of the audit has been indexed."""
    records = _various(42)
    for one in records[:indexed]:
        log.record([one])
    assert _index(engine, keys) == indexed
    for one in records[indexed:]:
        log.record([one])

    for name, pairs in SEARCHES.items():
        expected = _expected(records, pairs)
        assert bool(expected) == (name != "nobody"), name
        for count in (7, 200):
            assert _read(desk, pairs, count) == expected, (name, count)


def test_a_page_may_end_within_a_record_and_the_next_begins_with_its_next_event(
    log: StoredAuditLog, desk: AuditDesk
) -> None:
    """One record is six events: pages of one event tell all of them."""
    record = a_record()
    log.record([record])

    assert _read(desk, (), 1) == [f"{record.id}-{n}" for n in range(1, 7)]


def test_what_is_recorded_while_pages_are_read_neither_repeats_nor_loses_any(
    engine: Engine, keys: KeyRing, log: StoredAuditLog, desk: AuditDesk
) -> None:
    """New records and a growing index between two pages; the last come first, so that new ones stand before."""
    records = _various(40)
    log.record(records)
    question = parse_audit_search((("patient", "p1"),), strict=True, path_base=BASE).about(
        [frozenset((PatientID("p1"),))]
    )
    found: list[str] = []
    page = desk.page(question, 4)
    n = 0
    while True:
        found += [event["id"] for event in page.events]
        if page.next is None:
            break
        n += 1
        log.record([a_record(patient="p1", recorded=LATER + timedelta(seconds=n))])
        if n % 2:
            _following(engine, keys).step(TermIndexer(keys))
        page = desk.page(question, 4, page.next)

    assert found == _expected(records, (("patient", "p1"),))


def test_one_page_looks_at_so_many_records_and_no_more(
    engine: Engine, keys: KeyRing, log: StoredAuditLog, desk: AuditDesk
) -> None:
    """Where few of many fit, the page is short, and its link goes on."""
    wanted = a_record(who=a_who(subject_name="Rare"), recorded=NOON - timedelta(days=1))
    plain = {"asked": (), "decided": (), "released": ()}
    log.record([wanted, *(a_record(**plain) for _ in range(MOST_LOOKED_AT + 50))])
    question = parse_audit_search((("agent-name", "Rare"),), strict=True, path_base=BASE).question

    first = desk.page(question, 10)
    assert first.events == ()
    assert first.next is not None
    second = desk.page(question, 10, first.next)
    assert {event["id"].rpartition("-")[0] for event in second.events} == {wanted.id}


def test_one_process_follows_at_a_time_and_another_takes_over_when_it_says_nothing_more(
    engine: Engine, keys: KeyRing, log: StoredAuditLog
) -> None:
    """A lease in the database; what one has done the other doesn't do again."""
    log.record(_various(3))
    one, other = _following(engine, keys), _following(engine, keys, "other")
    indexer = TermIndexer(keys)

    assert one.step(indexer) == 3
    log.record([a_record(recorded=NOON)])
    assert other.step(indexer) == 0
    much_later = _following(engine, keys, "other", LATER + timedelta(minutes=1))
    assert much_later.step(indexer) == 1
    assert one.step(indexer) == 0
    much_later.give_up(indexer.name)
    log.record([a_record(recorded=NOON)])
    assert one.step(indexer) == 1


def test_a_number_that_may_yet_be_stored_is_waited_for(engine: Engine, keys: KeyRing, log: StoredAuditLog) -> None:
    """Two processes store at once: the lower number may come last. One that never comes is waited for a while only."""
    log.record([a_record(recorded=NOON)])
    with writing(engine) as connection:
        record = a_record(recorded=NOON)
        row = log._row(record)
        connection.execute(insert(audit_record).values(seq=3, **row))
    soon = _following(engine, keys, now=NOON + GAP_PATIENCE / 2)
    late = _following(engine, keys, now=NOON + GAP_PATIENCE * 2)

    assert soon.step(TermIndexer(keys)) == 1
    assert soon.step(TermIndexer(keys)) == 0
    assert late.step(TermIndexer(keys)) == 1


def test_an_event_is_read_by_its_id(log: StoredAuditLog, desk: AuditDesk) -> None:
    """By record and number; anything else is nobody's id."""
    record = a_record(recorded=datetime(2026, 3, 5, tzinfo=UTC))
    log.record([record])

    assert desk.read(f"{record.id}-2", None) == to_audit_events(record, base_url=BASE)[1]
    for id_ in (record.id, f"{record.id}-7", f"{record.id}-02", f"{record.id}-0", "x-1", "-1", "1"):
        assert desk.read(id_, None) is None, id_
    assert desk.read(f"{record.id}-2", frozenset((PatientID("somebody-else"),))) is None


def test_a_person_is_known_by_every_id_they_have_had(engine: Engine, desk: AuditDesk) -> None:
    """Whichever of them is asked for; an unknown id is known by itself."""
    one, other, unknown = PatientID("p1"), PatientID("p2"), PatientID("nobody")
    with writing(engine) as connection:
        connection.execute(insert(person), [{"id": one, "created_at": NOON}, {"id": "apart", "created_at": NOON}])
        connection.execute(insert(person).values(id=other, created_at=NOON, survivor_id=one, retired_at=NOON))

    assert desk.ids_of(one) == desk.ids_of(other) == {one, other}
    assert desk.ids_of(unknown) == {unknown}
