"""What a process does with the audit beside its answers: index it, raise alerts, send notices, feed a repository.

Several processes may do this at once: a lease in the database lets one at a time. It works in small steps and rests
many times as long as it worked, so that answers hardly notice it; a process of its own (`audit follow`) needn't rest.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from gateway.errors import GatewayError
from gateway.log import Event, event
from gateway.metrics import AUDIT_FOLLOWED
from gateway.watch.follow import LEASE, Follower, Following
from gateway.watch.notices import Courier

RESTING = 15.0
_EVERY_S = 1.0
_LONGEST_REST_S = LEASE.total_seconds() / 3
"""So long that a step of a busy process weighs little, and short enough that it keeps its lease."""
_STOP_WITHIN_S = 15.0


class Watcher:
    """Followers and the courier, each in a thread of its own while it is started."""

    def __init__(
        self, following: Following, followers: Sequence[Follower], courier: Courier, *, resting: float = RESTING
    ) -> None:
        """`resting`: for how many times the length of a step is rested after it."""
        self._following = following
        self._followers = followers
        self._courier = courier
        self._resting = resting
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """From now on what is stored is followed, until `close`."""
        for one in self._followers:
            self._begin(f"audit-{one.name}", self._step_of(one))
        self._begin("audit-courier", self._courier.run)

    def close(self) -> None:
        """Nothing is under way any more, and another process may go on at once."""
        self._ended.set()
        for thread in self._threads:
            thread.join(_STOP_WITHIN_S)
        if self._threads:
            self._give_up()
        self._threads.clear()

    def catch_up(self) -> int:
        """All that is stored by now is dealt with, and what is due sent; how many records were. Raises GatewayError."""
        done = 0
        for one in self._followers:
            while step := self._step_of(one)():
                done += step
        self._courier.run()
        self._give_up()
        return done

    def _step_of(self, one: Follower) -> Callable[[], int]:
        def step() -> int:
            done = self._following.step(one)
            AUDIT_FOLLOWED.labels(follower=one.name).inc(done)
            return done

        return step

    def _give_up(self) -> None:
        for one in self._followers:
            try:
                self._following.give_up(one.name)
            except GatewayError:
                return  # the lease ends by itself

    def _begin(self, name: str, work: Callable[[], int]) -> None:
        thread = threading.Thread(target=self._repeat, args=(work,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _repeat(self, work: Callable[[], int]) -> None:
        pause, failing = _EVERY_S, False
        while not self._ended.wait(pause):
            started, pause = time.monotonic(), _EVERY_S
            try:
                if work():
                    pause = min(_LONGEST_REST_S, (time.monotonic() - started) * self._resting)
                failing = False
            except GatewayError as exc:
                if not failing:  # once, not every second
                    event(Event.AUDIT_NOT_FOLLOWED, level=logging.ERROR, reason=exc.reason)
                failing = True
            except Exception:  # noqa: BLE001  # nobody would notice that the thread has gone
                event(Event.UNEXPECTED_ERROR, level=logging.ERROR, exc_info=True)
