"""Whose turn is it? Few imaging queries of a process work at a time; one that waits for others lets the next one in.

Threads of one interpreter can't work at the same moment anyway. Left to themselves, many that have work pass the
interpreter to one another at every system call, with cold caches each time: thirty-two queries at once then cost twice
the CPU that they cost one after the other. So a query takes its turn, and leaves it for as long as it waits for
facilities or for what is stored durably. Of look-ups in a database server it waits where it is: they are short, and a
second place lets another query work meanwhile. There is one turnstile a process, as there is one interpreter.

A turn takes milliseconds. Where one takes long (a facility that sent ten thousand rows), the others don't wait for it:
they go in beside it, and the interpreter shares itself among them.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

from gateway.errors import DeadlinePassed

_LONG_S = 0.05


class Turnstile:
    """Lets as many threads in at a time as it has places, in the order they came."""

    def __init__(self, places: int = 1, long_s: float = _LONG_S) -> None:
        """A turn that takes longer than `long_s` seconds is not waited for."""
        self._long_s = long_s
        self.open(places)

    def open(self, places: int) -> None:
        """From now on it has so many places. Before any thread comes."""
        self.places = places
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(places):
            self._free.put(None)
        self._of_this_thread = threading.local()
        self._passed_at = time.monotonic()

    @contextmanager
    def inside(self, seconds: float) -> Iterator[None]:
        """It is this thread's turn. Raises DeadlinePassed where it did not come within `seconds`."""
        self._enter(time.monotonic() + seconds)
        try:
            yield
        finally:
            self._leave()

    @contextmanager
    def outside(self) -> Iterator[None]:
        """While this thread waits, another may have its turn; afterwards it is this thread's again.

        Nothing happens for a thread that had no turn.
        """
        if getattr(self._of_this_thread, "place", None) is None:
            yield
            return
        self._leave()
        try:
            yield
        finally:
            self._enter(None)

    def _enter(self, until: float | None) -> None:
        free, has_place, now = self._free, True, time.monotonic()
        while True:
            try:
                free.get(timeout=self._long_s if until is None else min(self._long_s, max(0.0, until - now)))
                break
            except Empty:
                now = time.monotonic()
                if until is not None and now >= until:
                    raise DeadlinePassed("the gateway was busy until the deadline") from None
                if now - self._passed_at > self._long_s:
                    has_place = False
                    break
        self._of_this_thread.place = free if has_place else SimpleQueue()

    def _leave(self) -> None:
        place, self._of_this_thread.place = self._of_this_thread.place, None
        self._passed_at = time.monotonic()
        place.put(None)


turnstile = Turnstile()


def _start_afresh() -> None:
    # A forked child has none of the threads whose turn it may have been.
    turnstile.open(turnstile.places)


os.register_at_fork(after_in_child=_start_afresh)
