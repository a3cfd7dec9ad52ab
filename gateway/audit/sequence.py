"""Every stored record gets its place in the log: once, without a gap, whichever process does it.

Records are stored by many processes at once, and an answer waits for that alone. The order of the log is fixed
afterwards, within a second or so, by one process at a time; what is left when it dies, the next one takes up. What a
process reads and hashes here is looked at again under the lock: had another been faster, the log would be longer.
"""

import time
from datetime import timedelta

from sqlalchemy import Engine, bindparam, delete, func, select

from gateway.audit.entry import RECORD_COLUMNS, StoredRecord, leaf_of
from gateway.audit.tables import audit_leaf, audit_node, audit_record, audit_unlogged
from gateway.audit.tree import StoredTree
from gateway.db.crypto import KeyRing
from gateway.db.lookup import Looking, looking, storing
from gateway.db.prepared import Prepared, PreparedInsert
from gateway.errors import AuditUnavailable

_BATCH = 512
_LOCK_KEY = 0x61756469745F6C6F
_PAUSE_S = 0.02

_LOCK = Prepared(select(func.pg_try_advisory_xact_lock(_LOCK_KEY)))
_WAITING = Prepared(
    select(audit_unlogged.c.seq, *RECORD_COLUMNS)
    .select_from(audit_unlogged.outerjoin(audit_record, audit_record.c.seq == audit_unlogged.c.seq))
    .order_by(audit_unlogged.c.seq)
    .limit(_BATCH)
)
_ANY_WAITING = Prepared(select(audit_unlogged.c.seq).limit(1))
_ADD_LEAVES = PreparedInsert(audit_leaf, "log_index", "seq", "hash")
_ADD_NODES = PreparedInsert(audit_node, "level", "place", "hash")
_NO_LONGER_WAITING = Prepared(
    delete(audit_unlogged).where(
        audit_unlogged.c.seq.in_(select(audit_leaf.c.seq).where(audit_leaf.c.log_index >= bindparam("start")))
    )
)


class Sequencer:
    """Gives records their place in the log."""

    def __init__(self, engine: Engine, keys: KeyRing) -> None:
        self._engine = engine
        self._keys = keys

    def run(self) -> int:
        """What waits is in the log, unless another process is at it; how many records this call has logged.

        Raises DependencyUnavailable, and AuditLogBroken where hashes of the log are gone.
        """
        logged = 0
        while done := self._log_some():
            logged += done
            if done < _BATCH:
                break
        return logged

    def catch_up(self, patience: timedelta = timedelta(seconds=30)) -> None:
        """Everything stored before this call is in the log, by whichever process. Raises as `run`, in that time."""
        give_up = time.monotonic() + patience.total_seconds()
        while self.run() or self._any_waiting():
            if time.monotonic() > give_up:
                raise AuditUnavailable("records wait for their place in the log for too long")
            time.sleep(_PAUSE_S)

    def _any_waiting(self) -> bool:
        with looking(self._engine) as session:
            return _ANY_WAITING.first(session) is not None

    def _log_some(self) -> int:
        with looking(self._engine) as session:
            tree = StoredTree(session)
            start = tree.size()
            records = [StoredRecord(*row) for row in _WAITING.all(session)]
            if not records:
                return 0
            leaves = [leaf_of(record, self._keys) for record in records]
            nodes = tree.grown(start, leaves)
        with storing(self._engine) as session:
            if not _is_ours(session, start):
                return 0
            rows = [
                (start + number, record.seq, leaf)
                for number, (record, leaf) in enumerate(zip(records, leaves, strict=True))
            ]
            _ADD_LEAVES.run(session, rows)
            _ADD_NODES.run(session, nodes)
            _NO_LONGER_WAITING.all(session, start=start)
        return len(records)


def _is_ours(session: Looking, start: int) -> bool:
    # SQLite has one writer at a time as it is.
    if session.dialect.name == "postgresql" and not (_LOCK.first(session) or (False,))[0]:
        return False
    return StoredTree(session).size() == start
