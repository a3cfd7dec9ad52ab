"""How refusals, failures and surprises leave the gateway: OperationOutcomes on FHIR paths, short JSON elsewhere.

An OperationOutcome is XML where the route has XML and the caller asks for it (`two_forms`).
"""

import logging
import uuid
from collections.abc import Callable

from flask import Response, current_app, g, request
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import MethodNotAllowed as NoSuchMethod

from gateway import log
from gateway.disclosure import refusal_record
from gateway.errors import (
    AccessRefused,
    AuditUnavailable,
    DependencyUnavailable,
    GatewayError,
    InvalidQuery,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    UnsupportedMediaType,
)
from gateway.fhir.negotiation import JSON
from gateway.fhir.operation_outcome import answer_for
from gateway.fhir.routes import EVERY_METHOD, PREFIX
from gateway.fhir.two_forms import form_of_refusal, written
from gateway.fhir.wire import answer, the_request
from gateway.pages.errors import http_error_page, is_page
from gateway.rooms import Rooms

_BY_STATUS: dict[int, type[GatewayError]] = {404: NotFound, 413: PayloadTooLarge, 415: UnsupportedMediaType}


def answer_error(rooms: Rooms) -> Callable[[GatewayError], Response]:
    """A handler that answers a GatewayError. A refusal of somebody who is known is audited before it is told."""

    def handle(exc: GatewayError) -> Response:
        if isinstance(exc, AccessRefused) and _on_fhir():
            log.event(log.Event.ACCESS_REFUSED, reason=exc.code, request_id=g.request_id)
            try:
                record = refusal_record(the_request("access-refused"), exc.code, rooms.clock(), g.get("requester"))
                rooms.audit.record([record])
            except (AuditUnavailable, PayloadTooLarge) as unavailable:
                return _told(unavailable)
        elif isinstance(exc, DependencyUnavailable):
            log.event(
                log.Event.DEPENDENCY_UNAVAILABLE,
                level=logging.ERROR,
                exc_info=True,
                reason=exc.reason,
                request_id=g.request_id,
            )
        return _told(exc)

    return handle


def answer_http_error(exc: HTTPException) -> Response:
    """What Flask itself refuses: unknown paths, methods, sizes, malformed requests."""
    if is_page(request.path):
        return http_error_page(exc)
    if isinstance(exc, NoSuchMethod):
        allowed = [method for method in EVERY_METHOD if _is_done(method)]
        return _told(MethodNotAllowed(allowed) if allowed else NotFound())
    return _told(_BY_STATUS.get(exc.code or 400, InvalidQuery)("the request can't be understood"))


def _is_done(method: str) -> bool:
    """Whether `method` leads to more than a refusal at this path."""
    if method != "POST" and request.path.endswith("/_search"):
        return False  # as a path it could also be the id of a read
    adapter = current_app.create_url_adapter(request)
    try:
        endpoint = str(adapter.match(method=method)[0]) if adapter else ""
    except HTTPException:
        return False
    return not endpoint.rpartition(".")[2].startswith(("anything_else", "whole_system", "refuse_"))


def answer_unexpected(exc: Exception) -> Response:
    """A bug: logged with a reference number, and told as that number alone."""
    reference = str(uuid.uuid4())
    log.event(log.Event.UNEXPECTED_ERROR, level=logging.ERROR, exc_info=True, reference=reference)
    return _told(exc, reference)


def _told(exc: BaseException, reference: str = "") -> Response:
    told = answer_for(exc, reference=reference)
    if _on_fhir():
        response = written(told.outcome, form_of_refusal(), status=told.status)
    else:
        code = exc.code if isinstance(exc, GatewayError) else "error"
        body = {"error": code, "reference": reference} if reference else {"error": code}
        response = answer(body, JSON, status=told.status)
    response.headers.extend(told.headers)
    return response


def _on_fhir() -> bool:
    return request.path.startswith(PREFIX)
