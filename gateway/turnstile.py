"""Whose turn is it? Few imaging queries of a process work at a time; one that waits for others lets the next one in.

Threads of one interpreter can't work at the same moment anyway. Left to themselves, many that have work pass the
interpreter to one another at every system call, with cold caches each time: thirty-two queries at once then cost twice
the CPU that they cost one after the other. So a query takes its turn, and leaves it for as long as it waits for
facilities or for what is stored durably. Of look-ups in a database server it waits where it is: they are short, and a
second place lets another query work meanwhile. There is one turnstile a process, as there is one interpreter.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

from gateway.errors import DeadlinePassed


class Turnstile:
    """Lets as many threads in at a time as it has places, in the order they came."""

    def __init__(self, places: int = 1) -> None:
        self.open(places)

    def open(self, places: int) -> None:
        """From now on it has so many places. Before any thread comes."""
        self.places = places
        self._place: SimpleQueue[None] = SimpleQueue()
        for _ in range(places):
            self._place.put(None)
        self._of_this_thread = threading.local()

    @contextmanager
    def inside(self, seconds: float) -> Iterator[None]:
        """It is this thread's turn. Raises DeadlinePassed where it did not come within `seconds`."""
        place = self._place
        try:
            place.get(timeout=seconds)
        except Empty:
            raise DeadlinePassed("the gateway was busy until the deadline") from None
        self._of_this_thread.inside = True
        try:
            yield
        finally:
            self._of_this_thread.inside = False
            place.put(None)

    @contextmanager
    def outside(self) -> Iterator[None]:
        """While this thread waits, another may have its turn; afterwards it is this thread's again.

        Nothing happens for a thread that had no turn.
        """
        if not getattr(self._of_this_thread, "inside", False):
            yield
            return
        place = self._place
        self._of_this_thread.inside = False
        place.put(None)
        try:
            yield
        finally:
            place.get()
            self._of_this_thread.inside = True


turnstile = Turnstile()


def _start_afresh() -> None:
    # A forked child has none of the threads whose turn it may have been.
    turnstile.open(turnstile.places)


os.register_at_fork(after_in_child=_start_afresh)
