"""What is acknowledged is stored, what can't be is refused, and nothing is ever changed: SQLite and PostgreSQL."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, event, func, select, text, update

from gateway.audit.canonical import to_canonical
from gateway.audit.log import AuditRecordBroken, StoredAuditLog, open_audit_log
from gateway.audit.record import AuditRecord
from gateway.audit.tables import audit_record
from gateway.db.crypto import KeyRing
from gateway.db.session import open_database, writing
from gateway.errors import AuditUnavailable, DependencyUnavailable
from tests.audit_tampering import owning
from tests.factories_audit import NOON, PERSON, a_record, a_who

SECONDS = timedelta(seconds=1)


@pytest.fixture
def log(engine: Engine, keys: KeyRing) -> Iterator[StoredAuditLog]:
    """The log, in each database."""
    with open_audit_log(engine, keys) as opened:
        yield opened


@pytest.fixture
def sqlite_log(sqlite_engine: Engine, keys: KeyRing) -> Iterator[StoredAuditLog]:
    """The log in SQLite, for failures that are made with SQLite's own means."""
    with open_audit_log(sqlite_engine, keys) as opened:
        yield opened


def _count(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(audit_record)).scalar_one()


def test_records_are_read_as_they_were_written_and_in_order(log: StoredAuditLog) -> None:
    """Everything comes back, oldest first."""
    records = [a_record(), a_record(kind="patient-read"), a_record(patient=None)]

    log.record(records[:2])
    log.record(records[2:])

    assert list(log.read()) == records


def test_records_are_found_by_person_and_by_time(log: StoredAuditLog) -> None:
    """`since` is included, `until` is not, and another person's records are not among them."""
    mine = [a_record(recorded=NOON + n * SECONDS) for n in range(4)]
    log.record([*mine, a_record(patient="someone-else"), a_record(patient=None)])

    assert list(log.read(patients=[PERSON])) == mine
    assert list(log.read(patients=[PERSON], since=NOON + SECONDS, until=NOON + 3 * SECONDS)) == mine[1:3]
    assert list(log.read(patients=[PERSON], limit=2)) == mine[:2]
    assert list(log.read(patients=["nobody"])) == []
    assert list(log.read(patients=[])) == []
    assert len(list(log.read(patients=[PERSON, "someone-else"]))) == 5, "a person keeps the records of former ids"
    assert list(log.read(limit=0)) == []


def test_more_records_than_a_page_are_all_read(log: StoredAuditLog) -> None:
    """Reading goes on from page to page and loses and repeats nothing."""
    records = [a_record(asked=(), decided=()) for _ in range(1203)]
    log.record(records)

    assert [record.id for record in log.read()] == [record.id for record in records]
    assert [record.id for record in log.read(limit=501)] == [record.id for record in records[:501]]


def test_nothing_is_recorded_by_an_empty_call(log: StoredAuditLog, engine: Engine) -> None:
    """No records: no transaction."""
    log.record([])

    assert _count(engine) == 0


def test_callers_side_by_side_share_commits_and_lose_nothing(log: StoredAuditLog, engine: Engine) -> None:
    """Sixteen threads that record at once are stored in fewer transactions than there are calls."""
    commits: list[object] = []
    event.listen(engine, "commit", commits.append)
    records = [a_record() for _ in range(16 * 20)]

    def work(mine: list[AuditRecord]) -> None:
        for record in mine:
            log.record([record])

    _together([lambda part=records[n::16]: work(part) for n in range(16)])

    assert {record.id for record in log.read()} == {record.id for record in records}
    assert len(commits) < len(records)


def test_a_record_that_is_refused_fails_its_own_caller_alone(log: StoredAuditLog, engine: Engine) -> None:
    """An id that is there already is an error of whoever sent it; whoever shared the commit is not harmed."""
    taken = a_record()
    log.record([taken])
    outcomes: dict[str, bool] = {}

    def work(name: str, records: list[AuditRecord]) -> None:
        try:
            log.record(records)
            outcomes[name] = True
        except AuditUnavailable:
            outcomes[name] = False

    with _held_up(engine):
        workers = [
            threading.Thread(target=work, args=args)
            for args in (("good", [a_record()]), ("bad", [a_record(), taken]), ("also good", [a_record()]))
        ]
        for worker in workers:
            worker.start()
        time.sleep(0.2)
    for worker in workers:
        worker.join()

    assert outcomes == {"good": True, "bad": False, "also good": True}
    assert _count(engine) == 3


