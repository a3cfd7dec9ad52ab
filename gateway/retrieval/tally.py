"""What was fetched, on record: one record as a token first opens a study, and one with how many requests followed.

A viewer asks for every frame: a record for each would say nothing more. So the first request of a token for a study is
stored before it is let through, and those that follow are counted. A count is stored every `FLUSH_S`, when the token
has run out and when the process ends. Where it can't be stored, nothing more is let through until it can. A process
that is killed loses its counts of at most `FLUSH_S`, never the opening record.

Every refusal is stored by itself, up to a number a minute for one token and study; the rest of that minute is counted.
"""

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from gateway.audit.record import AuditLog, AuditRecord
from gateway.errors import AuditUnavailable
from gateway.log import Event, event

FLUSH_S = 30.0
MOST_REFUSALS = 20
"""Of one token for one study at one facility that are stored one by one in a minute."""
_A_MINUTE_S = 60.0
_IDLE_S = 600.0
_MOST_OPEN = 20_000

Key = tuple[str, ...]


@dataclass(slots=True, eq=False)
class _Tally:
    """What is counted of one token: `told` stands in the log."""

    told: AuditRecord
    ends_at: float
    since: datetime
    count: int = 0
    stored: int = 0


class RetrievalTally:
    """Counts and stores. One object serves all threads of a process; its thread starts with the first count."""

    def __init__(
        self,
        audit: AuditLog,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._audit = audit
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._fetched: dict[Key, _Tally] = {}
        self._refused: dict[Key, _Tally] = {}
        self._owed = False
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def fetched(self, key: Key, opening: Callable[[], AuditRecord]) -> None:
        """One more request of `key` (token, facility, study) is on record, or counted. Raises AuditUnavailable."""
        if self._owed:
            self.flush()
        if not self._counted(self._fetched, key):
            self._open(self._fetched, key, opening(), _IDLE_S)

    def refused(self, key: Key, refusal: Callable[[], AuditRecord]) -> None:
        """One more refusal of `key` (token, facility, study) is on record or counted. Raises AuditUnavailable."""
        with self._lock:
            known = self._refused.get(key)
            if known is not None and self._monotonic() < known.ends_at and known.stored >= MOST_REFUSALS:
                known.count += 1
                return
        record = refusal()
        self._audit.record([record])
        with self._lock:
            known = self._refused.get(key)
            if known is None and len(self._refused) >= _MOST_OPEN:
                return  # it stands on record; so will the next
            if known is None or self._monotonic() >= known.ends_at:
                begun = _Tally(record, self._monotonic() + _A_MINUTE_S, record.recorded)
                if known is not None and known.count:  # not stored yet: it stays on the bill
                    begun.count, begun.since = known.count, known.since
                known = self._refused[key] = begun
            known.stored += 1
        self._start()

    def _counted(self, tallies: dict[Key, _Tally], key: Key) -> bool:
        with self._lock:
            known = tallies.get(key)
            if known is None:
                return False
            known.count += 1
            known.ends_at = self._monotonic() + _IDLE_S
            return True

    def _open(self, tallies: dict[Key, _Tally], key: Key, record: AuditRecord, lasts_s: float) -> None:
        self._audit.record([record])
        with self._lock:
            if len(tallies) < _MOST_OPEN:
                tallies.setdefault(key, _Tally(record, self._monotonic() + lasts_s, record.recorded))
        self._start()

    def flush(self) -> None:
        """Every count so far is stored. Raises AuditUnavailable, and then nothing is counted until it succeeds."""
        now, moment = self._clock(), self._monotonic()
        with self._lock:
            due = [one for one in (*self._fetched.values(), *self._refused.values()) if one.count]
            taken = [(one, one.count, one.since) for one in due]
            records = [_count_of(one, now) for one in due]
            for one in due:
                one.count, one.since = 0, now
        try:
            self._audit.record(records)
        except AuditUnavailable:
            with self._lock:
                for one, count, since in taken:
                    one.count, one.since = one.count + count, since
                self._owed = True
            raise
        with self._lock:
            self._owed = False
            for tallies in (self._fetched, self._refused):
                for key in [key for key, one in tallies.items() if not one.count and moment >= one.ends_at]:
                    del tallies[key]

    def close(self) -> None:
        """What was counted is stored; where it can't be, the log tells how much is missing on record."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(FLUSH_S)
        try:
            self.flush()
        except AuditUnavailable:
            with self._lock:
                missing = sum(one.count for one in (*self._fetched.values(), *self._refused.values()))
            event(Event.AUDIT_UNAVAILABLE, reason="requests at archives that were counted", count=missing)

    def _start(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="retrieval-tally", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(FLUSH_S):
            try:
                self.flush()
            except AuditUnavailable:
                continue  # the audit has said so itself, and the next request is refused until it can be stored


def _count_of(tally: _Tally, now: datetime) -> AuditRecord:
    """The record of what followed `told`: nothing new was disclosed, so that it names what and discloses nothing."""
    told = tally.told
    counted = (("counted", str(tally.count)), ("since", tally.since.isoformat()), ("of", told.id))
    facts = tuple(fact for fact in told.details if fact[0] in ("facility", "study"))
    return replace(
        told,
        id=str(uuid.uuid4()),
        recorded=now,
        request="",
        request_id="",
        asked=(),
        decided=(),
        released=(),
        details=(*facts, *counted),
    )
