"""What every cache does, in this process and in Redis; and that a broken one costs time and nothing else."""

import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
import redis

from gateway.cache import Cache, ProcessCache, RedisCache, open_cache
from gateway.db.crypto import KeyRing
from gateway.errors import DependencyUnavailable

LONG = timedelta(minutes=5)


@pytest.fixture(params=["process", pytest.param("redis", marks=pytest.mark.integration)])
def cache(request: pytest.FixtureRequest, keys: KeyRing) -> Iterator[Cache]:
    """Each kind of cache, empty."""
    url = "" if request.param == "process" else request.getfixturevalue("redis_url")
    opened = open_cache(url, keys)
    yield opened
    if isinstance(opened, RedisCache):
        opened.close()


@pytest.fixture
def shared(redis_url: str, keys: KeyRing) -> Iterator[RedisCache]:
    """The cache in Redis."""
    opened = RedisCache(redis_url, keys)
    yield opened
    opened.close()


def test_what_was_saved_is_found_until_it_is_forgotten(cache: Cache) -> None:
    """Any bytes under any key; saving again replaces."""
    assert cache.find("a") is None
    cache.save("a", b"\x00\xff", LONG)
    cache.save("\u0434 key", b"", LONG)
    assert (cache.find("a"), cache.find("\u0434 key")) == (b"\x00\xff", b"")

    cache.save("a", b"new", LONG)
    assert cache.find("a") == b"new"
    cache.forget("a")
    cache.forget("a")
    assert cache.find("a") is None


def test_what_was_saved_is_gone_when_its_time_is_over(cache: Cache) -> None:
    """No value outlives its time, and one without any time is not kept, nor what it would have replaced."""
    cache.save("brief", b"x", timedelta(milliseconds=60))
    assert cache.find("brief") == b"x"
    time.sleep(0.1)
    assert cache.find("brief") is None

    cache.save("a", b"old", LONG)
    cache.save("a", b"new", timedelta(0))
    assert cache.find("a") is None


def test_many_threads_use_it_at_once(cache: Cache) -> None:
    """Each finds what it saved."""
    wrong: list[str] = []

    def work(name: str) -> None:
        for n in range(50):
            cache.save(f"{name}{n}", name.encode(), LONG)
            if cache.find(f"{name}{n}") != name.encode():
                wrong.append(name)

    workers = [threading.Thread(target=work, args=(name,)) for name in "abcdefgh"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


def test_it_answers_a_ping(cache: Cache) -> None:
    """Readiness looks at it."""
    cache.ping()


def test_a_process_cache_stays_within_its_bounds_and_lets_the_least_used_go() -> None:
    """By entries and by bytes; a value that would never fit is not kept."""
    cache = ProcessCache(most_entries=3, most_bytes=10)
    for key in "abc":
        cache.save(key, b"1", LONG)
    cache.find("a")
    cache.save("d", b"1", LONG)
    assert [key for key in "abcd" if cache.find(key)] == ["a", "c", "d"]

    cache.save("e", b"123456789", LONG)
    assert [key for key in "acde" if cache.find(key)] == ["d", "e"]
    cache.save("e", b"12345678901", LONG)
    assert [key for key in "de" if cache.find(key)] == ["d"]


@pytest.mark.integration
def test_nothing_can_be_read_from_what_redis_holds(shared: RedisCache, redis_url: str) -> None:
    """Neither key nor value lies in clear, and every key expires."""
    shared.save("Patient/Quillfeather", b"Zebediah", LONG)

    with redis.Redis.from_url(redis_url) as raw:
        (name,) = raw.keys()
        assert b"Quillfeather" not in name
        assert b"Zebediah" not in raw.get(name)
        assert 0 < raw.pttl(name) <= 300_000


@pytest.mark.integration
def test_what_somebody_else_put_into_redis_is_a_miss(shared: RedisCache, redis_url: str) -> None:
    """A value moved to another key, altered or of another type is never taken for ours."""
    shared.save("a", b"of a", LONG)
    shared.save("b", b"of b", LONG)
    with redis.Redis.from_url(redis_url) as raw:
        raw.set(shared._name("a"), raw.get(shared._name("b")))
        raw.set(shared._name("b"), b"garbage")
        raw.delete(shared._name("c"))
        raw.lpush(shared._name("c"), b"a list")

    assert (shared.find("a"), shared.find("b"), shared.find("c")) == (None, None, None)


def test_t060_a_cache_that_is_down_is_a_cache_that_has_nothing(keys: KeyRing) -> None:
    """No exception reaches the query; only readiness says so."""
    cache = RedisCache("redis://127.0.0.1:1/0", keys)

    cache.save("a", b"x", LONG)
    assert cache.find("a") is None
    cache.forget("a")
    with pytest.raises(DependencyUnavailable):
        cache.ping()
    cache.close()


def test_t060_a_cache_that_hangs_costs_one_query_a_moment_and_the_next_ones_nothing(keys: KeyRing) -> None:
    """A silent server is given a quarter of a second, then left alone for a second, then asked again."""
    now = 100.0
    with socket.create_server(("127.0.0.1", 0)) as silent:
        cache = RedisCache(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", keys, clock=lambda: now)
        started = time.monotonic()
        assert cache.find("a") is None
        assert 0.2 < time.monotonic() - started < 1

        started = time.monotonic()
        for _ in range(100):
            assert cache.find("a") is None
        assert time.monotonic() - started < 0.1

        now += 1.1
        started = time.monotonic()
        assert cache.find("a") is None
        assert time.monotonic() - started > 0.2
        cache.close()
