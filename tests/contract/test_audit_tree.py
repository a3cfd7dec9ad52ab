"""Every record gets its place in the log once, whoever does it; and what is signed of the log stays so."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine, delete, select, text, update
from sqlalchemy.exc import DBAPIError

from gateway.audit.checkpoints import Checkpoints
from gateway.audit.entry import RECORD_COLUMNS, StoredRecord, leaf_of
from gateway.audit.log import StoredAuditLog, open_audit_log
from gateway.audit.merkle import is_consistent, is_included, root_of
from gateway.audit.sequence import Sequencer
from gateway.audit.tables import audit_checkpoint, audit_leaf, audit_node, audit_record, audit_retention, audit_unlogged
from gateway.audit.tree import AuditLogBroken, StoredTree
from gateway.db.crypto import KeyRing
from gateway.db.lookup import looking
from gateway.db.session import open_database
from gateway.errors import AuditUnavailable
from gateway.watch.tables import term
from tests.audit_tampering import owning
from tests.factories_audit import NOON, a_record

ORIGIN = "exchange.example"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def log(engine: Engine, keys: KeyRing) -> Iterator[StoredAuditLog]:
    """The log, in each database."""
    with open_audit_log(engine, keys) as opened:
        yield opened


@pytest.fixture
def sequencer(engine: Engine, keys: KeyRing) -> Sequencer:
    """What puts records in order."""
    return Sequencer(engine, keys)


@pytest.fixture
def checkpoints(engine: Engine, keys: KeyRing) -> Checkpoints:
    """What signs."""
    return Checkpoints(engine, keys, ORIGIN)


def _small(count: int, **changes: object) -> list:  # type: ignore[type-arg]
    return [a_record(asked=(), decided=(), released=(), **changes) for _ in range(count)]


def _leaves(engine: Engine) -> list[tuple[int, int, bytes]]:
    statement = select(audit_leaf.c.log_index, audit_leaf.c.seq, audit_leaf.c.hash).order_by(audit_leaf.c.log_index)
    with engine.connect() as connection:
        return [(row[0], row[1], bytes(row[2])) for row in connection.execute(statement)]


def _stored(engine: Engine) -> list[StoredRecord]:
    statement = select(audit_record.c.seq, *RECORD_COLUMNS).order_by(audit_record.c.seq)
    with engine.connect() as connection:
        return [StoredRecord(*row) for row in connection.execute(statement)]


def test_records_are_logged_in_the_order_they_were_stored_each_once(
    log: StoredAuditLog, sequencer: Sequencer, engine: Engine, keys: KeyRing
) -> None:
    """Indices from 0 without a gap; a second run has nothing left to do."""
    log.record(_small(3))
    assert sequencer.run() == 3
    log.record(_small(2))
    assert (sequencer.run(), sequencer.run()) == (2, 0)

    leaves, stored = _leaves(engine), _stored(engine)
    assert [index for index, _, _ in leaves] == list(range(5))
    assert [seq for _, seq, _ in leaves] == [record.seq for record in stored]
    assert [hashed for _, _, hashed in leaves] == [leaf_of(record, keys) for record in stored]
    with engine.connect() as connection:
        assert connection.execute(select(audit_unlogged)).all() == []


def test_every_root_and_proof_comes_from_what_is_stored(
    log: StoredAuditLog, sequencer: Sequencer, engine: Engine
) -> None:
    """Over several tiles of 256, grown in odd steps: the roots of the pure tree, and proofs that it accepts."""
    for count in (1, 254, 2, 600, 55):
        log.record(_small(count))
        sequencer.run()
    leaves = [hashed for _, _, hashed in _leaves(engine)]
    assert len(leaves) == 912

    with looking(engine) as session:
        tree = StoredTree(session)
        whole = root_of(leaves)
        assert tree.size() == 912
        for size in (0, 1, 255, 256, 257, 511, 512, 768, 912):
            assert tree.root(size) == root_of(leaves[:size])
            assert is_consistent(size, 912, tree.consistency(size, 912), root_of(leaves[:size]), whole)
        for index in (0, 255, 256, 700, 911):
            assert is_included(leaves[index], index, 912, tree.inclusion(index, 912), whole)
        with engine.connect() as connection:
            nodes = connection.execute(select(audit_node.c.level, audit_node.c.place).order_by(audit_node.c.place))
            assert [tuple(row) for row in nodes] == [(8, 0), (8, 1), (8, 2)]


def test_subtrees_of_subtrees_are_stored_too(engine: Engine) -> None:
    """At 65,536 leaves the next level begins (hashes made up, nothing is read back of them)."""
    with looking(engine) as session:
        nodes = StoredTree(session).grown(0, [b"%032d" % number for number in range(65_536)])

    assert [(level, place) for level, place, _ in nodes] == [*((8, place) for place in range(256)), (16, 0)]


def test_t090_many_that_put_records_in_order_at_once_make_one_order(
    log: StoredAuditLog, engine: Engine, keys: KeyRing
) -> None:
    """Six at a time, while records come in: no gap, no fork, nothing twice, nothing left."""
    stop = threading.Event()

    def put_in_order() -> None:
        mine = Sequencer(engine, keys)
        while not stop.is_set():
            mine.run()

    workers = [threading.Thread(target=put_in_order) for _ in range(6)]
    for worker in workers:
        worker.start()
    for _ in range(20):
        log.record(_small(7))
    stop.set()
    for worker in workers:
        worker.join()
    Sequencer(engine, keys).catch_up()

    leaves = _leaves(engine)
    assert [index for index, _, _ in leaves] == list(range(140))
    assert {seq for _, seq, _ in leaves} == {record.seq for record in _stored(engine)}


def test_a_transaction_that_ends_late_is_logged_when_it_does(engine: Engine, keys: KeyRing) -> None:
    """Records that became visible after younger ones come after them in the log: none is passed by."""
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    sequencer = Sequencer(engine, keys)
    with open_audit_log(engine, keys) as log:
        with engine.connect() as late:
            transaction = late.begin()
            log.record_within(late, _small(1, reason="late"))
            log.record(_small(1))
            assert sequencer.run() == 1
            transaction.commit()
        assert sequencer.run() == 1
    assert [seq for _, seq, _ in _leaves(engine)] == [2, 1]


def test_what_was_rolled_back_is_not_in_the_log(log: StoredAuditLog, engine: Engine, sequencer: Sequencer) -> None:
    """None is invented."""
    with engine.connect() as connection, connection.begin() as transaction:
        log.record_within(connection, _small(1))
        transaction.rollback()
    log.record(_small(1))

    assert sequencer.run() == 1


def test_a_record_taken_away_before_it_was_logged_leaves_its_trace(
    log: StoredAuditLog, engine: Engine, sequencer: Sequencer, keys: KeyRing
) -> None:
    """So does one that was altered by then: a leaf that says that nothing could be read."""
    log.record(_small(3))
    columns = audit_record.c
    with owning(engine) as connection:
        connection.execute(delete(audit_record).where(columns.seq == 1))
        connection.execute(update(audit_record).where(columns.seq == 2).values(sealed=b"\x01nothing"))

    assert sequencer.run() == 3
    gone = StoredRecord(1, None, None, None, None, None)
    assert _leaves(engine)[0][2] == leaf_of(gone, keys)
    assert len({hashed for _, _, hashed in _leaves(engine)}) == 3


CHANGES = (
    "UPDATE audit_record SET outcome = 'failed'",
    "UPDATE audit_record SET recorded_at = recorded_at + 1",
    "UPDATE audit_record SET sealed = NULL",
    "DELETE FROM audit_record",
    "DELETE FROM audit_unlogged WHERE seq = 2",
    "UPDATE audit_leaf SET hash = NULL",
    "UPDATE audit_leaf SET log_index = 9",
    "DELETE FROM audit_leaf",
    "UPDATE audit_checkpoint SET note = ''",
    "DELETE FROM audit_checkpoint",
    "UPDATE audit_retention SET up_to = 1000",
    "DELETE FROM audit_retention",
    "UPDATE audit_record SET patient_key = NULL",
    "UPDATE audit_term SET seq = 1000",
    "DELETE FROM audit_term",
    "INSERT INTO audit_retention (up_to, pruned_at) VALUES (-1, 0)",
    "INSERT INTO audit_retention (up_to, pruned_at) VALUES (100000, 0)",
)
EMPTYINGS = tuple(
    f"TRUNCATE {table.name}"
    for table in (audit_record, audit_unlogged, audit_leaf, audit_node, audit_checkpoint, audit_retention, term)
)
"""PostgreSQL's: it passes triggers on rows by."""


