"""Conversations side by side: each is heard, each ends in time, and none can harm another."""

import heapq
import random
from collections.abc import Callable, Generator, Iterable, Sequence
from datetime import timedelta

import pytest

from gateway.adapters.base import Conversation, FacilityReply, HTTPExchange, HTTPResult
from gateway.adapters.http import Allowance, Call, Outcome, Terms, run
from gateway.deadline import Deadline
from gateway.model import FacilityID
from tests.factories_adapters import a_facility

OK = HTTPResult(status=200)


class FakeTransport:
    """Ends each exchange after the seconds its URL states, on a clock that only moves while it waits."""

    def __init__(self, *, jitter: Callable[[], float] = lambda: 0.0) -> None:
        self.now = 0.0
        self.started: list[str] = []
        self.abandoned = 0
        self._jitter = jitter
        self._tickets = 0
        self._due: list[tuple[float, int]] = []
        self._open: set[int] = set()

    def clock(self) -> float:
        """Every look at the clock may take a moment."""
        self.now += self._jitter()
        return self.now

    def start(self, exchange: HTTPExchange, terms: Terms, seconds: float, allowance: Allowance) -> int:
        """The exchange ends when its URL says."""
        assert seconds > 0
        self._tickets += 1
        self.started.append(exchange.url)
        heapq.heappush(self._due, (self.now + float(exchange.url), self._tickets))
        self._open.add(self._tickets)
        return self._tickets

    def wait(self, seconds: float) -> Iterable[tuple[int, HTTPResult]]:
        """Time passes up to the next end, but no further than `seconds`."""
        until = self.now + seconds
        self.now = max(self.now, min(until, self._due[0][0] if self._due else until)) + self._jitter()
        ended = []
        while self._due and self._due[0][0] <= self.now:
            _, ticket = heapq.heappop(self._due)
            if ticket in self._open:
                self._open.remove(ticket)
                ended.append((ticket, OK))
        return ended

    def abandon(self, ticket: int) -> None:
        """Nothing comes back any more."""
        self._open.remove(ticket)
        self.abandoned += 1

    @property
    def quiet(self) -> bool:
        """Whether nothing is under way."""
        return not self._open


def asking(*rounds: Sequence[float]) -> Conversation:
    """Asks for each round's exchanges; its reply counts the results that came."""
    came = 0
    for round_ in rounds:
        results = yield [HTTPExchange(url=str(seconds)) for seconds in round_]
        assert len(results) == len(round_)
        came += sum(result is OK for result in results)
        if any(result.failure for result in results):
            break
    return FacilityReply(facility=a_facility(), status="answered", dropped=came)


def a_call(transport: FakeTransport, conversation: Conversation, seconds: float = 1.0) -> Call:
    return Call(
        facility=FacilityID("north"),
        conversation=conversation,
        terms=Terms(),
        deadline=Deadline(transport.now + seconds, transport.clock),
    )


def came(outcome: Outcome) -> int | None:
    return None if outcome.reply is None else outcome.reply.dropped


def test_conversations_run_side_by_side() -> None:
    """All together take as long as the slowest."""
    transport = FakeTransport()
    outcomes = run([a_call(transport, asking([0.3], [0.3])), a_call(transport, asking([0.5, 0.1]))], transport)

    assert [came(outcome) for outcome in outcomes] == [2, 2]
    assert [outcome.elapsed for outcome in outcomes] == [timedelta(seconds=0.6), timedelta(seconds=0.5)]
    assert transport.now == pytest.approx(0.6)


def test_results_come_in_the_order_of_the_exchanges() -> None:
    """Whichever ends first."""

    def conversation() -> Conversation:
        results = yield [HTTPExchange(url="0.2"), HTTPExchange(url="5"), HTTPExchange(url="0.1")]
        assert [result.failure for result in results] == [None, "timed_out", None]
        return FacilityReply(facility=a_facility(), status="answered", dropped=1)

    transport = FakeTransport()

    assert came(run([a_call(transport, conversation())], transport)[0]) == 1


