"""What a page of the audit costs: python -m bench.audit_reading [records] (`ONLY=sqlite|postgresql` for one of them).

A million records of 2,000 patients and 200 clinicians over a year, indexed; pages of 50 events, at the beginning, in
the middle and at the end of what is asked for. Told is the median of 15 pages each, in milliseconds: the three should
be alike, and those of a tenth of the records too. Whole calls: look-up, opening, deriving, sifting.
"""

import os
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from gateway.audit.canonical import to_canonical
from gateway.audit.fhir_audit_event import to_audit_events
from gateway.audit.log import StoredAuditLog
from gateway.audit.places import Place, Records, Span
from gateway.audit.record import AuditRecord, Released
from gateway.audit.tables import audit_record
from gateway.audit_desk import AuditDesk, EventPlace, EventQuestion
from gateway.db.base import EPOCH
from gateway.db.crypto import KeyRing, create_key_file, read_key_file
from gateway.db.rows import Rows, make_room
from gateway.db.session import open_database, writing
from gateway.db.upgrade import upgrade_to_head
from gateway.fhir.audit_search import parse_audit_search
from gateway.model import PatientID
from gateway.watch.tables import follower, term
from gateway.watch.term_index import NAME, TermIndex, keys_of
from gateway.watch.terms import Term, terms_of
from tests.factories_audit import a_record, a_who
from tests.services.postgres import Postgres

PATIENTS, CLINICIANS, CLIENTS = 2_000, 200, 20
BEGINS = datetime(2025, 11, 24, tzinfo=UTC)
A_BATCH = 20_000
PAGES = 15
BASE = "https://exchange.example"
QUESTIONS: dict[str, tuple[tuple[str, str], ...]] = {
    "everything": (),
    "one patient": (("patient", "patient-77"),),
    "one clinician": (("agent.identifier", "npi-7"),),
    "one client": (("agent.identifier", "client-3"),),
    "denials by consent": (("outcome", "8"),),
    "sign-ins (1 in 1,000)": (("subtype", "110122"),),
    "one client's denials": (("agent.identifier", "client-3"), ("outcome", "8")),
    "one study": (("entity.identifier", "urn:oid:2.25.4242"),),
}


def _records(count: int) -> Iterator[AuditRecord]:
    chance = random.Random(7)
    for n in range(count):
        clinician = chance.randrange(CLINICIANS)
        one = a_record(
            id=str(uuid.UUID(int=n)),
            recorded=BEGINS + timedelta(seconds=31 * n),
            patient=f"patient-{chance.randrange(PATIENTS)}",
            who=a_who(client_id=f"client-{clinician % CLIENTS}", subject_id=f"npi-{clinician}"),
            request_id=f"request-{n}",
            released=(Released(facility="north", studies=(f"2.25.{n}",)),),
            resources=(),
        )
        if n % 1_000 == 0:
            one = replace(one, kind="sign-in", patient=None, asked=(), decided=(), released=())
        yield one


def _terms(record: AuditRecord, known: dict[object, set[Term]]) -> set[Term]:
    """As `terms_of` finds them: those that most records of a caller share are derived once."""
    key = (record.kind, record.who)
    if key not in known:
        stand_in = replace(record, patient="?", request_id="", released=())
        known[key] = {one for one in terms_of(to_audit_events(stand_in, base_url=BASE)) if one[1] != "?"}
    own: set[Term] = {("entity.identifier", record.request_id)}
    for released in record.released:
        own |= {("agent", f"Organization/{released.facility}")}
        own |= {("entity.identifier", f"urn:oid:{uid}") for uid in released.studies}
    if record.patient:
        own |= {("patient", record.patient), ("entity", f"Patient/{record.patient}")}
    return known[key] | own


