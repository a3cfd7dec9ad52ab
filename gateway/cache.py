"""What may be forgotten at any time: kept for a while in this process, or in a Redis that all processes share.

A cache that fails is a cache that has nothing: a query is slower then, never wrong and never refused. No decision is
ever kept here. What Redis holds is sealed, under keys from which nothing can be read.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from gateway.errors import DependencyUnavailable
from gateway.log import Event, event

_PURPOSE = "cache"
_ONE_CALL = 0.25
"""Seconds that one call to Redis may take."""
_PAUSE = 1.0
"""Seconds for which a Redis that failed is left alone, so that its silence costs one query and not each."""


class Cache(Protocol):
    """Bytes by key, for a while."""

    def find(self, key: str) -> bytes | None:
        """What was saved under `key`, unless its time is over or it was forgotten."""
        ...

    def save(self, key: str, value: bytes, ttl: timedelta) -> None:
        """`value` is found under `key` for at most `ttl`."""
        ...

    def forget(self, key: str) -> None:
        """Nothing is found under `key`."""
        ...

    def ping(self) -> None:
        """The cache answers. Raises DependencyUnavailable otherwise."""
        ...


class Sealer(Protocol):
    """What the shared cache needs of the gateway's keys."""

    def seal(self, table: str, row: str, plain: bytes) -> bytes:
        """`plain`, readable only for this table and row."""
        ...

    def open(self, table: str, row: str, sealed: bytes) -> bytes:
        """What was sealed. Raises DependencyUnavailable."""
        ...

    def blind(self, purpose: str, *parts: str) -> bytes:
        """A keyed hash of `parts`."""
        ...


class ProcessCache:
    """A cache of this process alone: the least recently used goes when it is full."""

    def __init__(
        self, *, most_entries: int = 10_000, most_bytes: int = 64 << 20, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most_entries = most_entries
        self._most_bytes = most_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._bytes = 0

    def find(self, key: str) -> bytes | None:
        """What was saved under `key`, unless its time is over or it had to make room."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            until, value = entry
            if self._clock() >= until:
                self._drop(key)
                return None
            self._entries.move_to_end(key)
            return value

    def save(self, key: str, value: bytes, ttl: timedelta) -> None:
        """`value` is found under `key` for at most `ttl`; a value larger than the whole cache is not kept."""
        with self._lock:
            self._drop(key)
            if len(value) > self._most_bytes or ttl <= timedelta(0):
                return
            self._entries[key] = (self._clock() + ttl.total_seconds(), value)
            self._bytes += len(value)
            while len(self._entries) > self._most_entries or self._bytes > self._most_bytes:
                self._drop(next(iter(self._entries)))

    def forget(self, key: str) -> None:
        """Nothing is found under `key`."""
        with self._lock:
            self._drop(key)

    def ping(self) -> None:
        """Always answers."""

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= len(entry[1])


class RedisCache:
    """A cache that all processes share."""

    def __init__(self, url: str, keys: Sealer, *, clock: Callable[[], float] = time.monotonic) -> None:
        import redis  # only where one is used: a worker without one is six megabytes smaller

        self._failures = redis.RedisError
        self._redis = redis.Redis.from_url(
            url, socket_timeout=_ONE_CALL, socket_connect_timeout=_ONE_CALL, retry=None, protocol=2
        )
        self._keys = keys
        self._clock = clock
        self._paused_until = 0.0

    def find(self, key: str) -> bytes | None:
        """What was saved under `key`; None too where Redis fails, or holds what this gateway did not seal."""
        sealed = self._ask(lambda: self._redis.get(self._name(key)))
        if not isinstance(sealed, bytes):
            return None
        try:
            return self._keys.open(_PURPOSE, key, sealed)
        except DependencyUnavailable as exc:
            event(Event.DEPENDENCY_UNAVAILABLE, level=logging.WARNING, dependency="cache", reason=exc.code)
            return None

    def save(self, key: str, value: bytes, ttl: timedelta) -> None:
        """`value` is found under `key` for at most `ttl`, if Redis takes it."""
        milliseconds = ttl // timedelta(milliseconds=1)
        if milliseconds <= 0:
            self.forget(key)
            return
        sealed = self._keys.seal(_PURPOSE, key, value)
        self._ask(lambda: self._redis.set(self._name(key), sealed, px=milliseconds))

    def forget(self, key: str) -> None:
        """Nothing is found under `key`, if Redis answers; what must not be found is never kept here."""
        self._ask(lambda: self._redis.delete(self._name(key)))

    def ping(self) -> None:
        """Redis answers. Raises DependencyUnavailable otherwise."""
        try:
            self._redis.ping()
        except self._failures as exc:
            raise DependencyUnavailable("the cache does not answer") from exc

    def close(self) -> None:
        """Its connections are closed."""
        self._redis.close()

    def _name(self, key: str) -> str:
        return f"gateway:{self._keys.blind(_PURPOSE, key).hex()}"

    def _ask(self, call: Callable[[], object]) -> object:
        if self._clock() < self._paused_until:
            return None
        try:
            return call()
        except self._failures as exc:
            self._paused_until = self._clock() + _PAUSE
            event(Event.DEPENDENCY_UNAVAILABLE, level=logging.WARNING, dependency="cache", reason=type(exc).__name__)
            return None


def open_cache(redis_url: str, keys: Sealer) -> Cache:
    """The cache of a deployment: Redis where `redis_url` names one, else of this process. Connects to nothing yet."""
    return RedisCache(redis_url, keys) if redis_url else ProcessCache()
