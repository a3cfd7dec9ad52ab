"""Many conversations with facilities at once, each within its own deadline.

This file knows nothing of sockets: a `Transport` carries the exchanges (`curl.py`), so that every timing can be tried
without one.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from msgspec import Struct

from gateway import log
from gateway.adapters.base import Conversation, FacilityReply, HTTPExchange, HTTPResult
from gateway.deadline import Deadline
from gateway.model import FacilityID

MOST_BYTES_A_FACILITY = 16 * 1024 * 1024
"""All bodies that one facility sends in one query, decoded."""
MOST_BYTES_A_QUERY = 64 * 1024 * 1024
_MOST_LATE_ROUNDS = 100
"""A conversation that still asks after its time is spent is ended after so many refusals."""

TIMED_OUT = HTTPResult(failure="timed_out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a facility is connected to. Equal terms may share connections."""

    authorization: str | None = None
    """The `Authorization` of every exchange; one that an exchange states itself comes first."""
    cert_file: str | None = None
    key_file: str | None = None
    ca_file: str | None = None

    def __repr__(self) -> str:
        # The authorization is a secret.
        return f"Terms(cert_file={self.cert_file!r}, ca_file={self.ca_file!r})"


class Allowance:
    """Bytes that may still come in. One allowance may be part of a larger one."""

    __slots__ = ("left", "whole")

    def __init__(self, left: int, whole: "Allowance | None" = None) -> None:
        self.left = left
        self.whole = whole

    def take(self, size: int) -> bool:
        """Whether `size` more bytes were allowed, here and in the larger allowance."""
        self.left -= size
        if self.left < 0:
            return False
        return self.whole is None or self.whole.take(size)


class Transport(Protocol):
    """Carries exchanges. One thread at a time uses one."""

    def start(self, exchange: HTTPExchange, terms: Terms, seconds: float, allowance: Allowance) -> int:
        """Begin an exchange that may take `seconds`; its ticket. Never raises: a failure is a result."""
        ...

    def wait(self, seconds: float) -> Iterable[tuple[int, HTTPResult]]:
        """The exchanges that have ended, by ticket; waits at most `seconds`, and may return with nothing."""
        ...

    def abandon(self, ticket: int) -> None:
        """The exchange is over, and nothing of it comes back any more."""
        ...


class Call(Struct, frozen=True, kw_only=True):
    """One facility's conversation, how it is connected to and how long it may take."""

    facility: FacilityID
    conversation: Conversation
    terms: Terms
    deadline: Deadline


class Outcome(Struct, frozen=True, kw_only=True):
    """How a call ended. `reply` is None where the conversation broke off or would not end."""

    reply: FacilityReply | None
    elapsed: timedelta
    late: bool
    """True where its deadline had passed."""


def run(calls: Sequence[Call], transport: Transport) -> list[Outcome]:
    """The outcome of every call, in order, as soon as all have ended or run out of time. Never raises for a facility.

    An exchange that is under way when the deadline passes is told to its conversation as `timed_out`, so that what
    came before it is kept.
    """
    whole = Allowance(MOST_BYTES_A_QUERY)
    run_ = _Run(transport)
    talks = [_Talk(call, Allowance(MOST_BYTES_A_FACILITY, whole)) for call in calls]
    try:
        for talk in talks:
            run_.advance(talk)
        run_.until_all_have_ended()
    finally:
        run_.abandon_all()
    return [talk.outcome() for talk in talks]


class _Talk:
    """One conversation under way."""

    __slots__ = ("allowance", "at", "begun", "call", "clock", "ended", "late_rounds", "open", "reply", "results")

    def __init__(self, call: Call, allowance: Allowance) -> None:
        self.call = call
        self.allowance = allowance
        self.at = call.deadline.at
        self.clock = call.deadline.clock
        self.begun = self.clock()
        self.ended: float | None = None
        self.reply: FacilityReply | None = None
        self.results: list[HTTPResult] | None = None
        self.open = 0
        self.late_rounds = 0

    def step(self) -> Sequence[HTTPExchange]:
        """What the conversation wants next; empty where it has ended."""
        results, self.results = self.results, None
        try:
            while True:
                # The first `send` of a generator takes None; the type of later ones is the protocol's.
                wanted = self.call.conversation.send(results)  # type: ignore[arg-type]
                if wanted:
                    return wanted
                results = []
                self.late_rounds += 1
                if self.late_rounds > _MOST_LATE_ROUNDS:
                    break
        except StopIteration as stop:
            self.reply = stop.value
        except Exception:  # noqa: BLE001
            # Whatever a facility's answer did to its adapter, the other facilities' answers are delivered.
            log.event(log.Event.UNEXPECTED_ERROR, level=logging.ERROR, exc_info=True, facility=self.call.facility)
        self.end()
        return ()

    def end(self) -> None:
        """The conversation is over, whatever it still wanted."""
        self.ended = self.clock()
        self.call.conversation.close()

    def outcome(self) -> Outcome:
        ended = self.clock() if self.ended is None else self.ended
        elapsed = timedelta(seconds=max(0.0, ended - self.begun))
        return Outcome(reply=self.reply, elapsed=elapsed, late=ended >= self.at)


class _Run:
    """The exchanges under way, and whose they are."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._under_way: dict[int, tuple[_Talk, int]] = {}

    def advance(self, talk: _Talk) -> None:
        """Give the conversation its results and start what it wants next, or refuse it where no time is left."""
        while True:
            wanted = talk.step()
            if not wanted:
                return
            seconds = talk.at - talk.clock()
            if seconds > 0:
                break
            talk.results = [TIMED_OUT] * len(wanted)
            talk.late_rounds += 1
            if talk.late_rounds > _MOST_LATE_ROUNDS:
                talk.end()
                return
        talk.results = [TIMED_OUT] * len(wanted)
        talk.open = len(wanted)
        start, terms, allowance = self._transport.start, talk.call.terms, talk.allowance
        for index, exchange in enumerate(wanted):
            self._under_way[start(exchange, terms, seconds, allowance)] = (talk, index)

    def until_all_have_ended(self) -> None:
        while self._under_way:
            talks = [talk for talk, _ in self._under_way.values()]
            left = min([talk.at for talk in talks]) - talks[0].clock()  # one query, one clock
            if left > 0:
                self._take(self._transport.wait(left))
            else:
                # What has already arrived counts, even if reading another facility's answer took our attention.
                self._take(self._transport.wait(0))
                self._abandon_late()

    def _take(self, ended: Iterable[tuple[int, HTTPResult]]) -> None:
        for ticket, result in ended:
            found = self._under_way.pop(ticket, None)
            if found is None:
                continue
            talk, index = found
            if talk.results is not None:
                talk.results[index] = result
            talk.open -= 1
            if talk.open == 0:
                self.advance(talk)

    def _abandon_late(self) -> None:
        # One look at the clock for all: exchanges of one conversation are late together or not at all.
        now = next(iter(self._under_way.values()))[0].clock() if self._under_way else 0.0
        late = {ticket: talk for ticket, (talk, _) in self._under_way.items() if now >= talk.at}
        for ticket in late:
            self._transport.abandon(ticket)
            del self._under_way[ticket]
        for talk in dict.fromkeys(late.values()):
            talk.open = 0
            self.advance(talk)

    def abandon_all(self) -> None:
        for ticket in self._under_way:
            self._transport.abandon(ticket)
        self._under_way.clear()
