"""Is somebody trying identifiers out? Different identifiers of patients are counted before they are looked up (T39).

So a known one and an unknown one count alike, and nothing tells them apart when it is enough. The first refusal of a
minute is an alert; a refusal that can't be recorded stays a refusal.
"""

import logging
import uuid
from collections.abc import Iterable
from contextlib import suppress

from gateway.audit.record import AuditRecord
from gateway.disclosure import Request, who
from gateway.errors import AuditUnavailable
from gateway.limits import Retry, refuse
from gateway.log import Event, event
from gateway.metrics import ALERTS
from gateway.model import PatientRef, Requester
from gateway.rates import Kind
from gateway.rooms import Rooms

_ALERTS = {
    Kind.IDENTIFIERS: "a client asks for many different identifiers of patients",
    Kind.MATCHES: "a client asks very often who a description may mean",
}


def require_few_identifiers(refs: Iterable[PatientRef], requester: Requester, rooms: Rooms, request: Request) -> None:
    """The caller has not asked for too many identifiers lately. Raises TooManyRequests. The gateway's ids don't count.

    (An id of the gateway's can't be guessed.)
    """
    for ref in refs:
        if ref.identifier is not None:
            require_few((f"{ref.identifier.system}|{ref.identifier.value}",), requester, rooms, request)


def require_few(stated: Iterable[str], requester: Requester, rooms: Rooms, request: Request) -> None:
    """The same, of identifiers as a search has them. Raises TooManyRequests."""
    for one in stated:
        retry = rooms.limits.hit_distinct(Kind.IDENTIFIERS, requester.caller, one)
        if retry is not None:
            _tell(Kind.IDENTIFIERS, retry, requester, rooms, request)


def require_few_matches(requester: Requester, rooms: Rooms, request: Request) -> None:
    """The caller has not asked `$match` too often lately. Raises TooManyRequests."""
    retry = rooms.limits.hit(Kind.MATCHES, requester.caller)
    if retry is not None:
        _tell(Kind.MATCHES, retry, requester, rooms, request)


def _tell(kind: Kind, retry: Retry, requester: Requester, rooms: Rooms, request: Request) -> None:
    if rooms.limits.hit(Kind.ALERTS, f"{kind} {requester.caller}") is None:
        ALERTS.labels("identifiers-tried-out").inc()
        event(
            Event.IDENTIFIERS_TRIED_OUT,
            level=logging.WARNING,
            client=requester.client_id,
            request_id=request.id,
            reason=kind,
        )
        record = AuditRecord(
            id=str(uuid.uuid4()),
            recorded=rooms.clock(),
            kind="alert",
            outcome="success",
            reason=_ALERTS[kind],
            who=who(requester, request),
            request=request.raw,
            request_id=request.id,
            details=(("limit", kind.value), ("retry_after_s", str(retry.after_s))),
        )
        with suppress(AuditUnavailable):
            rooms.audit.record([record])
    refuse(kind, retry)
