"""Redis is gone: answers are the right ones, or there are none; it is never taken for "no consent on file" (T60)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.functional.small_exchange import SmallExchange, hold_study, identifier, uids
from tests.services.exchange import domain_of
from tests.services.redis import Redis

IN_NORTH, IN_SOUTH = "2.25.6001", "2.25.6002"
ASKED = 6
LIMIT = 30
"""Different identifiers in a minute."""

pytestmark = pytest.mark.integration


@pytest.fixture
def redis() -> Iterator[Redis]:
    """A server of the test's own, that it may stop."""
    server = Redis()
    yield server
    server.stop()


@pytest.fixture
def exchange(redis: Redis) -> Iterator[SmallExchange]:
    """One person with a study in each of two facilities, of which south is barred, under a policy that permits all."""
    made = SmallExchange(
        GATEWAY_REDIS_URL=redis.url,
        GATEWAY_WORKERS="2",
        GATEWAY_CONSENT_POLICY="all-normal",
        GATEWAY_RATE_LIMITS=f"identifiers={LIMIT}",
    )
    for id_, uid, date in (("north", IN_NORTH, "20240301"), ("south", IN_SOUTH, "20240202")):
        hold_study(made.add_archive(id_), "a", uid, date=date)
    made.add_person("a", "north", "south")
    made.bar("a", "south")
    yield made.start()
    made.stop()


def test_t060_without_redis_consents_count_as_they_did(exchange: SmallExchange, redis: Redis) -> None:
    """What was barred stays so, and what is barred and opened meanwhile is obeyed by the next request."""
    named = {"patient.identifier": identifier("a", "north")}

    def shown() -> set[tuple[str, ...]]:
        """What the processes show, each asked more than once."""
        answers = [exchange.get("/ImagingStudy", named) for _ in range(ASKED)]
        assert {answer.status_code for answer in answers} == {200}
        return {tuple(sorted(uids(answer.json()))) for answer in answers}

    assert shown() == {(IN_NORTH,)}
    redis.stop()
    assert shown() == {(IN_NORTH,)}
    exchange.bar("a")
    assert shown() == {(IN_NORTH, IN_SOUTH)}
    exchange.bar("a", "north", "south")
    assert shown() == {()}


def test_t039_two_processes_count_together_and_each_for_itself_without_redis(
    exchange: SmallExchange, redis: Redis
) -> None:
    """At once, the limit is exact; without Redis it is at most itself times the processes, and nothing fails."""
    token = exchange.token

    def guess(name: str) -> int:
        asked = {"patient.identifier": f"{domain_of('north')}|{name}"}
        return exchange.get("/ImagingStudy", asked, token=token).status_code

    with ThreadPoolExecutor(8) as guessers:
        together = list(guessers.map(guess, [f"one-{n}" for n in range(2 * LIMIT)]))
        redis.stop()
        alone = list(guessers.map(guess, [f"two-{n}" for n in range(4 * LIMIT)]))
    assert (together.count(200), together.count(429)) == (LIMIT, LIMIT)
    assert set(alone) == {200, 429}
    assert LIMIT <= alone.count(200) <= 2 * LIMIT