def test_t059_a_store_that_is_locked_is_reported_in_bounded_time(
    sqlite_log: StoredAuditLog, sqlite_engine: Engine
) -> None:
    """Somebody holds the write lock: the caller is told within three seconds, and may try again afterwards."""
    started = time.monotonic()
    with _held_up(sqlite_engine):
        with pytest.raises(AuditUnavailable):
            sqlite_log.record([a_record()])
        assert time.monotonic() - started < 3

    later = a_record()
    _until_stored(sqlite_log, later)
    assert later in list(sqlite_log.read())


def test_t059_a_store_that_is_full_refuses_and_keeps_nothing_half(sqlite_engine: Engine, keys: KeyRing) -> None:
    """The disk is full in the middle of a batch: none of the batch is there, and the caller knows."""
    event.listen(sqlite_engine, "connect", lambda raw, _: raw.execute("PRAGMA max_page_count=1"))
    before = _count(sqlite_engine)
    with open_audit_log(sqlite_engine, keys) as log, pytest.raises(AuditUnavailable):
        log.record([a_record() for _ in range(2_000)])

    assert _count(sqlite_engine) == before


def test_t059_a_store_that_is_gone_refuses(log: StoredAuditLog, engine: Engine) -> None:
    """Without its table nothing is acknowledged, and what is asked for can't be read."""
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE audit_record"))

    with pytest.raises(AuditUnavailable):
        log.record([a_record()])
    with pytest.raises(DependencyUnavailable):
        list(log.read())


def test_t059_a_database_that_can_not_be_reached_refuses(tmp_path: Path, keys: KeyRing) -> None:
    """Neither a file that can't be opened nor a server that is not there gives an acknowledgement."""
    (tmp_path / "a-directory").mkdir()
    for url in (f"sqlite:///{tmp_path}/a-directory", "postgresql://nobody@127.0.0.1:1/nothing"):
        unreachable = open_database(url)
        with open_audit_log(unreachable, keys) as log, pytest.raises(AuditUnavailable):
            log.record([a_record()])
        unreachable.dispose()


def test_a_closed_log_has_stored_everything_and_takes_no_more(engine: Engine, keys: KeyRing) -> None:
    """Closing flushes; what comes later is refused and not lost in silence."""
    log = open_audit_log(engine, keys)
    records = [a_record() for _ in range(40)]
    _together([lambda record=record: log.record([record]) for record in records])
    log.close()

    with pytest.raises(AuditUnavailable):
        log.record([a_record()])
    assert {record.id for record in log.read()} == {record.id for record in records}


def test_the_log_is_append_only() -> None:
    """Records can be added and read; nothing that would change or remove one is offered."""
    assert {name for name in vars(StoredAuditLog) if not name.startswith("_")} == {
        "record",
        "record_within",
        "read",
        "patient_key",
        "close",
    }


def test_what_is_recorded_within_a_transaction_is_stored_with_it(log: StoredAuditLog, engine: Engine) -> None:
    """Committed it is there; rolled back it never was."""
    kept, undone = a_record(), a_record()
    with writing(engine) as connection:
        log.record_within(connection, [kept])
        log.record_within(connection, [])

    with engine.connect() as connection, connection.begin() as transaction:
        log.record_within(connection, [undone])
        transaction.rollback()

    assert list(log.read()) == [kept]


def test_what_can_not_be_recorded_within_a_transaction_is_an_error(log: StoredAuditLog, engine: Engine) -> None:
    """Whoever asked must not commit."""
    taken = a_record()
    log.record([taken])

    with pytest.raises(AuditUnavailable), writing(engine) as connection:
        log.record_within(connection, [taken])

    assert list(log.read()) == [taken]


def test_an_altered_record_is_an_error_that_names_it(log: StoredAuditLog, engine: Engine) -> None:
    """A changed byte, and a record moved under another's id, are found when they are read."""
    first, second, third = a_record(), a_record(), a_record()
    log.record([first, second, third])
    columns = audit_record.c
    with owning(engine) as connection:
        sealed = connection.execute(select(columns.sealed).where(columns.id == first.id)).scalar_one()
        connection.execute(update(audit_record).where(columns.id == second.id).values(sealed=sealed))

    reading = log.read()
    assert next(reading) == first
    with pytest.raises(AuditRecordBroken) as caught:
        next(reading)
    assert caught.value.seq == 2
    assert "2" in caught.value.reason

    with engine.begin() as connection:
        connection.execute(delete(audit_record).where(columns.id == second.id))
        broken = bytes(sealed[:-1]) + bytes([sealed[-1] ^ 1])
        connection.execute(update(audit_record).where(columns.id == third.id).values(sealed=broken))
    with pytest.raises(AuditRecordBroken):
        list(log.read())


