"""What every limit does, counted in this process and in Redis; and what happens while Redis is away."""

import socket
import threading
from collections.abc import Iterator

import pytest
import redis

from gateway.db.crypto import KeyRing
from gateway.errors import TooManyRequests
from gateway.limits import RateLimits, open_limits, refuse, require_within
from gateway.moving_windows import MOST_KEYS, ProcessWindows
from gateway.rates import DEFAULTS, Kind, Rate, Rates, parse_rates

RATES: Rates = {
    **DEFAULTS,
    Kind.CLIENT_FAILURES: Rate(3),
    Kind.IDENTIFIERS: Rate(3),
    Kind.REQUESTS: Rate(1000),
    Kind.TOKENS: Rate(0),
}


@pytest.fixture(params=["process", pytest.param("redis", marks=pytest.mark.integration)])
def limits(request: pytest.FixtureRequest, keys: KeyRing) -> Iterator[RateLimits]:
    """Each place to count in, empty."""
    url = "" if request.param == "process" else request.getfixturevalue("redis_url")
    opened = open_limits(url, keys, RATES)
    yield opened
    opened.close()


def test_as_many_as_the_limit_are_let_through_and_others_are_not_counted(limits: RateLimits) -> None:
    """The fourth waits no longer than the window, another's first is let through, a refused one is not counted."""
    assert [limits.hit(Kind.CLIENT_FAILURES, "a") for _ in range(3)] == [None] * 3
    for _ in range(3):
        retry = limits.hit(Kind.CLIENT_FAILURES, "a")
        assert retry is not None
        assert 1 <= retry.after_s <= 60
    assert limits.hit(Kind.CLIENT_FAILURES, "b") is None
    assert limits.hit(Kind.SIGN_IN_FAILURES, "a") is None


def test_looking_counts_nothing_and_forgetting_begins_anew(limits: RateLimits) -> None:
    """`check` is for those who are refused before they are believed or not."""
    for _ in range(5):
        assert limits.check(Kind.CLIENT_FAILURES, "a") is None
    for _ in range(3):
        limits.hit(Kind.CLIENT_FAILURES, "a")
    assert limits.check(Kind.CLIENT_FAILURES, "a") is not None
    limits.forget(Kind.CLIENT_FAILURES, "a")
    assert limits.check(Kind.CLIENT_FAILURES, "a") is None
    assert limits.hit(Kind.CLIENT_FAILURES, "a") is None


def test_what_is_the_same_counts_once(limits: RateLimits) -> None:
    """Asked again it is let through, also when the limit is reached; what is new is not."""
    for what in ("1", "2", "1", "1", "3", "2", "3"):
        assert limits.hit_distinct(Kind.IDENTIFIERS, "ehr", what) is None
    retry = limits.hit_distinct(Kind.IDENTIFIERS, "ehr", "4")
    assert retry is not None
    assert 1 <= retry.after_s <= 60
    assert limits.hit_distinct(Kind.IDENTIFIERS, "ehr", "1") is None
    assert limits.hit_distinct(Kind.IDENTIFIERS, "other", "4") is None


def test_a_limit_of_nothing_limits_nothing(limits: RateLimits) -> None:
    """0 is no limit."""
    assert all(limits.hit(Kind.TOKENS, "a") is None for _ in range(50))
    assert limits.check(Kind.TOKENS, "a") is None


def test_many_threads_are_counted_together(limits: RateLimits) -> None:
    """Of 1,600 requests a thousand are let through: exactly, since one process hands out what it has taken."""
    let_through = []

    def work() -> None:
        let_through.append(sum(limits.hit(Kind.REQUESTS, "ehr") is None for _ in range(200)))

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sum(let_through) == 1000


def test_too_many_are_an_error_that_says_when(limits: RateLimits) -> None:
    """`require_within` is what a face calls."""
    for _ in range(3):
        require_within(limits, Kind.CLIENT_FAILURES, "a")
    with pytest.raises(TooManyRequests) as refused:
        require_within(limits, Kind.CLIENT_FAILURES, "a")
    assert 1 <= refused.value.retry_after_s <= 60
    refuse(Kind.CLIENT_FAILURES, None)


@pytest.mark.integration
def test_processes_count_together_and_nothing_in_redis_can_be_read(redis_url: str, keys: KeyRing) -> None:
    """Two of them, one limit; what stands in Redis names nobody, and goes by itself."""
    one, other = open_limits(redis_url, keys, RATES), open_limits(redis_url, keys, RATES)
    assert [limits.hit(Kind.CLIENT_FAILURES, "a") for limits in (one, other, one)] == [None] * 3
    assert other.hit(Kind.CLIENT_FAILURES, "a") is not None
    assert [limits.hit_distinct(Kind.IDENTIFIERS, "a", "MRN-1") for limits in (one, other)] == [None, None]
    let_through = sum(limits.hit(Kind.REQUESTS, "ehr") is None for _ in range(800) for limits in (one, other))
    assert let_through == 1000

    raw = redis.Redis.from_url(redis_url)
    stored = raw.keys()
    for name in stored:
        assert raw.ttl(name) > 0
        held = raw.zrange(name, 0, -1) if raw.type(name) == b"zset" else raw.lrange(name, 0, 5)
        for hidden in (b"MRN-1", b"ehr", b":a"):
            assert hidden not in name + b"".join(held)
    assert len(stored) == 3
    raw.close()
    one.close()
    other.close()


