"""What a serving process does for the log beside its answers: order, sign, take outside. Any process can, none must.

Two threads: a place outside that is slow holds nothing up. Neither ever ends by an error; what fails is said, and tried
again soon, by this process or another.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from gateway.audit.checkpoints import Checkpoints
from gateway.audit.delivery import Delivery, alert_record
from gateway.audit.record import AuditLog
from gateway.audit.sequence import Sequencer
from gateway.audit.tree import AuditLogBroken
from gateway.errors import GatewayError
from gateway.log import Event, event
from gateway.metrics import ALERTS, AUDIT_CHECKPOINTS, AUDIT_LOGGED

BROKEN = "audit-log-broken"
_STOP_WITHIN_S = 5.0


class LogKeeper:
    """Keeps the log while it is started."""

    def __init__(
        self,
        sequencer: Sequencer,
        checkpoints: Checkpoints,
        delivery: Delivery,
        audit: AuditLog,
        clock: Callable[[], datetime],
        *,
        every_records: int,
        every: timedelta,
        pause: timedelta = timedelta(seconds=1),
    ) -> None:
        """`every_records` and `every`: when the log is signed anew. `pause`: between two looks at what is to do."""
        self._sequencer = sequencer
        self._checkpoints = checkpoints
        self._delivery = delivery
        self._audit = audit
        self._clock = clock
        self._every_records = every_records
        self._every = every
        self._pause_s = pause.total_seconds()
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []
        self._said_broken = False
        self._failing: set[str] = set()

    def start(self) -> None:
        """From now on the log is kept, until `close`."""
        for name, work in (("audit-log", self.keep), ("audit-delivery", self._delivery.run)):
            thread = threading.Thread(target=self._repeat, args=(name, work), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """Nothing is under way any more; what is left to do, another process does."""
        self._ended.set()
        for thread in self._threads:
            thread.join(_STOP_WITHIN_S)
        self._threads.clear()

    def keep(self) -> None:
        """What waits is in the log, and the log is signed where that is due. Raises GatewayError."""
        try:
            AUDIT_LOGGED.inc(self._sequencer.run())
            made = self._checkpoints.make(self._clock(), every_records=self._every_records, every=self._every)
        except AuditLogBroken as exc:
            self._say_broken(exc)
            raise
        self._said_broken = False
        if made is not None:
            AUDIT_CHECKPOINTS.inc()

    def _say_broken(self, exc: AuditLogBroken) -> None:
        if not self._said_broken:
            self._said_broken = True
            ALERTS.labels(kind=BROKEN).inc()
            self._audit.record([alert_record(BROKEN, self._clock(), (("why", exc.reason),))])

    def _repeat(self, name: str, work: Callable[[], None]) -> None:
        while not self._ended.wait(self._pause_s):
            try:
                work()
                self._failing.discard(name)
            except GatewayError as exc:
                if name not in self._failing:  # once, not every second
                    event(Event.AUDIT_LOG_NOT_KEPT, level=logging.ERROR, reason=exc.reason)
                self._failing.add(name)
            except Exception:  # noqa: BLE001  # nobody would notice that the thread has gone
                event(Event.UNEXPECTED_ERROR, level=logging.ERROR, exc_info=True)
