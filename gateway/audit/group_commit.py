"""Many callers, one durable commit: whoever waits while the disk is busy shares the next transaction.

One thread a process writes. Callers block until their own rows are committed, for a bounded time: a database that hangs
must not hang the gateway.
"""

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from gateway.db.mishap import is_about_a_row
from gateway.errors import AuditUnavailable, DependencyUnavailable
from gateway.turnstile import turnstile

Row = dict[str, Any]


@dataclass(slots=True, eq=False)
class _Batch:
    """One caller's rows: committed all together, or not at all."""

    rows: Sequence[Row]
    done: threading.Event = field(default_factory=threading.Event)
    error: DependencyUnavailable | None = None


class GroupCommit:
    """Commits what callers submit, in the order it came, as many batches in a transaction as wait."""

    def __init__(
        self,
        commit: Callable[[Sequence[Row]], None],
        *,
        patience: timedelta = timedelta(seconds=2),
        most_waiting: int = 1024,
        most_rows: int = 512,
    ) -> None:
        """`commit` stores all rows or none and raises DependencyUnavailable."""
        self._commit = commit
        self._patience = patience.total_seconds()
        self._most_waiting = most_waiting
        self._most_rows = most_rows
        self._start_afresh()
        _ALL.add(self)

    def _start_afresh(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[_Batch] = deque()
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, rows: Sequence[Row]) -> None:
        """`rows` are durable when this returns.

        Raises AuditUnavailable where they are not, or where that isn't known in time. In the latter case they may yet
        be stored, whole: the log then tells of an answer that was not given, never the other way round.
        """
        batch = _Batch(rows)
        with self._changed:
            if self._closed:
                raise AuditUnavailable("the audit log is closed")
            if len(self._waiting) >= self._most_waiting:
                raise AuditUnavailable("too many audit records wait to be stored")
            self._waiting.append(batch)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._write, name="audit-writer", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        with turnstile.outside():
            done = batch.done.wait(self._patience)
        if not done:
            self._give_up(batch)
            raise AuditUnavailable("the audit store does not answer in time")
        if batch.error is not None:
            raise AuditUnavailable("the audit store can't be written") from batch.error

    def _give_up(self, batch: _Batch) -> None:
        with self._changed:
            if batch in self._waiting:
                self._waiting.remove(batch)

    def close(self) -> None:
        """What was submitted is committed or has failed; further submissions are refused."""
        with self._changed:
            self._closed = True
            thread = self._thread
            self._changed.notify_all()
        if thread is not None:
            thread.join(self._patience)

    def _write(self) -> None:
        while batches := self._take():
            try:
                self._commit_together(batches)
            finally:
                for batch in batches:
                    if not batch.done.is_set():
                        batch.error = batch.error or DependencyUnavailable("the audit writer stopped")
                        batch.done.set()

    def _take(self) -> list[_Batch]:
        """What waits, up to the most rows of a transaction; empty when closed and nothing is left."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            taken: list[_Batch] = []
            rows = 0
            while self._waiting and (not taken or rows + len(self._waiting[0].rows) <= self._most_rows):
                taken.append(self._waiting.popleft())
                rows += len(taken[-1].rows)
            return taken

    def _commit_together(self, batches: Sequence[_Batch]) -> None:
        try:
            self._commit([row for batch in batches for row in batch.rows])
        except DependencyUnavailable as exc:
            # A row the database refuses must fail its own caller alone; a database that is away fails all at once.
            if len(batches) > 1 and is_about_a_row(exc):
                for batch in batches:
                    self._commit_together([batch])
                return
            for batch in batches:
                batch.error = exc
        for batch in batches:
            batch.done.set()


_ALL: "weakref.WeakSet[GroupCommit]" = weakref.WeakSet()


def _forget_the_parent() -> None:
    # A forked child has neither the parent's writer thread nor its waiting callers, and a lock may have been held.
    for one in tuple(_ALL):
        one._start_afresh()


os.register_at_fork(after_in_child=_forget_the_parent)
