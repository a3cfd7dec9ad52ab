"""All facilities of a query, asked at the same moment under one deadline; a reply for each, whatever happens."""

import logging
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import lru_cache
from typing import Protocol

from msgspec.structs import replace
from prometheus_client import Counter, Histogram

from gateway import log
from gateway.adapters.base import FacilityAdapter, FacilityQuestion, FacilityReply, ReplyStatus, Target
from gateway.adapters.credentials import FacilityTokens
from gateway.adapters.curl import a_transport
from gateway.adapters.dicomweb import DICOMwebAdapter
from gateway.adapters.http import Call, Outcome, Terms, Transport, run
from gateway.deadline import Deadline
from gateway.metrics import ALERTS, FACILITY_REPLIES, FACILITY_ROWS_REFUSED, FACILITY_SECONDS
from gateway.model import Facility, FacilityAuth

_KEPT_BACK = 0.03
_MOST_KEPT_BACK_S = 0.1
"""A part of the query's time is kept for what comes after the facilities: merging, consent, audit."""


class RegisteredFacilities(Protocol):
    """Where the facilities are registered."""

    def all(self) -> Sequence[Facility]:
        """Every registered facility, in id order, as of at most a second ago."""
        ...


class FanOut:
    """The facilities of the exchange as a query sees them. One object serves all threads."""

    def __init__(
        self,
        registry: RegisteredFacilities,
        adapters: Mapping[str, FacilityAdapter] | None = None,
        tokens: FacilityTokens | None = None,
        transport: Callable[[], AbstractContextManager[Transport]] = a_transport,
    ) -> None:
        self._registry = registry
        self._adapters: Mapping[str, FacilityAdapter] = adapters or {"dicomweb": DICOMwebAdapter()}
        self._tokens = tokens or FacilityTokens()
        self._transport = transport

    def all(self) -> Sequence[Facility]:
        """Every registered facility, in id order, as of at most a second ago. Raises DependencyUnavailable."""
        return self._registry.all()

    def ask(self, targets: Sequence[Target], question: FacilityQuestion, deadline: Deadline) -> Sequence[FacilityReply]:
        """Ask all targets at the same moment; a reply for each, in target order, before `deadline`. Never raises."""
        left = deadline.remaining()
        ours = deadline.within(timedelta(seconds=left - min(left * _KEPT_BACK, _MOST_KEPT_BACK_S)))
        asked = {
            index: call
            for index, target in enumerate(targets)
            if (call := self._call(target, question, ours)) is not None
        }
        try:
            with self._transport() as transport:
                outcomes = dict(zip(asked, run(list(asked.values()), transport), strict=True))
        except Exception:  # noqa: BLE001
            # A fault of our own must not look like an empty answer: every facility is named as not having answered.
            log.event(log.Event.UNEXPECTED_ERROR, level=logging.ERROR, exc_info=True)
            outcomes = {}
        replies = [_reply_of(target, outcomes.get(index)) for index, target in enumerate(targets)]
        for reply in replies:
            _tell(reply)
        return replies

    def _call(self, target: Target, question: FacilityQuestion, deadline: Deadline) -> Call | None:
        facility = target.facility
        adapter = self._adapters.get(facility.adapter)
        if adapter is None or facility.query_url is None:
            return None
        conversation = adapter.converse(target, question)
        if facility.auth.type == "oauth2":
            conversation = self._tokens.authorized(facility, conversation)
        return Call(
            facility=facility.id,
            conversation=conversation,
            terms=terms_of(facility.auth),
            deadline=deadline.within(facility.deadline),
        )


def terms_of(auth: FacilityAuth) -> Terms:
    """How a facility that wants `auth` is connected to."""
    authorization = None
    if auth.type == "basic":
        pair = f"{auth.username or ''}:{auth.password or ''}"
        authorization = "Basic " + b64encode(pair.encode()).decode()
    elif auth.type == "bearer":
        authorization = f"Bearer {auth.token or ''}"
    return Terms(authorization=authorization, cert_file=auth.cert_file, key_file=auth.key_file, ca_file=auth.ca_file)


def _reply_of(target: Target, outcome: Outcome | None) -> FacilityReply:
    facility = target.facility
    if outcome is None:
        return FacilityReply(facility=facility, status="unreachable")
    if outcome.reply is None:
        status: ReplyStatus = "timed_out" if outcome.late else "unreadable"
        return FacilityReply(facility=facility, status=status, elapsed=outcome.elapsed)
    return replace(outcome.reply, elapsed=outcome.elapsed)


@lru_cache(maxsize=4096)
def _counters(facility: str, status: str) -> tuple[Counter, Histogram]:
    return FACILITY_REPLIES.labels(facility, status), FACILITY_SECONDS.labels(facility)


def _tell(reply: FacilityReply) -> None:
    """The log and the metrics know how it went: counts, never what an answer said."""
    facility, seconds = reply.facility.id, reply.elapsed.total_seconds()
    status = "incomplete" if reply.incomplete and not reply.failed else reply.status
    replies, took = _counters(facility, status)
    replies.inc()
    took.observe(seconds)
    kind = log.Event.FACILITY_FAILED if reply.failed else log.Event.FACILITY_ANSWERED
    level = logging.WARNING if reply.failed else logging.DEBUG  # the audit has every answer, the metrics their number
    log.event(
        kind, level=level, facility=facility, status=status, elapsed_ms=round(seconds * 1000), count=len(reply.studies)
    )
    for count, event, reason in (
        (reply.dropped, log.Event.ROWS_OF_ANOTHER_PATIENT, "another-patient"),
        (reply.contradicted, log.Event.ROWS_CONTRADICT_RECORD, "contradicts-record"),
        (reply.unreadable, log.Event.ROWS_UNREADABLE, "unreadable"),
        (reply.unasked, log.Event.LOCAL_ID_NOT_SENT, "not-sent"),
    ):
        if count:
            FACILITY_ROWS_REFUSED.labels(facility, reason).inc(count)
            ALERTS.labels(event.value).inc()
            log.event(event, level=logging.WARNING, facility=facility, count=count)
