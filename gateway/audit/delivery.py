"""Checkpoints go outside: to each place in their order, again and again until it has them, by one process at a time."""

import logging
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Engine, select, update

from gateway.audit.checkpoints import Checkpoints
from gateway.audit.destinations import Destination, NotDelivered
from gateway.audit.record import AuditLog, AuditRecord
from gateway.audit.tables import audit_delivery
from gateway.db.session import reading, writing
from gateway.db.upsert import insert_into
from gateway.log import Event, event
from gateway.metrics import ALERTS, AUDIT_CHECKPOINTS_SENT

ALERT_AFTER = 6
"""Failures in a row, about a minute of them, after which somebody has to look."""
NOT_DELIVERED = "audit-checkpoint-not-delivered"
_CLAIM = timedelta(seconds=60)
_LONGEST_PAUSE = timedelta(seconds=300)
_MOST_AT_A_TIME = 100
_MOST_TIME_S = 20.0

Clock = Callable[[], datetime]


class Delivery:
    """Takes checkpoints to the places outside."""

    def __init__(
        self, engine: Engine, checkpoints: Checkpoints, audit: AuditLog, places: Sequence[Destination], clock: Clock
    ) -> None:
        self._engine = engine
        self._checkpoints = checkpoints
        self._audit = audit
        self._places = places
        self._clock = clock

    def run(self) -> None:
        """Each place has what it lacked, or is tried again later. Raises DependencyUnavailable, AuditUnavailable."""
        last = self._checkpoints.last() if self._places else None
        for place in self._places if last else ():
            assert last is not None  # noqa: S101  # there are no places otherwise
            size, failures, next_try = self._state(place, last.size)
            now = self._clock()
            # A try that lies further off than any pause was set by a clock that has been put back since.
            waits = now < next_try <= now + _LONGEST_PAUSE
            if size < last.size and not waits and self._claim(place, next_try, now):
                self._take(place, size, failures)

    def _take(self, place: Destination, size: int, failures: int) -> None:
        give_up = time.monotonic() + _MOST_TIME_S
        for made in self._checkpoints.after(size, limit=_MOST_AT_A_TIME):
            try:
                place.deliver(made, size)
            except NotDelivered as exc:
                self._failed(place, size, failures + 1, exc)
                return
            AUDIT_CHECKPOINTS_SENT.labels(place.kind, "delivered").inc()
            size, failures = made.size, 0
            if time.monotonic() > give_up:
                break
        self._note(place, size, 0, self._clock())

    def _failed(self, place: Destination, size: int, failures: int, why: NotDelivered) -> None:
        AUDIT_CHECKPOINTS_SENT.labels(place.kind, "failed").inc()
        event(Event.AUDIT_CHECKPOINT_NOT_DELIVERED, level=logging.WARNING, reason=why.reason, count=failures)
        now = self._clock()
        self._note(place, size, failures, now + min(timedelta(seconds=2 ** min(failures, 10)), _LONGEST_PAUSE))
        if failures == ALERT_AFTER:
            ALERTS.labels(kind=NOT_DELIVERED).inc()
            details = (("place", place.name), ("why", why.reason), ("delivered-up-to", str(size)))
            self._audit.record([alert_record(NOT_DELIVERED, now, details)])

    def _state(self, place: Destination, newest: int) -> tuple[int, int, datetime]:
        statement = select(audit_delivery.c.size, audit_delivery.c.failures, audit_delivery.c.next_try_at).where(
            audit_delivery.c.destination == place.name
        )
        with reading(self._engine) as connection:
            row = connection.execute(statement).one_or_none()
        if row is not None:
            return int(row[0]), int(row[1]), row[2]
        # A place that is new begins with the newest: what came before stands in the log, and that is signed with it.
        now = self._clock()
        values = {"destination": place.name, "size": newest - 1, "failures": 0, "next_try_at": now}
        with writing(self._engine) as connection:
            connection.execute(insert_into(audit_delivery, connection).values(values).on_conflict_do_nothing())
        return newest - 1, 0, now

    def _claim(self, place: Destination, seen: datetime, now: datetime) -> bool:
        mine = update(audit_delivery).where(
            audit_delivery.c.destination == place.name, audit_delivery.c.next_try_at == seen
        )
        with writing(self._engine) as connection:
            return connection.execute(mine.values(next_try_at=now + _CLAIM)).rowcount == 1

    def _note(self, place: Destination, size: int, failures: int, next_try: datetime) -> None:
        row = update(audit_delivery).where(audit_delivery.c.destination == place.name)
        with writing(self._engine) as connection:
            connection.execute(row.values(size=size, failures=failures, next_try_at=next_try))


def alert_record(reason: str, now: datetime, details: tuple[tuple[str, str], ...] = ()) -> AuditRecord:
    """The record of an alert about the log itself."""
    return AuditRecord(
        id=str(uuid.uuid4()), recorded=now, kind="alert", outcome="failed", reason=reason, details=details
    )