def test_t091_the_database_refuses_to_change_or_delete(
    log: StoredAuditLog, sequencer: Sequencer, checkpoints: Checkpoints, engine: Engine
) -> None:
    """By any client, the gateway's own connections included."""
    log.record(_small(1))
    sequencer.run()
    checkpoints.make(NOON)
    log.record(_small(1))
    with engine.begin() as connection:
        connection.execute(audit_retention.insert().values(up_to=0, pruned_at=NOON))
        connection.execute(term.insert().values(key=bytes(16), recorded_at=NOON, seq=1))

    for statement in CHANGES + (EMPTYINGS if engine.dialect.name == "postgresql" else ()):
        with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(text(statement))


def test_a_checkpoint_is_made_after_so_many_records_or_so_long(
    log: StoredAuditLog, sequencer: Sequencer, checkpoints: Checkpoints
) -> None:
    """The first at once; none while nothing has changed; and a clock that was put back keeps none away."""
    often = {"every_records": 3, "every": MINUTE}
    assert checkpoints.make(NOON, **often) is None, "there is nothing yet"  # type: ignore[arg-type]
    sizes = []
    for records, seconds in ((1, 0), (1, 10), (2, 10), (1, 10), (0, 70), (1, -600), (0, 3600)):
        log.record(_small(records))
        sequencer.run()
        made = checkpoints.make(NOON + timedelta(seconds=seconds), **often)  # type: ignore[arg-type]
        sizes.append(made.size if made else None)

    assert sizes == [1, None, 4, None, 5, 6, None]
    assert [made.size for made in checkpoints.after(0)] == [1, 4, 5, 6]
    assert [made.size for made in checkpoints.after(1, limit=2)] == [4, 5]
    assert (last := checkpoints.last()) is not None
    assert last.note.startswith(f"{ORIGIN}\n6\n")