def fill(engine: Engine, keys: KeyRing, count: int) -> None:
    """So many records are stored, and indexed."""
    records = Rows(audit_record, "seq", "id", "recorded_at", "kind", "outcome", "patient_key", "sealed")
    terms = Rows(term, "key", "recorded_at", "seq")
    known: dict[object, set[Term]] = {}
    rows: list[tuple[object, ...]] = []
    found: list[tuple[object, ...]] = []
    for seq, one in enumerate(_records(count), start=1):
        at = (one.recorded - EPOCH) // timedelta(microseconds=1)
        patient = keys.blind("audit.patient", one.patient) if one.patient else None
        sealed = keys.seal(audit_record.name, one.id, to_canonical(one))
        rows.append((seq, one.id, at, one.kind, one.outcome, patient, sealed))
        found += [(key, at, seq) for key in keys_of(keys, _terms(one, known))]
        if len(rows) == A_BATCH or seq == count:
            with writing(engine) as connection:
                make_room(connection)
                if engine.dialect.name == "postgresql":
                    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
                records.add(connection, rows)
                found.sort()
                terms.add(connection, found)
            rows, found = [], []
    with writing(engine) as connection:
        connection.execute(follower.insert().values(name=NAME, position=count))


def measure(engine: Engine, keys: KeyRing) -> dict[str, tuple[float, float, float]]:
    """For each question the milliseconds of a page at the beginning, in the middle, at the end."""
    records, index = Records(engine, keys), TermIndex(engine, keys)
    audit = StoredAuditLog(engine, keys)
    desk = AuditDesk(engine=engine, records=records, index=index, audit=audit, clock=lambda: BEGINS, base_url=BASE)
    figures = {}
    for name, pairs in QUESTIONS.items():
        search = parse_audit_search(pairs, strict=True, path_base=BASE)
        question = search.about([frozenset((PatientID(str(ref.id)),)) for ref in search.patients])
        first, middle, last = _places(question, records, index)
        figures[name] = tuple(_page_ms(desk, question, place) for place in (first, middle, last))
    return figures  # type: ignore[return-value]


def _places(question: EventQuestion, records: Records, index: TermIndex) -> Sequence[EventPlace | None]:
    """The beginning, a place in the middle of the year, and one before the last page."""

    def places(descends: bool, since: datetime | None, count: int) -> Sequence[Place]:
        span = Span(descends, None, since, None)
        return index.places(question.terms[0], span, count) if question.terms else records.places(span, count)

    oldest = places(False, None, 30)
    year = timedelta(seconds=31) * records.places(Span(), 1)[0].seq
    middle = places(False, BEGINS + year / 2, 1)
    return None, EventPlace(middle[0], 0) if middle else None, EventPlace(oldest[-1], 0) if oldest else None


def _page_ms(desk: AuditDesk, question: EventQuestion, after: EventPlace | None) -> float:
    taken = []
    for _ in range(PAGES):
        started = time.perf_counter()
        desk.page(question, 50, after)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1000


def main(count: int) -> None:
    """Both databases, a tenth of the records first."""
    only = os.environ.get("ONLY")
    with tempfile.TemporaryDirectory(prefix="bench-audit-") as name:
        folder = Path(name)
        create_key_file(folder / "keys.json")
        keys = read_key_file(folder / "keys.json")
        for size in (count // 10, count):
            if only != "postgresql":
                _one("SQLite", f"sqlite:///{folder / f'{size}.db'}", keys, size)
            if only != "sqlite":
                server = Postgres(durable=False)
                _one("PostgreSQL", server.create_empty(), keys, size)
                server.stop()


def _one(name: str, url: str, keys: KeyRing, size: int) -> None:
    engine = open_database(url, serving=True)
    upgrade_to_head(engine)
    started = time.monotonic()
    fill(engine, keys, size)
    print(f"{name}, {size:,} records (made in {time.monotonic() - started:.0f} s): ms a page of 50 events", flush=True)
    for question, (first, middle, last) in measure(engine, keys).items():
        print(f"  {question:<24} first {first:6.1f}   middle {middle:6.1f}   last {last:6.1f}", flush=True)
    engine.dispose()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