def test_each_has_its_own_deadline() -> None:
    """A slow facility costs the others nothing; what came of it before is kept."""
    transport = FakeTransport()
    outcomes = run(
        [a_call(transport, asking([0.1], [9]), seconds=0.5), a_call(transport, asking([0.7]), seconds=1.0)], transport
    )

    assert [came(outcome) for outcome in outcomes] == [1, 1]
    assert [outcome.late for outcome in outcomes] == [True, False]
    assert transport.now == pytest.approx(0.7)
    assert transport.quiet


def test_nothing_is_started_after_the_deadline() -> None:
    """A conversation that asks on when its time is spent is answered `timed_out` without an exchange."""
    transport = FakeTransport()
    outcome = run([a_call(transport, asking([1.0], [0.1]), seconds=1.0)], transport)[0]

    assert (came(outcome), transport.started) == (1, ["1.0"])


def test_a_deadline_that_has_passed_starts_nothing() -> None:
    """No time is left at all."""
    transport = FakeTransport()

    assert came(run([a_call(transport, asking([0.1]), seconds=0.0)], transport)[0]) == 0
    assert transport.started == []


def test_a_conversation_that_breaks_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """It has no reply; the others have theirs, and nothing of its words is logged."""

    def broken() -> Conversation:
        yield [HTTPExchange(url="0.1")]
        msg = "Nordqvist"
        raise RuntimeError(msg)

    transport = FakeTransport()
    outcomes = run([a_call(transport, broken()), a_call(transport, asking([0.2]))], transport)

    assert [came(outcome) for outcome in outcomes] == [None, 1]
    assert "Nordqvist" not in str([record.getMessage() for record in caplog.records])


@pytest.mark.parametrize("wants", [[], [HTTPExchange(url="9")]])
def test_a_conversation_that_never_ends_is_ended(wants: list[HTTPExchange]) -> None:
    """Asking for nothing, or asking on after the deadline, for ever."""

    def endless() -> Generator[Sequence[HTTPExchange], Sequence[HTTPResult], FacilityReply]:
        while True:
            yield wants

    transport = FakeTransport()
    outcome = run([a_call(transport, endless())], transport)[0]

    assert outcome.reply is None
    assert transport.quiet


def test_nobody_to_ask_is_no_work() -> None:
    """An empty query ends at once."""
    assert run([], FakeTransport()) == []


def test_an_allowance_is_shared_and_used_up() -> None:
    """A facility has its own, and all of a query share one."""
    whole = Allowance(100)
    one, other = Allowance(80, whole), Allowance(80, whole)

    assert [one.take(80), one.take(1), other.take(20), other.take(1)] == [True, False, True, False]


def test_secrets_do_not_show_in_terms() -> None:
    """They may stand in an error report."""
    assert "secret" not in repr(Terms(authorization="Basic secret"))


def test_t142_a_deadline_that_fires_while_results_arrive_always_ends_in_an_answer() -> None:
    """Ten thousand random timings: every call has an outcome, in time, and nothing is left under way."""
    chance = random.Random(142)
    for _ in range(10_000):
        transport = FakeTransport(jitter=lambda: chance.choice((0.0, 0.0, 1e-9, 1e-3)))
        near = chance.choice((0.05, 0.1, 0.5))
        calls = [
            a_call(
                transport,
                asking(*[[_around(near, chance) for _ in range(chance.randint(1, 3))] for _ in range(2)]),
                seconds=_around(near, chance),
            )
            for _ in range(chance.randint(1, 5))
        ]
        last = max(call.deadline.at for call in calls)
        outcomes = run(calls, transport)

        assert all(outcome.reply is not None for outcome in outcomes)
        assert transport.now <= last + 0.2
        assert transport.quiet


def _around(near: float, chance: random.Random) -> float:
    """Now and then exactly the same moment, else one close to it."""
    return max(1e-6, near + chance.choice((0.0, 0.0, 1e-9, -1e-9, chance.uniform(-0.05, 0.05))))