def test_t087_a_log_that_was_changed_behind_a_checkpoint_is_signed_no_more(
    log: StoredAuditLog, sequencer: Sequencer, checkpoints: Checkpoints, engine: Engine
) -> None:
    """A hash that was changed, and a tail that was cut off; the error says which records are meant."""
    log.record(_small(3))
    sequencer.run()
    checkpoints.make(NOON)
    with owning(engine) as connection:
        kept = connection.execute(select(audit_leaf.c.hash).where(audit_leaf.c.log_index == 1)).scalar_one()
        connection.execute(update(audit_leaf).where(audit_leaf.c.log_index == 1).values(hash=bytes(32)))
    log.record(_small(1))
    sequencer.run()
    with pytest.raises(AuditLogBroken, match="first 3 records"):
        checkpoints.make(NOON + MINUTE)

    with engine.begin() as connection:
        connection.execute(update(audit_leaf).where(audit_leaf.c.log_index == 1).values(hash=kept))
        connection.execute(delete(audit_leaf).where(audit_leaf.c.log_index >= 2))
    with pytest.raises(AuditLogBroken, match="has 2 records, and 3 were signed"):
        checkpoints.make(NOON + MINUTE)
    with engine.begin() as connection:
        connection.execute(delete(audit_leaf).where(audit_leaf.c.log_index == 0))
    with looking(engine) as session, pytest.raises(AuditLogBroken, match="0 to 1 are not all there"):
        StoredTree(session).root(2)


def test_a_log_keeps_its_name_when_the_exchange_gets_another_address(
    log: StoredAuditLog, sequencer: Sequencer, checkpoints: Checkpoints, engine: Engine, keys: KeyRing
) -> None:
    """Whoever keeps its key and its checkpoints knows it by that."""
    moved = Checkpoints(engine, keys, "new.example")
    assert (checkpoints.origin(), moved.origin()) == (ORIGIN, "new.example")
    log.record(_small(1))
    sequencer.run()
    checkpoints.make(NOON)
    log.record(_small(1))
    sequencer.run()

    assert (made := moved.make(NOON)) is not None
    assert made.note.startswith(f"{ORIGIN}\n2\n")
    assert f"— {ORIGIN} " in made.note
    assert moved.origin() == ORIGIN


def test_t144_a_clock_that_jumps_changes_no_order(
    log: StoredAuditLog, sequencer: Sequencer, checkpoints: Checkpoints, engine: Engine
) -> None:
    """Ten minutes forth and back: the log goes by what was stored first, and is signed all the same."""
    for minutes in (0, 10, -10, 0):
        log.record(_small(1, recorded=NOON + minutes * MINUTE))
        sequencer.run()
        assert checkpoints.make(NOON + minutes * MINUTE, every_records=1) is not None

    assert [seq for _, seq, _ in _leaves(engine)] == [1, 2, 3, 4]
    assert [record.recorded for record in log.read()] == [NOON + n * MINUTE for n in (0, 10, -10, 0)]


@pytest.mark.integration
def test_records_are_put_in_order_through_a_pooler(pgbouncer_url: str, keys: KeyRing) -> None:
    """PgBouncer in transaction mode: the lock lives and ends with the transaction."""
    engine = open_database(pgbouncer_url, serving=True)
    with open_audit_log(engine, keys) as log:
        log.record(_small(20))
        assert Sequencer(engine, keys).run() == 20
        log.record(_small(20))
        assert Sequencer(engine, keys).run() == 20
    assert Checkpoints(engine, keys, ORIGIN).make(NOON) is not None
    engine.dispose()


def test_without_a_key_nothing_is_signed_and_that_is_said(
    log: StoredAuditLog, sequencer: Sequencer, engine: Engine, keys: KeyRing
) -> None:
    """A key file of before there were checkpoints."""
    older = KeyRing(signing=keys.signing, verifying=keys.verifying, sealing=keys.sealing, indexing=keys.indexing)
    log.record(_small(1))
    sequencer.run()

    with pytest.raises(AuditUnavailable, match="audit key --create"):
        Checkpoints(engine, older, ORIGIN).make(NOON)


def test_two_processes_make_one_checkpoint(
    log: StoredAuditLog, sequencer: Sequencer, engine: Engine, keys: KeyRing
) -> None:
    """Of the same size: one of them has made it."""
    log.record(_small(2))
    sequencer.run()
    made = []

    def make() -> None:
        made.append(Checkpoints(engine, keys, ORIGIN).make(NOON))

    workers = [threading.Thread(target=make) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert len([one for one in made if one]) == 1
