"""Records past their retention go; their leaves stay, so that the log can be proved as before.

What goes is the log's beginning: up to the first record that is young enough. The databases let nothing else go, and
only what `audit_retention` says, which itself stays (migration 0009).
"""

from datetime import datetime

from sqlalchemy import ColumnElement, Engine, and_, delete, func, select

from gateway.audit.tables import audit_leaf, audit_record, audit_retention
from gateway.db.session import reading, writing
from gateway.db.upsert import insert_into

PRUNING = "audit prune"
"""The reason in the record of it, by which `deploy/verify_audit.py` knows that what is gone was past its retention."""
_BATCH = 2000


def first_kept(engine: Engine, before: datetime) -> int:
    """The log index of the first record that is not older than that; 0 where there is none, or the log begins there.

    Raises DependencyUnavailable.
    """
    # In parts: a log of six years is longer than one statement may take.
    for start in range(0, _size(engine), _BATCH):
        statement = (
            select(func.min(audit_leaf.c.log_index))
            .join_from(audit_leaf, audit_record, audit_record.c.seq == audit_leaf.c.seq)
            .where(_in_batch(start, start + _BATCH), audit_record.c.recorded_at >= before)
        )
        with reading(engine) as connection:
            found = connection.execute(statement).scalar()
        if found is not None:
            return int(found)
    return 0


def prune(engine: Engine, up_to: int, now: datetime) -> int:
    """No record below the log index `up_to` is there any more; how many this call has taken away.

    Done in parts: what is left when it is interrupted, the next call takes away. Raises DependencyUnavailable.
    """
    with writing(engine) as connection:
        row = {"up_to": up_to, "pruned_at": now}
        connection.execute(insert_into(audit_retention, connection).values(row).on_conflict_do_nothing())
    pruned = 0
    for start in range(0, up_to, _BATCH):
        part = select(audit_leaf.c.seq).where(_in_batch(start, min(start + _BATCH, up_to)))
        with writing(engine) as connection:
            pruned += connection.execute(delete(audit_record).where(audit_record.c.seq.in_(part))).rowcount
    return pruned


def _size(engine: Engine) -> int:
    with reading(engine) as connection:
        last = connection.execute(select(func.max(audit_leaf.c.log_index))).scalar()
    return 0 if last is None else int(last) + 1


def _in_batch(start: int, end: int) -> ColumnElement[bool]:
    return and_(audit_leaf.c.log_index >= start, audit_leaf.c.log_index < end)
