"""What is past its retention goes, nothing else can, and the log stays what it was; in both databases."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine, delete, func, select
from sqlalchemy.exc import DBAPIError

from gateway.audit import retention
from gateway.audit.checkpoints import Checkpoints
from gateway.audit.log import StoredAuditLog, open_audit_log
from gateway.audit.retention import first_kept, prune
from gateway.audit.sequence import Sequencer
from gateway.audit.tables import audit_leaf, audit_record, audit_retention
from gateway.audit.tree import StoredTree
from gateway.db.crypto import KeyRing
from gateway.db.lookup import looking
from tests.factories_audit import NOON, a_record

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done in parts of thousands is done in parts of three."""
    monkeypatch.setattr(retention, "_BATCH", 3)


@pytest.fixture
def log(engine: Engine, keys: KeyRing) -> Iterator[StoredAuditLog]:
    """Ten records, a day apart, of which the fourth came late: it is older than the third."""
    with open_audit_log(engine, keys) as opened:
        for day in (0, 1, 3, 2, 4, 5, 6, 7, 8, 9):
            opened.record([a_record(recorded=NOON + day * DAY, reason=f"day {day}")])
        Sequencer(engine, keys).run()
        yield opened


def test_the_beginning_of_the_log_goes_up_to_the_first_record_that_is_young_enough(
    log: StoredAuditLog, engine: Engine
) -> None:
    """One that is older and came after it is kept with it; times don't decide what a hole is."""
    with looking(engine) as session:
        root = StoredTree(session).root(10)
    assert first_kept(engine, NOON + 3 * DAY) == 2
    assert prune(engine, 2, NOON) == 2
    assert [record.reason for record in log.read()] == [f"day {day}" for day in (3, 2, 4, 5, 6, 7, 8, 9)]
    assert first_kept(engine, NOON + 7 * DAY) == 7
    assert prune(engine, 7, NOON) == 5

    assert [record.reason for record in log.read()] == ["day 7", "day 8", "day 9"]
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(audit_leaf)).scalar_one() == 10
    with looking(engine) as session:
        assert StoredTree(session).root(10) == root


def test_nothing_goes_where_everything_is_young_or_nothing_is(log: StoredAuditLog, engine: Engine) -> None:
    """The log is not emptied by a date in the future."""
    assert first_kept(engine, NOON) == 0
    assert first_kept(engine, NOON + 100 * DAY) == 0
    assert prune(engine, 0, NOON) == 0
    assert len(list(log.read())) == 10


def test_only_what_is_below_the_mark_can_be_deleted(log: StoredAuditLog, engine: Engine) -> None:
    """By whatever statement: the database holds to the mark, and a record without a place in the log has none."""
    prune(engine, 4, NOON)
    log.record([a_record()])
    for seq in (5, 11):
        with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(delete(audit_record).where(audit_record.c.seq == seq))

    assert len(list(log.read())) == 7


def test_what_an_interrupted_run_left_the_next_one_takes(log: StoredAuditLog, engine: Engine, keys: KeyRing) -> None:
    """The mark is set first; the rest can be done at any time, and a checkpoint holds throughout."""
    Checkpoints(engine, keys, "exchange.example").make(NOON)
    with engine.begin() as connection:
        connection.execute(audit_retention.insert().values(up_to=6, pruned_at=NOON))
        connection.execute(delete(audit_record).where(audit_record.c.seq <= 2))
    assert prune(engine, 6, NOON) == 4
    assert prune(engine, 6, NOON) == 0
    log.record([a_record()])
    Sequencer(engine, keys).run()

    assert Checkpoints(engine, keys, "exchange.example").make(NOON + DAY) is not None
