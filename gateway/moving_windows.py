"""So many in a moving window, by key: counted in this process, or in a Redis that all processes share."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Protocol

from gateway.rates import Rate

_ONE_CALL = 0.25
"""Seconds that one call to Redis may take."""
MOST_KEYS = 50_000


class Windows(Protocol):
    """Moving windows by key. What is returned is the seconds to wait; 0 where it was let through."""

    def take(self, key: str, rate: Rate, amount: int) -> float:
        """`amount` more are counted, or none."""
        ...

    def wait(self, key: str, rate: Rate) -> float:
        """How long until one more is let through; nothing is counted."""
        ...

    def add(self, key: str, member: str, rate: Rate) -> float:
        """`member` is counted, unless it has been within the window."""
        ...

    def forget(self, key: str) -> None:
        """Nothing is counted under `key`."""
        ...


class SharedWindows(Windows, Protocol):
    """Windows that several processes share, and that may be away."""

    @property
    def failures(self) -> type[Exception]:
        """What every method raises where they are."""
        ...

    def close(self) -> None:
        """Connections are closed."""
        ...


class ProcessWindows:
    """Windows of this process alone: the key that was used longest ago goes when there are too many.

    (The in-memory storage of the `limits` library starts a thread every ten milliseconds that walks through all keys,
    and never has too many.)
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, most_keys: int = MOST_KEYS) -> None:
        self._clock = clock
        self._most_keys = most_keys
        self._lock = threading.Lock()
        self._counted: OrderedDict[str, deque[tuple[float, int]]] = OrderedDict()
        self._totals: dict[str, int] = {}
        self._members: OrderedDict[str, OrderedDict[str, float]] = OrderedDict()

    def take(self, key: str, rate: Rate, amount: int) -> float:
        """`amount` more are counted where they are within the limit."""
        now = self._clock()
        with self._lock:
            counted = self._window(key, rate, now)
            total = self._totals[key]
            if total + amount > rate.most:
                return _until_free(counted, total + amount - rate.most, rate, now)
            counted.append((now, amount))
            self._totals[key] = total + amount
        return 0.0

    def wait(self, key: str, rate: Rate) -> float:
        """How long until one more is let through."""
        now = self._clock()
        with self._lock:
            if key not in self._counted:
                return 0.0
            counted = self._window(key, rate, now)
            over = self._totals[key] + 1 - rate.most
            return _until_free(counted, over, rate, now) if over > 0 else 0.0

    def add(self, key: str, member: str, rate: Rate) -> float:
        """`member` is counted once in the window."""
        now = self._clock()
        with self._lock:
            members = self._members.setdefault(key, OrderedDict())
            self._members.move_to_end(key)
            while members and next(iter(members.values())) <= now - rate.seconds:
                members.popitem(last=False)
            if member in members:
                return 0.0
            if len(members) >= rate.most:
                return next(iter(members.values())) + rate.seconds - now
            members[member] = now
            if len(self._members) > self._most_keys:
                self._members.popitem(last=False)
        return 0.0

    def forget(self, key: str) -> None:
        """Nothing is counted under `key`."""
        with self._lock:
            self._counted.pop(key, None)
            self._totals.pop(key, None)
            self._members.pop(key, None)

    def _window(self, key: str, rate: Rate, now: float) -> deque[tuple[float, int]]:
        counted = self._counted.get(key)
        if counted is None:
            counted = self._counted[key] = deque()
            self._totals[key] = 0
            if len(self._counted) > self._most_keys:
                oldest, _ = self._counted.popitem(last=False)
                del self._totals[oldest]
        else:
            self._counted.move_to_end(key)
        gone = 0
        while counted and counted[0][0] <= now - rate.seconds:
            gone += counted.popleft()[1]
        self._totals[key] -= gone
        return counted


def _until_free(counted: deque[tuple[float, int]], places: int, rate: Rate, now: float) -> float:
    for since, amount in counted:
        places -= amount
        if places <= 0:
            return max(since + rate.seconds - now, 0.001)
    return float(rate.seconds)  # more at once than the limit ever lets through


_ADD = """
local now, lasts, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('zremrangebyscore', KEYS[1], '-inf', now - lasts)
if redis.call('zscore', KEYS[1], ARGV[4]) then return '0' end
if redis.call('zcard', KEYS[1]) >= most then
  local oldest = redis.call('zrange', KEYS[1], 0, 0, 'WITHSCORES')
  return tostring(oldest[2] + lasts - now)
end
redis.call('zadd', KEYS[1], now, ARGV[4])
redis.call('expire', KEYS[1], lasts)
return '0'
"""


class RedisWindows:
    """Windows that all processes share. Every method raises the failures of `failures`."""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time) -> None:
        import redis  # only where one is used
        from limits.storage import RedisStorage

        self._failures: type[Exception] = redis.RedisError
        self._clock = clock
        self._storage = RedisStorage(
            url,
            key_prefix="gateway:limit",
            socket_timeout=_ONE_CALL,
            socket_connect_timeout=_ONE_CALL,
            retry=None,  # type: ignore[arg-type]  # handed on to redis.Redis, which takes it
            protocol=2,
        )
        connection: Any = self._storage.get_connection()
        self._close = connection.close
        self._delete = connection.delete
        self._add = connection.register_script(_ADD)

    @property
    def failures(self) -> type[Exception]:
        """What the client of Redis raises."""
        return self._failures

    def take(self, key: str, rate: Rate, amount: int) -> float:
        """`amount` more are counted where they are within the limit."""
        if self._storage.acquire_entry(key, rate.most, rate.seconds, amount):
            return 0.0
        return self._until_free(key, rate)

    def wait(self, key: str, rate: Rate) -> float:
        """How long until one more is let through."""
        _, counted = self._storage.get_moving_window(key, rate.most, rate.seconds)
        return self._until_free(key, rate) if counted >= rate.most else 0.0

    def add(self, key: str, member: str, rate: Rate) -> float:
        """`member` is counted once in the window."""
        args = [self._clock(), rate.seconds, rate.most, member]
        return float(self._add(keys=[self._storage.prefixed_key(f"{key}:each")], args=args))

    def forget(self, key: str) -> None:
        """Nothing is counted under `key`."""
        name = self._storage.prefixed_key(key)
        self._delete(name, f"{name}:each")

    def close(self) -> None:
        """Its connections are closed."""
        self._close()

    def _until_free(self, key: str, rate: Rate) -> float:
        since, _ = self._storage.get_moving_window(key, rate.most, rate.seconds)
        return max(since + rate.seconds - self._clock(), 0.001)
