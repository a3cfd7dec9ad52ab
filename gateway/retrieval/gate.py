"""`GET /retrieval/authorize`: what a reverse proxy before an archive asks of every request (nginx `auth_request`).

204 lets it through; 401 and 403 are passed on to the client; anything else is an error to nginx, which refuses too. So
whatever fails, fails closed.
"""

from collections.abc import Callable
from datetime import datetime

from flask import Blueprint, Response, g, request

from gateway.auth.bearer import token_of
from gateway.auth.challenge import challenge_for
from gateway.disclosure import Request
from gateway.errors import (
    AccessRefused,
    DependencyUnavailable,
    GatewayError,
    NotAuthenticated,
    ScopeMissing,
    TooManyRequests,
)
from gateway.log import Event, event
from gateway.metrics import RETRIEVAL_DECISIONS
from gateway.model import Facility
from gateway.retrieval.caller import Callers
from gateway.retrieval.counter import RetrievalCounter, code_of
from gateway.retrieval.guard import current_facility
from gateway.retrieval.resource import READING, Resource, prefixes_of, read_uri

DECISION = "X-Retrieval-Decision"
"""The word `permit` in it is what a gate lets a request through by: any page of any server may answer with 2xx."""
RETRY_AFTER_S = 5
_MOST_SHOWN = 300
_PERMITTED = RETRIEVAL_DECISIONS.labels("gate", "permit")


def gate_blueprint(counter: RetrievalCounter, callers: Callers, clock: Callable[[], datetime]) -> Blueprint:
    """The gate's question. Its guard is `requires_facility`."""
    blueprint = Blueprint("retrieval_gate", __name__)

    @blueprint.get("/retrieval/authorize", provide_automatic_options=False)
    def authorize() -> Response:
        facility = current_facility()
        asked, resource = _asked(facility)
        try:
            authorization = request.headers.get("Authorization")
            caller = callers.at_gate(token_of([] if authorization is None else [authorization]), facility, clock())
        except (NotAuthenticated, AccessRefused) as exc:
            counter.refuse(facility, asked, code_of(exc))
            raise
        ruling = counter.answer(caller, facility, resource, asked)
        if not ruling.verdict.permitted:
            raise AccessRefused("not permitted")
        _PERMITTED.inc()
        g.is_routine = True  # a viewer asks for every frame: the log would hold nothing else
        return Response(status=204, headers={DECISION: "permit"})

    @blueprint.errorhandler(GatewayError)
    def refuse(exc: GatewayError) -> Response:
        RETRIEVAL_DECISIONS.labels("gate", "failed" if isinstance(exc, DependencyUnavailable) else "deny").inc()
        return _refusal(exc)

    return blueprint


def _asked(facility: Facility) -> tuple[Request, Resource | None]:
    """The client's own request, as the gate states it."""
    # A header that was sent twice comes as one, its values joined by a comma: no resource has such a URI.
    uri, method = request.headers.get("X-Original-URI", ""), request.headers.get("X-Original-Method", "")
    resource = read_uri(uri, prefixes_of(facility)) if method in READING else None
    # What can't be read may hold anything, a token in its query too: of that only the path is kept.
    shown = uri if resource is not None else uri.partition("?")[0]
    raw = f"{method} {shown}".encode("ascii", "backslashreplace").decode()[:_MOST_SHOWN]
    return Request(kind="retrieval", raw=raw, id=g.get("request_id", ""), network=request.remote_addr), resource


def _refusal(exc: GatewayError) -> Response:
    if isinstance(exc, NotAuthenticated):
        if "facility" not in g:
            # The client can do nothing about a gate that does not prove itself: no challenge goes to it.
            event(Event.ACCESS_REFUSED, reason="facility-key", request_id=g.get("request_id"))
            return Response(status=403)
        return Response(status=401, headers={"WWW-Authenticate": challenge_for(exc) or "Bearer"})
    if isinstance(exc, AccessRefused):
        challenge = challenge_for(exc) if isinstance(exc, ScopeMissing) else None
        return Response(status=403, headers={"WWW-Authenticate": challenge} if challenge else {})
    if isinstance(exc, TooManyRequests):
        return Response(status=429, headers={"Retry-After": str(exc.retry_after_s)})
    event(Event.DEPENDENCY_UNAVAILABLE, reason=exc.reason, request_id=g.get("request_id"))
    return Response(status=503, headers={"Retry-After": str(RETRY_AFTER_S)})