def test_bytes_that_are_well_sealed_but_no_record_are_an_error_too(
    log: StoredAuditLog, engine: Engine, keys: KeyRing
) -> None:
    """A record of a later version, or of another id, is never passed off as something else."""
    for sealed_id, plain in (("odd", b'{"schema":99}'), ("other", to_canonical(a_record(id="not-other")))):
        with owning(engine) as connection:
            connection.execute(delete(audit_record))
            connection.execute(
                audit_record.insert().values(
                    id=sealed_id,
                    recorded_at=NOON,
                    kind="alert",
                    outcome="success",
                    sealed=keys.seal("audit_record", sealed_id, plain),
                )
            )
        with pytest.raises(AuditRecordBroken):
            list(log.read())


def test_nothing_that_names_a_person_lies_in_clear(sqlite_url: str, sqlite_engine: Engine, keys: KeyRing) -> None:
    """A stolen file tells when something was asked, and not who asked about whom."""
    with open_audit_log(sqlite_engine, keys) as log:
        log.record([a_record(who=a_who(subject_name="Zebediah Quillfeather"))])
    with sqlite_engine.connect() as connection:
        connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))

    stored = b"".join(path.read_bytes() for path in Path(sqlite_url.removeprefix("sqlite:///")).parent.glob("*.db*"))
    for canary in ("Quillfeather", PERSON, "Lakeside", "1.2.840.1", "192.0.2.10", "Consent/c1"):
        assert canary.encode() not in stored


def test_a_forked_worker_writes_with_a_thread_of_its_own(sqlite_engine: Engine, keys: KeyRing) -> None:
    """A server that forks after the log was used still records in every worker."""
    log = open_audit_log(sqlite_engine, keys)
    log.record([a_record()])
    child = os.fork()
    if child == 0:
        sqlite_engine.dispose(close=False)
        try:
            log.record([a_record(id="from-the-child")])
        finally:
            os._exit(0)
    os.waitpid(child, 0)

    assert "from-the-child" in {record.id for record in log.read()}
    log.close()


WORKER = """
import sys
from pathlib import Path
from gateway.audit.log import open_audit_log
from gateway.db.crypto import read_key_file
from gateway.db.session import open_database, writing
from tests.audit_tampering import owning
from tests.factories_audit import a_record
from threading import Thread

log = open_audit_log(open_database(sys.argv[1]), read_key_file(Path(sys.argv[2])))

def work():
    while True:
        record = a_record()
        log.record([record])
        sys.stdout.write(record.id + "\\n")
        sys.stdout.flush()

for _ in range(8):
    Thread(target=work).start()
"""


@pytest.mark.parametrize("acknowledged", [1, 200])
def test_t090_no_acknowledged_record_is_lost_when_the_process_is_killed(
    database_url: str, engine: Engine, keys: KeyRing, keys_file: Path, acknowledged: int
) -> None:
    """Killed without a chance to say goodbye, in the middle of writing: all that was acknowledged can be read."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, database_url, str(keys_file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    told = [process.stdout.readline().strip() for _ in range(acknowledged)]
    process.kill()
    told += [line.strip() for line in process.stdout if line.endswith("\n")]
    process.stdout.close()
    process.wait()

    with open_audit_log(engine, keys) as log:
        stored = {record.id for record in log.read()}
    assert "" not in told
    assert set(told) <= stored


class _held_up:
    """Within this block nobody else can write to the database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __enter__(self) -> None:
        if self._engine.dialect.name == "sqlite":
            assert self._engine.url.database is not None
            self._raw = sqlite3.connect(self._engine.url.database, isolation_level=None, check_same_thread=False)
            self._raw.execute("BEGIN IMMEDIATE")
        else:
            self._connection = self._engine.connect()
            self._connection.execute(text("LOCK TABLE audit_record IN EXCLUSIVE MODE"))

    def __exit__(self, *_: object) -> None:
        if self._engine.dialect.name == "sqlite":
            self._raw.execute("ROLLBACK")
            self._raw.close()
        else:
            self._connection.rollback()
            self._connection.close()


def _together(jobs: list) -> None:  # type: ignore[type-arg]
    workers = [threading.Thread(target=job) for job in jobs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def _until_stored(log: StoredAuditLog, record: AuditRecord) -> None:
    for _ in range(5):
        try:
            log.record([record])
        except AuditUnavailable:
            continue
        return
    raise AssertionError
