"""What follows from the audit is done in the order of storing, once, by one process at a time, and goes on from there.

A follower's position is stored in the transaction that stores what followed, so that no crash loses or repeats any of
it. Nobody waits for a follower: an answer is given whether or not it has come so far.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import Connection, Engine, or_, select, update

from gateway.audit.places import Place, Records
from gateway.audit.record import AuditRecord
from gateway.db.session import reading, writing
from gateway.db.upsert import insert_into
from gateway.errors import GatewayError
from gateway.watch.tables import follower

LEASE = timedelta(seconds=30)
"""How long a process that says nothing more is waited for."""
GAP_PATIENCE = timedelta(seconds=30)
"""How long a missing number may yet be stored by another process: longer than any of its transactions can last."""
BATCH = 50
"""Records of a step: while it is stored, SQLite stores nothing else."""

Stored = Sequence[tuple[Place, AuditRecord]]


class Follower(Protocol):
    """Something that follows from the audit."""

    name: str

    def before(self, position: int, stored: Stored) -> None:
        """What is done with these records that no transaction can hold; it may be done again. `position`: up to them.

        Raises GatewayError where it can't be done now: then they come again.
        """
        ...

    def forget(self) -> None:
        """The records that `before` was given last may come again, or go to another process."""
        ...

    def take(self, connection: Connection, stored: Stored, now: datetime) -> None:
        """What follows from these records, which come next, is stored when the transaction of `connection` is."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """One process's way of letting followers follow."""

    engine: Engine
    records: Records
    holder: str
    """Names this process among all that might."""
    clock: Callable[[], datetime]

    def step(self, one: Follower) -> int:
        """Up to BATCH further records are dealt with; how many were. None are where another process is at it.

        Raises AuditRecordBroken at a record that can't be read, DependencyUnavailable, and what the follower raises.
        """
        now = self.clock()
        position = self._lease(one.name, now)
        if position is None:
            return 0
        stored = without_gap(position, self.records.stored_after(position, BATCH), now)
        if not stored:
            return 0
        one.before(position, stored)
        try:
            return self._take(one, position, stored, now)
        except GatewayError:
            one.forget()
            raise

    def _take(self, one: Follower, position: int, stored: Stored, now: datetime) -> int:
        with writing(self.engine) as connection:
            moved = connection.execute(
                update(follower)
                .where(follower.c.name == one.name, follower.c.holder == self.holder, follower.c.position == position)
                .values(position=stored[-1][0].seq, held_until=now + LEASE)
            )
            if moved.rowcount != 1:  # another process took over meanwhile
                one.forget()
                return 0
            one.take(connection, stored, now)
        return len(stored)

    def give_up(self, name: str) -> None:
        """Another process may follow at once."""
        mine = update(follower).where(follower.c.name == name, follower.c.holder == self.holder)
        with writing(self.engine) as connection:
            connection.execute(mine.values(holder=None, held_until=None))

    def _lease(self, name: str, now: datetime) -> int | None:
        row = self._row(name)
        if row is None:
            with writing(self.engine) as connection:
                connection.execute(
                    insert_into(follower, connection).values(name=name, position=0).on_conflict_do_nothing()
                )
            row = self._row(name)
        assert row is not None  # noqa: S101  # it has just been put there, and nobody takes it away
        position, holder, until = row
        if holder == self.holder and until is not None and until - now > LEASE / 2:
            return int(position)
        if holder not in (None, self.holder) and until is not None and until >= now:
            return None
        free = or_(follower.c.holder.is_(None), follower.c.holder == self.holder, follower.c.held_until < now)
        with writing(self.engine) as connection:
            taken = connection.execute(
                update(follower)
                .where(follower.c.name == name, free)
                .values(holder=self.holder, held_until=now + LEASE)
                .returning(follower.c.position)
            ).scalar()
        return None if taken is None else int(taken)

    def _row(self, name: str) -> tuple[int, str | None, datetime | None] | None:
        wanted = select(follower.c.position, follower.c.holder, follower.c.held_until).where(follower.c.name == name)
        with reading(self.engine) as connection:
            row = connection.execute(wanted).one_or_none()
        return None if row is None else (row[0], row[1], row[2])


def position_of(engine: Engine, name: str) -> int:
    """How far that follower has come: the number of the last record that it has dealt with. Raises as `reading`."""
    with reading(engine) as connection:
        found = connection.execute(select(follower.c.position).where(follower.c.name == name)).scalar()
    return int(found or 0)


def without_gap(position: int, stored: Stored, now: datetime) -> Stored:
    """As many of `stored` as are sure to have nothing between them that is yet to be stored.

    Numbers are given before transactions end: a lower one may be stored after a higher one. A number that is still
    missing a while after the next one was recorded was never stored, or is long gone.
    """
    expected = position + 1
    for n, (place, _) in enumerate(stored):
        if place.seq != expected and now - place.recorded_at < GAP_PATIENCE:
            return stored[:n]
        expected = place.seq + 1
    return stored
