"""The log's checkpoints: made as it grows, kept, and never one that contradicts an earlier one."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, bindparam, select

from gateway.audit.checkpoint import is_of, origin_in, signed_checkpoint
from gateway.audit.tables import audit_checkpoint
from gateway.audit.tree import AuditLogBroken, StoredTree
from gateway.db.crypto import KeyRing
from gateway.db.lookup import looking
from gateway.db.prepared import Prepared, Session
from gateway.db.session import reading, writing
from gateway.db.upsert import insert_into
from gateway.errors import AuditUnavailable

_PAGE = 500
_LAST = Prepared(
    select(audit_checkpoint.c.size, audit_checkpoint.c.root, audit_checkpoint.c.made_at, audit_checkpoint.c.note)
    .order_by(audit_checkpoint.c.size.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A signed checkpoint, as it was made."""

    size: int
    root: bytes
    made_at: datetime
    note: str


class Checkpoints:
    """Makes and keeps checkpoints. Every method raises DependencyUnavailable, and AuditLogBroken at a bad one."""

    def __init__(self, engine: Engine, keys: KeyRing, origin: str) -> None:
        """`origin` is the name of a log that has no checkpoint yet; one that has keeps its name."""
        self._engine = engine
        self._keys = keys
        self._origin = origin

    def make(self, now: datetime, *, every_records: int = 0, every: timedelta = timedelta(0)) -> Checkpoint | None:
        """A new checkpoint, once the log has grown by so many records or so much time has gone by; None otherwise.

        Raises AuditLogBroken where the log does not continue the last one, and AuditUnavailable where there is no key.
        """
        with looking(self._engine) as session:
            tree, last = StoredTree(session), _last(session)
            size = tree.size()
            if last is not None and size < last.size:
                raise AuditLogBroken(f"the log has {size} records, and {last.size} were signed")
            if size == (last.size if last else 0) or (last and not _due(size, now, last, every_records, every)):
                return None
            # C2SP: a log must not sign a checkpoint that is inconsistent with one that it signed before.
            if last is not None and tree.root(last.size) != last.root:
                raise AuditLogBroken(f"the first {last.size} records of the log are not those that were signed")
            if not self._keys.checkpoints:
                raise AuditUnavailable("no key signs checkpoints: run `python -m gateway audit key --create`")
            root = tree.root(size)
        origin = origin_in(last.note) if last else self._origin
        note = signed_checkpoint(origin, size, root, self._keys.checkpoints[0])
        made = Checkpoint(size=size, root=root, made_at=now, note=note)
        return made if self._keep(made) else None

    def origin(self) -> str:
        """The log's name: what it was signed under first."""
        last = self.last()
        return origin_in(last.note) if last else self._origin

    def last(self) -> Checkpoint | None:
        """The newest."""
        with looking(self._engine) as session:
            return _last(session)

    def after(self, size: int, limit: int | None = None) -> Iterator[Checkpoint]:
        """Those of larger logs than that, the smallest first."""
        left = limit
        while left is None or left > 0:
            statement = (
                select(audit_checkpoint)
                .where(audit_checkpoint.c.size > bindparam("size"))
                .order_by(audit_checkpoint.c.size)
                .limit(_PAGE if left is None else min(left, _PAGE))
            )
            with reading(self._engine) as connection:
                page = [_made(tuple(row)) for row in connection.execute(statement, {"size": size})]
            yield from page
            if not page:
                return
            size = page[-1].size
            left = None if left is None else left - len(page)

    def consistency(self, old: int, new: int) -> list[bytes]:
        """What shows a witness that the log of `new` records begins with that of `old`."""
        with looking(self._engine) as session:
            return StoredTree(session).consistency(old, new)

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """What shows that a record is in the log of that size."""
        with looking(self._engine) as session:
            return StoredTree(session).inclusion(index, size)

    def _keep(self, made: Checkpoint) -> bool:
        values = {"size": made.size, "root": made.root, "made_at": made.made_at, "note": made.note}
        with writing(self._engine) as connection:
            # Of two processes that made the same one, one is first, and the other has nothing to tell.
            statement = insert_into(audit_checkpoint, connection).values(values).on_conflict_do_nothing()
            return connection.execute(statement.returning(audit_checkpoint.c.size)).first() is not None


def _due(size: int, now: datetime, last: Checkpoint, every_records: int, every: timedelta) -> bool:
    # A clock that was put back must not silence the log.
    return size - last.size >= every_records or abs(now - last.made_at) >= every


def _last(session: Session) -> Checkpoint | None:
    row = _LAST.first(session)
    return None if row is None else _made(row)


def _made(row: tuple[Any, ...]) -> Checkpoint:
    size, root, made_at, note = row
    # SQLite takes any type in any column.
    if not isinstance(root, bytes) or not isinstance(note, str) or not is_of(note, size, root):
        raise AuditLogBroken(f"the stored checkpoint of {size} records was altered")
    return Checkpoint(size=size, root=root, made_at=made_at, note=note)
