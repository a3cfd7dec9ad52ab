"""Answers that were heard before: where an archive says the same bytes again, they need not be read again.

The archive is asked each time. What is spared is reading: a conversation that ended after its first round is a function
of what was asked (facility, records, question), of what was known of the archive's manners, and of the bytes that came
back. Where all of these are the same, so is the reply, its rows checked against the same records. Consent, labels and
audit come after, and are decided anew.

Only replies are kept in which nothing was amiss, so that whatever has to be told of an answer is found in it each time.
Of a body a digest is kept, and of a reply, from its second time on, the studies that were read: for ten minutes, and no
more than fits.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from hashlib import sha256
from typing import NamedTuple

from gateway.adapters.base import Conversation, FacilityQuestion, FacilityReply, HTTPExchange, HTTPResult, Target
from gateway.adapters.manners import Manners
from gateway.model import FacilityID

MOST_BYTES = 8 * 1024 * 1024
"""Counted as the bytes that were read: what is made of them takes about as much."""
_LARGEST_SHARE = 1 / 64
"""Of one reply: one that is larger would make many others be forgotten."""
_MOST_HEARD_ONCE = 4096
FORGET_AFTER_S = 600.0

Shown = tuple[tuple[int, int, bool, bool], ...]
"""An archive's manners, as they were."""
Told = tuple[bytes, ...]
"""A digest of each body."""
_Key = tuple[FacilityID, tuple[int, ...], FacilityQuestion]
_Rounds = Generator[Sequence[HTTPExchange], Sequence[HTTPResult], tuple[FacilityReply, int]]


class _Heard(NamedTuple):
    """One reply, and all that it followed from."""

    target: Target
    manners: Shown
    exchanges: Sequence[HTTPExchange]
    told: Told
    reply: FacilityReply
    size: int
    until: float


class HeardBefore:
    """The replies heard last, in this process. One object serves all threads."""

    def __init__(self, clock: Callable[[], float], most_bytes: int = MOST_BYTES) -> None:
        """`clock` tells seconds; `most_bytes` is what the kept replies have together."""
        self._clock = clock
        self._most_bytes = most_bytes
        self._once: OrderedDict[_Key, Told] = OrderedDict()
        self._kept: OrderedDict[_Key, _Heard] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def hold(
        self, conversation: Conversation, target: Target, question: FacilityQuestion, manners: Sequence[Manners]
    ) -> Conversation:
        """The conversation, or its first exchanges alone where what they bring has been heard before.

        `conversation` has not begun. It depends on nothing but these arguments and what it is told.
        """
        key, shown = _key(target, question), _shown(manners)
        heard = self._find(key, target, shown)
        results: Sequence[HTTPResult] = ()
        if heard is not None:
            results = yield heard.exchanges
            if _told_by(results) == heard.told:
                return heard.reply
        try:
            exchanges = next(conversation)
        except StopIteration as nothing_to_ask:
            reply: FacilityReply = nothing_to_ask.value
            return reply
        if heard is None or exchanges != heard.exchanges:
            results = yield exchanges
        reply, rounds = yield from _to_its_end(conversation, results)
        told = _told_by(results)
        if rounds == 1 and told is not None and _shown(manners) == shown and _is_clean(reply):
            size, until = sum([len(result.body) for result in results]), self._clock() + FORGET_AFTER_S
            self._keep(key, _Heard(target, shown, exchanges, told, reply, size, until))
        return reply

    def _find(self, key: _Key, target: Target, shown: Shown) -> _Heard | None:
        with self._lock:
            heard = self._kept.get(key)
            if heard is None:
                return None
            if heard.until < self._clock():
                self._drop(key)
                return None
            self._kept.move_to_end(key)
        return heard if heard.manners == shown and _are_same(heard.target, target) else None

    def _keep(self, key: _Key, heard: _Heard) -> None:
        now = self._clock()
        with self._lock:
            self._drop(key)
            if self._once.pop(key, None) != heard.told:
                # What is asked for once, or told otherwise each time, would only push out what comes again.
                self._once[key] = heard.told
                if len(self._once) > _MOST_HEARD_ONCE:
                    self._once.popitem(last=False)
            elif heard.size <= self._most_bytes * _LARGEST_SHARE:
                self._kept[key] = heard
                self._bytes += heard.size
            while self._kept:
                oldest, least_used = next(iter(self._kept.items()))
                if self._bytes <= self._most_bytes and least_used.until >= now:
                    break
                self._drop(oldest)

    def _drop(self, key: _Key) -> None:
        heard = self._kept.pop(key, None)
        if heard is not None:
            self._bytes -= heard.size


def _to_its_end(conversation: Conversation, results: Sequence[HTTPResult]) -> _Rounds:
    """The reply of a conversation that has asked and is given `results`, and after how many rounds it came."""
    rounds = 1
    while True:
        try:
            wanted = conversation.send(results)
        except StopIteration as stop:
            return stop.value, rounds
        results = yield wanted
        rounds += 1


def _shown(manners: Sequence[Manners]) -> Shown:
    """What a reply depends on, of what is known of an archive."""
    return tuple([(one.style, one.truthful_up_to, one.unsupported, one.counts_hold) for one in manners])


def _told_by(results: Sequence[HTTPResult]) -> Told | None:
    """None where one is no plain answer."""
    for result in results:
        if result.status != 200 or result.failure is not None or result.headers:
            return None
    return tuple([sha256(result.body).digest() for result in results])


def _key(target: Target, question: FacilityQuestion) -> _Key:
    return target.facility.id, tuple([record.record_id for record in target.records]), question


def _are_same(one: Target, other: Target) -> bool:
    return (one.facility is other.facility or one.facility == other.facility) and one.records == other.records


def _is_clean(reply: FacilityReply) -> bool:
    amiss = reply.failed or reply.incomplete
    return not amiss and not (reply.dropped or reply.contradicted or reply.unreadable or reply.unasked)
