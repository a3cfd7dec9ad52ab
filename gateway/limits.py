"""More than is let through in this time? Moving windows in this process, or in a Redis that all processes share.

In Redis nothing can be read: who is counted stands there as a keyed hash. A Redis that fails is left alone for a
moment, and each process counts for itself meanwhile: so a limit is never more than itself times the processes, nothing
is ever unlimited, and nobody is refused because Redis is away.

What comes with every request is not asked of Redis each time. A process takes a slice of what is left and hands it
out; slices double while they are used up within a second, to at most a two-hundredth of the limit, so that a client
who asks rarely is counted exactly and one who asks often costs a round trip in hundreds.
"""

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from gateway.errors import TooManyRequests
from gateway.log import Event, event
from gateway.metrics import THROTTLED
from gateway.moving_windows import MOST_KEYS, ProcessWindows, RedisWindows, SharedWindows, Windows
from gateway.rates import Kind, Rate, Rates

T = TypeVar("T")
_PURPOSE = "limit"
_PAUSE, _LONGEST_PAUSE = 1.0, 16.0
"""Seconds for which a Redis that failed is left alone: twice as long each time that it fails again."""
_SLICED = frozenset((Kind.REQUESTS, Kind.RETRIEVAL, Kind.TOKENS))
_SLICES_A_LIMIT = 200
_SLICE_LASTS = 5.0
_KNOWN_LASTS = 10.0
"""Seconds for which what was counted is not asked about again."""


class Limiter(Protocol):
    """Counts and says when it is enough. No method fails: where the shared count is away, a process counts alone."""

    def hit(self, kind: Kind, who: str) -> "Retry | None":
        """One more is counted; where it is one too many it isn't, and when to try again is said."""
        ...

    def check(self, kind: Kind, who: str) -> "Retry | None":
        """Whether one more would be too many; nothing is counted."""
        ...

    def hit_distinct(self, kind: Kind, who: str, what: str) -> "Retry | None":
        """`what` is counted where it hasn't been within the window; where it is one too many it isn't."""
        ...

    def forget(self, kind: Kind, who: str) -> None:
        """Nothing is counted any more."""
        ...


@dataclass(frozen=True, slots=True)
class Retry:
    """When one more will be let through."""

    after_s: int

    @classmethod
    def after(cls, seconds: float) -> "Retry":
        """In whole seconds, at least one."""
        return cls(max(1, math.ceil(seconds)))


class NoLimits:
    """Where nothing is counted."""

    def hit(self, kind: Kind, who: str) -> Retry | None:
        """Never too many."""

    def check(self, kind: Kind, who: str) -> Retry | None:
        """Never too many."""

    def hit_distinct(self, kind: Kind, who: str, what: str) -> Retry | None:
        """Never too many."""

    def forget(self, kind: Kind, who: str) -> None:
        """Nothing to forget."""


NO_LIMITS = NoLimits()


def require_within(limiter: Limiter, kind: Kind, who: str) -> None:
    """One more is counted and let through. Raises TooManyRequests."""
    refuse(kind, limiter.hit(kind, who))


def refuse(kind: Kind, retry: Retry | None) -> None:
    """Raises TooManyRequests, counted in the metrics, where there is something to wait for."""
    if retry is not None:
        THROTTLED.labels(kind.value).inc()
        raise TooManyRequests(retry.after_s)


class Hasher(Protocol):
    """What the shared windows need of the gateway's keys."""

    def blind(self, purpose: str, *parts: str) -> bytes:
        """A keyed hash of `parts`."""
        ...


@dataclass(slots=True)
class _Slice:
    """What a process may hand out without asking again."""

    size: int = 0
    left: int = 0
    taken_at: float = 0.0
    refused_until: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


