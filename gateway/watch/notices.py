"""Notices: stored with what they rest on, listed, and taken out by every way that there is until each has them."""

import logging
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import orjson
from sqlalchemy import Connection, Engine, Select, insert, select, update

from gateway.db.crypto import KeyRing
from gateway.db.session import reading, writing
from gateway.db.upsert import insert_into
from gateway.errors import GatewayError
from gateway.log import Event, event
from gateway.metrics import NOTICES_SENT
from gateway.watch.tables import delivery, notice

_AT_A_TIME = 20
_CLAIM = timedelta(minutes=2)
"""How long a try may take before another process makes one."""
_LONGEST_PAUSE = timedelta(hours=1)
_FIRST_PAUSE_S = 5


class NotTaken(GatewayError):
    """A way out did not take a notice; it is tried again. `reason` is in our words."""

    code = "notice-not-taken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What somebody is to be told."""

    id: str
    kind: str
    made_at: datetime
    facts: dict[str, Any]
    """JSON: ids, counts and our words; no name, birth date or PatientID of a patient's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A notice with how it went out: for each way its tries, and when it was taken."""

    notice: Notice
    ways: tuple[tuple[str, int, datetime | None], ...]


class Channel(Protocol):
    """A way out."""

    name: str

    def send(self, one: Notice, now: datetime) -> None:
        """Whoever is at its end has the notice. Raises NotTaken."""
        ...


class Notices:
    """The notices of a deployment. Every method raises DependencyUnavailable where the store fails."""

    def __init__(self, engine: Engine, keys: KeyRing) -> None:
        self._engine = engine
        self._keys = keys

    def add(self, connection: Connection, notices: Iterable[Notice], channels: Sequence[str]) -> int:
        """They are stored when the transaction of `connection` is, to go out by `channels`; how many were new.

        One with the id of one that is there is that one.
        """
        new = 0
        for one in notices:
            sealed = self._keys.seal(notice.name, one.id, orjson.dumps(one.facts))
            values = {"id": one.id, "kind": one.kind, "made_at": one.made_at, "sealed": sealed}
            adding = insert_into(notice, connection).values(values).on_conflict_do_nothing()
            if connection.execute(adding.returning(notice.c.id)).scalar() is None:
                continue
            new += 1
            rows = [
                {"notice_id": one.id, "channel": name, "attempts": 0, "next_try_at": one.made_at} for name in channels
            ]
            if rows:
                connection.execute(insert(delivery), rows)
        return new

    def list(self, *, kind: str | None = None, waiting: bool = False, limit: int = 100) -> Sequence[Told]:
        """The last ones, the newest first: of one kind, or that some way out has not taken, where asked."""
        wanted = select(notice).order_by(notice.c.made_at.desc(), notice.c.id).limit(limit)
        if kind is not None:
            wanted = wanted.where(notice.c.kind == kind)
        if waiting:
            wanted = wanted.where(
                notice.c.id.in_(select(delivery.c.notice_id).where(delivery.c.delivered_at.is_(None)))
            )
        return self._told(wanted)

    def find(self, id_: str) -> Sequence[Told]:
        """The one of that id, or none."""
        return self._told(select(notice).where(notice.c.id == id_))

    def _told(self, wanted: Select[Any]) -> Sequence[Told]:
        with reading(self._engine) as connection:
            rows = connection.execute(wanted).all()
            ids = [row.id for row in rows]
            ways = connection.execute(
                select(delivery.c.notice_id, delivery.c.channel, delivery.c.attempts, delivery.c.delivered_at)
                .where(delivery.c.notice_id.in_(ids))
                .order_by(delivery.c.channel)
            ).all()
        return [
            Told(notice=self._opened(row), ways=tuple((way[1], way[2], way[3]) for way in ways if way[0] == row.id))
            for row in rows
        ]

    def due(self, now: datetime) -> Sequence[tuple[Notice, str, int]]:
        """Some that are to go out now, by which way, how often that was tried. They are this process's for a while."""
        waiting = (
            select(delivery.c.notice_id, delivery.c.channel, delivery.c.attempts, delivery.c.next_try_at)
            .where(delivery.c.delivered_at.is_(None), delivery.c.next_try_at <= now)
            .order_by(delivery.c.next_try_at)
            .limit(_AT_A_TIME)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(waiting).all()
        mine = [row for row in rows if self._claim(row.notice_id, row.channel, row.next_try_at, now)]
        found = []
        with reading(self._engine) as connection:
            for row in mine:
                stored = connection.execute(select(notice).where(notice.c.id == row.notice_id)).one()
                found.append((self._opened(stored), row.channel, row.attempts))
        return found

    def taken(self, one: Notice, channel: str, now: datetime) -> None:
        """The way out has taken it."""
        self._note(one.id, channel, delivered_at=now)

    def not_taken(self, one: Notice, channel: str, attempts: int, now: datetime) -> None:
        """It is tried again, later each time, and an hour later at the latest."""
        pause = min(timedelta(seconds=_FIRST_PAUSE_S * 2 ** min(attempts, 10)), _LONGEST_PAUSE)
        self._note(one.id, channel, attempts=attempts + 1, next_try_at=now + pause)

    def _claim(self, notice_id: str, channel: str, seen: datetime, now: datetime) -> bool:
        mine = update(delivery).where(
            delivery.c.notice_id == notice_id, delivery.c.channel == channel, delivery.c.next_try_at == seen
        )
        with writing(self._engine) as connection:
            return connection.execute(mine.values(next_try_at=now + _CLAIM)).rowcount == 1

    def _note(self, notice_id: str, channel: str, **values: object) -> None:
        row = update(delivery).where(delivery.c.notice_id == notice_id, delivery.c.channel == channel)
        with writing(self._engine) as connection:
            connection.execute(row.values(**values))

    def _opened(self, row: Any) -> Notice:
        facts = orjson.loads(self._keys.open(notice.name, row.id, row.sealed))
        return Notice(id=row.id, kind=row.kind, made_at=row.made_at, facts=facts)


class Courier:
    """Takes notices out."""

    def __init__(self, notices: Notices, channels: Sequence[Channel], clock: Callable[[], datetime]) -> None:
        self._notices = notices
        self._channels = {channel.name: channel for channel in channels}
        self._clock = clock

    def run(self) -> int:
        """Each notice that is due has been tried; how many were. Raises DependencyUnavailable."""
        due = self._notices.due(self._clock()) if self._channels else ()
        for one, name, attempts in due:
            channel = self._channels.get(name)
            try:
                if channel is None:
                    raise NotTaken("that way out is no longer in the settings")
                channel.send(one, self._clock())
            except NotTaken as exc:
                NOTICES_SENT.labels(channel=name, outcome="failed").inc()
                event(Event.NOTICE_NOT_TAKEN, level=logging.WARNING, reason=exc.reason, reference=one.id)
                self._notices.not_taken(one, name, attempts, self._clock())
            else:
                NOTICES_SENT.labels(channel=name, outcome="delivered").inc()
                self._notices.taken(one, name, self._clock())
        return len(due)


def new_id() -> str:
    """An id that no notice has."""
    return str(uuid.uuid4())