def test_a_redis_that_is_away_is_neither_an_outage_nor_no_limit(keys: KeyRing) -> None:
    """Nobody listens: this process counts alone."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        limits = open_limits(f"redis://127.0.0.1:{taken.getsockname()[1]}/0", keys, RATES)
        assert [limits.hit(Kind.CLIENT_FAILURES, "a") for _ in range(3)] == [None] * 3
        assert limits.hit(Kind.CLIENT_FAILURES, "a") is not None
        assert limits.check(Kind.CLIENT_FAILURES, "a") is not None
        assert [limits.hit_distinct(Kind.IDENTIFIERS, "a", str(n)) is None for n in range(4)] == [True] * 3 + [False]
        assert sum(limits.hit(Kind.REQUESTS, "ehr") is None for _ in range(1200)) == 1000
        limits.forget(Kind.CLIENT_FAILURES, "a")
        assert limits.hit(Kind.CLIENT_FAILURES, "a") is None
        limits.close()


class Clock:
    """A clock that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Away(ProcessWindows):
    """Shared windows that are away until a test says otherwise, and that remember how often they were asked."""

    failures = OSError
    away = True
    asked = 0

    def take(self, key: str, rate: Rate, amount: int) -> float:
        """Fails while away."""
        self.asked += 1
        if self.away:
            raise OSError
        return super().take(key, rate, amount)

    def close(self) -> None:
        """Nothing to close."""


def test_shared_windows_that_are_away_are_asked_ever_more_rarely(keys: KeyRing) -> None:
    """After one second, then two, four, and so on up to sixteen; once they are back, each time."""
    clock, shared = Clock(), Away()
    limits = RateLimits(RATES, keys, shared, clock=clock)
    asked_at = []
    for second in range(60):
        clock.now = 1000.0 + second
        before = shared.asked
        for _ in range(5):
            limits.hit(Kind.SIGN_IN_FAILURES, "a")
        if shared.asked > before:
            asked_at.append((second, shared.asked - before))
    assert asked_at == [(0, 1), (1, 1), (3, 1), (7, 1), (15, 1), (31, 1), (47, 1)]

    shared.away = False
    clock.now = 1100.0
    before = shared.asked
    for _ in range(5):
        limits.hit(Kind.SIGN_IN_NETWORK_FAILURES, "b")
    assert shared.asked - before == 5


def test_a_window_moves() -> None:
    """What is a minute old no longer counts, one by one, and how long to wait is until the oldest goes."""
    clock = Clock()
    windows, rate = ProcessWindows(clock=clock), Rate(3)
    for second in (0, 20, 40):
        clock.now = 1000.0 + second
        assert windows.take("a", rate, 1) == 0
    assert windows.take("a", rate, 1) == 20
    assert windows.take("a", rate, 2) == 40
    clock.now = 1060.0
    assert windows.take("a", rate, 1) == 0
    assert windows.wait("a", rate) == 20
    clock.now = 1300.0
    assert windows.take("a", rate, 3) == 0
    assert windows.take("a", rate, 4) == 60


def test_distinct_things_leave_the_window_too() -> None:
    """A minute after it was first asked for it counts anew."""
    clock = Clock()
    windows, rate = ProcessWindows(clock=clock), Rate(2)
    assert windows.add("a", "1", rate) == 0
    clock.now += 30
    assert windows.add("a", "2", rate) == 0
    assert windows.add("a", "3", rate) == 30
    clock.now += 30
    assert windows.add("a", "3", rate) == 0
    assert windows.add("a", "1", rate) == 30


def test_the_key_used_longest_ago_makes_room() -> None:
    """A stranger who invents names takes no more memory than that."""
    windows, rate = ProcessWindows(most_keys=3), Rate(1)
    for key in ("a", "b", "c"):
        assert windows.take(key, rate, 1) == 0
        assert windows.add(key, "1", rate) == 0
    assert windows.take("a", rate, 1) > 0
    assert windows.take("d", rate, 1) == 0
    assert windows.take("a", rate, 1) > 0
    assert windows.take("b", rate, 1) == 0
    assert MOST_KEYS > 1000


def test_words_change_what_they_name() -> None:
    """Everything else is as it was."""
    assert parse_rates("") == DEFAULTS
    changed = parse_rates("identifiers=1000, requests=0\nsign-in-failures=5")
    assert changed == {
        **DEFAULTS,
        Kind.IDENTIFIERS: Rate(1000),
        Kind.REQUESTS: Rate(0),
        Kind.SIGN_IN_FAILURES: Rate(5, 900),
    }


@pytest.mark.parametrize(
    "text", ["identifiers", "identifiers=", "identifiers=-1", "x=1", "requests=1 requests=2", "=1"]
)
def test_words_that_say_nothing_are_refused(text: str) -> None:
    """A misspelt limit must not pass for one."""
    with pytest.raises(ValueError, match=r"not a (limit|valid Kind)"):
        parse_rates(text)