class RateLimits:
    """The limits of a deployment. One object serves all threads."""

    def __init__(
        self,
        rates: Rates,
        keys: Hasher,
        shared: SharedWindows | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rates = rates
        self._keys = keys
        self._shared = shared
        self._alone = ProcessWindows(clock=clock)
        self._clock = clock
        self._pause = self._paused_until = 0.0
        self._lock = threading.Lock()
        self._slices: OrderedDict[tuple[Kind, str], _Slice] = OrderedDict()
        self._known: OrderedDict[str, float] = OrderedDict()

    def hit(self, kind: Kind, who: str) -> Retry | None:
        """One more is counted; where it is one too many it isn't, and when to try again is said."""
        rate = self._rates[kind]
        if not rate.most:
            return None
        if self._shared is not None and kind in _SLICED:
            return self._from_slice(kind, who, rate)
        return _retry(self._ask(lambda windows: windows.take(self._key(kind, who), rate, 1)))

    def check(self, kind: Kind, who: str) -> Retry | None:
        """Whether one more would be too many; nothing is counted."""
        rate = self._rates[kind]
        if not rate.most:
            return None
        return _retry(self._ask(lambda windows: windows.wait(self._key(kind, who), rate)))

    def hit_distinct(self, kind: Kind, who: str, what: str) -> Retry | None:
        """`what` is counted where it hasn't been within the window; where it is one too many it isn't."""
        rate = self._rates[kind]
        if not rate.most:
            return None
        member = self._keys.blind(_PURPOSE, kind, who, what).hex()
        if self._shared is None:
            return _retry(self._alone.add(self._key(kind, who), member, rate))
        now = self._clock()
        with self._lock:
            known_until = self._known.get(member, 0.0)
        if now < known_until:
            return None
        wait = self._ask(lambda windows: windows.add(self._key(kind, who), member, rate))
        if not wait:
            self._remember(member, now + _KNOWN_LASTS)
        return _retry(wait)

    def _remember(self, member: str, until: float) -> None:
        with self._lock:
            self._known[member] = until
            self._known.move_to_end(member)
            if len(self._known) > MOST_KEYS:
                self._known.popitem(last=False)

    def forget(self, kind: Kind, who: str) -> None:
        """Nothing is counted any more, here or in Redis."""
        key = self._key(kind, who)
        self._alone.forget(key)
        if self._shared is not None:
            self._ask(lambda windows: windows.forget(key))

    def close(self) -> None:
        """Connections are closed."""
        if self._shared is not None:
            self._shared.close()

    def _key(self, kind: Kind, who: str) -> str:
        return f"{kind}:{self._keys.blind(_PURPOSE, kind, who).hex()}" if self._shared else f"{kind}:{who}"

    def _ask(self, call: Callable[[Windows], T]) -> T:
        """What the shared windows say; those of this process where they are away."""
        shared = self._shared
        if shared is None or not self._is_worth_asking():
            return call(self._alone)
        try:
            told = call(shared)
        except shared.failures as exc:
            with self._lock:
                self._pause = min(max(_PAUSE, self._pause * 2), _LONGEST_PAUSE)
                self._paused_until = self._clock() + self._pause
            event(Event.DEPENDENCY_UNAVAILABLE, level=logging.WARNING, dependency="limits", reason=type(exc).__name__)
            return call(self._alone)
        self._pause = 0.0
        return told

    def _is_worth_asking(self) -> bool:
        """Always while the shared windows answer; else one caller finds out whether they are back, at times."""
        if not self._pause:
            return True
        now = self._clock()
        with self._lock:
            if now < self._paused_until:
                return False
            self._paused_until = now + self._pause
        return True

    def _from_slice(self, kind: Kind, who: str, rate: Rate) -> Retry | None:
        own = self._slice_of(kind, who)
        with own.lock:
            now = self._clock()
            if own.left > 0 and now - own.taken_at < _SLICE_LASTS:
                own.left -= 1
                return None
            if now < own.refused_until:
                return Retry.after(own.refused_until - now)
            grown = own.size * 2 if now - own.taken_at < 1 else 1
            size = max(1, min(grown, rate.most // _SLICES_A_LIMIT))
            key = self._key(kind, who)
            wait = self._ask(lambda windows: windows.take(key, rate, size))
            if wait and size > 1:
                size = 1
                wait = self._ask(lambda windows: windows.take(key, rate, 1))
            if wait:
                own.refused_until = now + min(wait, 1.0)
                return Retry.after(wait)
            own.size, own.left, own.taken_at = size, size - 1, now
            return None

    def _slice_of(self, kind: Kind, who: str) -> _Slice:
        with self._lock:
            own = self._slices.get((kind, who))
            if own is None:
                own = self._slices[kind, who] = _Slice()
                if len(self._slices) > MOST_KEYS:
                    self._slices.popitem(last=False)
            return own


def _retry(wait: float) -> Retry | None:
    return Retry.after(wait) if wait else None


def open_limits(redis_url: str, keys: Hasher, rates: Rates) -> RateLimits:
    """The limits of a deployment: counted in Redis where `redis_url` names one. Connects to nothing yet."""
    return RateLimits(rates, keys, RedisWindows(redis_url) if redis_url else None)
