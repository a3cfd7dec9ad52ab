"""Whose turn is it? One imaging query of a process works at a time; one that waits for others lets the next one in.

Threads of one interpreter can't work at the same moment anyway. Left to themselves, many that have work pass the
interpreter to one another at every system call, with cold caches each time: thirty-two queries at once then cost twice
the CPU that they cost one after the other. So a query takes its turn, and leaves it for as long as it waits for
facilities, a database server or a disk. There is one turnstile a process, as there is one interpreter.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

from gateway.errors import DeadlinePassed


class Turnstile:
    """Lets one thread in at a time, in the order they came."""

    def __init__(self) -> None:
        self._place: SimpleQueue[None] = SimpleQueue()
        self._place.put(None)
        self._of_this_thread = threading.local()

    @contextmanager
    def inside(self, seconds: float) -> Iterator[None]:
        """It is this thread's turn. Raises DeadlinePassed where it did not come within `seconds`."""
        try:
            self._place.get(timeout=seconds)
        except Empty:
            raise DeadlinePassed("the gateway was busy until the deadline") from None
        self._of_this_thread.inside = True
        try:
            yield
        finally:
            self._of_this_thread.inside = False
            self._place.put(None)

    @contextmanager
    def outside(self) -> Iterator[None]:
        """While this thread waits, another may have its turn; afterwards it is this thread's again.

        Nothing happens for a thread that had no turn.
        """
        if not getattr(self._of_this_thread, "inside", False):
            yield
            return
        self._of_this_thread.inside = False
        self._place.put(None)
        try:
            yield
        finally:
            self._place.get()
            self._of_this_thread.inside = True


turnstile = Turnstile()


def _start_afresh() -> None:
    # A forked child has none of the threads whose turn it may have been.
    turnstile.__init__()  # type: ignore[misc]


os.register_at_fork(after_in_child=_start_afresh)
