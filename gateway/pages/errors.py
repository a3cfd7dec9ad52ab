"""How refusals, failures and surprises look to a person: a page with plain words and the request's id, nothing else."""

import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from flask import Blueprint, Response, g, redirect, request
from werkzeug.exceptions import HTTPException

from gateway import log
from gateway.audit.record import AuditRecord
from gateway.auth.guards import signed_in_or_none
from gateway.auth.people_audit import people_record, who_signed_in
from gateway.errors import (
    AccessRefused,
    AuditUnavailable,
    Conflict,
    DependencyUnavailable,
    FormRefused,
    FreshSignInNeeded,
    GatewayError,
    InvalidQuery,
    LoadRefused,
    MethodNotAllowed,
    NotAuthenticated,
    NotFound,
    PayloadTooLarge,
    SecondFactorNeeded,
    SignInNeeded,
    TooManyRequests,
)
from gateway.pages.shell import render
from gateway.rooms import Rooms

PAGE_PATHS = ("/signin", "/signout", "/signed-out", "/oauth/authorize", "/retrieval/view", "/portal", "/admin")
"""Where people are, and not programs: what is wrong there is told as a page, also where no view is found."""
SIGN_IN = "/signin"
SIGN_IN_AGAIN = "/signin/again"
_RETRY_AFTER_S = 5
_LOOKING = ("GET", "HEAD")
_BY_STATUS: Mapping[int, type[GatewayError]] = {
    404: NotFound,
    405: MethodNotAllowed,
    413: PayloadTooLarge,
}


@dataclass(frozen=True, slots=True)
class _Told:
    status: int
    title: str
    words: str


_TOLD: Mapping[type[BaseException], _Told] = {
    InvalidQuery: _Told(
        400, "That can't be understood", "Something in the address or the form is not as it should be."
    ),
    LoadRefused: _Told(422, "That can't be saved", "Something in the form is not as it should be."),
    PayloadTooLarge: _Told(413, "That is too long", "More was sent than is read here."),
    NotAuthenticated: _Told(401, "Please sign in", "Sign in, then try once more."),
    SignInNeeded: _Told(
        401, "Please sign in", "You are not signed in, or have been away for too long. Nothing was done."
    ),
    AccessRefused: _Told(403, "Not for this account", "Your account may not do or see this."),
    SecondFactorNeeded: _Told(403, "A second step is needed", "Sign in with your second step first."),
    FormRefused: _Told(
        403, "The form has grown old", "It was opened before you signed in or out, or elsewhere. Open it once more."
    ),
    NotFound: _Told(404, "Nothing is here", "There is no page at this address."),
    MethodNotAllowed: _Told(405, "That is not done here", "This address can't be used in that way."),
    Conflict: _Told(409, "That can't be done any more", "It has changed since you opened the page. Open it once more."),
    TooManyRequests: _Told(
        429, "Too many attempts", "More has been tried than is let through. Wait a quarter of an hour, then try again."
    ),
    DependencyUnavailable: _Told(
        503, "Not possible at the moment", "A part of the exchange does not answer. Try again in a minute."
    ),
    GatewayError: _Told(400, "That can't be done", "It was refused."),
}
_UNEXPECTED = _Told(500, "Something went wrong", "It is our fault, and has been noted. Nothing else is known yet.")


def html_errors(blueprint: Blueprint, rooms: Rooms) -> None:
    """From now on what goes wrong in `blueprint` is told as a page. A refusal of somebody known is audited first."""

    @blueprint.errorhandler(GatewayError)
    def refuse(exc: GatewayError) -> Response:
        if isinstance(exc, SignInNeeded) and request.method in _LOOKING:
            return _to_sign_in(SIGN_IN_AGAIN if isinstance(exc, FreshSignInNeeded) else SIGN_IN)
        if isinstance(exc, AccessRefused) and signed_in_or_none() is not None:
            try:
                rooms.audit.record([_refusal(exc, rooms)])
            except AuditUnavailable as unavailable:
                return refusal_page(unavailable)
        elif isinstance(exc, DependencyUnavailable):
            log.event(
                log.Event.DEPENDENCY_UNAVAILABLE,
                level=logging.ERROR,
                exc_info=True,
                reason=exc.reason,
                request_id=g.request_id,
            )
        return refusal_page(exc, continue_at=_with_next(SIGN_IN) if _leads_to_sign_in(exc) else None)

    @blueprint.errorhandler(HTTPException)
    def refuse_http(exc: HTTPException) -> Response:
        return http_error_page(exc)

    @blueprint.errorhandler(Exception)
    def unexpected(exc: Exception) -> Response:
        reference = str(uuid.uuid4())
        log.event(log.Event.UNEXPECTED_ERROR, level=logging.ERROR, exc_info=True, reference=reference)
        return _page(_UNEXPECTED, reference=reference)


def is_page(path: str) -> bool:
    """Whether people look at that path."""
    return any(path == page or path.startswith(page + "/") for page in PAGE_PATHS)


def refusal_page(exc: GatewayError, *, continue_at: str | None = None) -> Response:
    """The page that tells of `exc`: its own words only where they are about a form."""
    told = next(_TOLD[cls] for cls in type(exc).__mro__ if cls in _TOLD)
    response = _page(told, continue_at=continue_at)
    if isinstance(exc, TooManyRequests):
        response.headers["Retry-After"] = str(exc.retry_after_s)
    if told.status == 503:
        response.headers["Retry-After"] = str(_RETRY_AFTER_S)
    return response


def http_error_page(exc: HTTPException) -> Response:
    """The page that tells of what Flask itself refuses."""
    response = _page(_TOLD[_BY_STATUS.get(exc.code or 400, InvalidQuery)])
    for name, value in exc.get_headers():
        if name == "Allow":
            response.headers[name] = ", ".join(sorted(value.split(", ")))
    return response


def _page(told: _Told, *, continue_at: str | None = None, reference: str = "") -> Response:
    return render(
        "error.html",
        status=told.status,
        title=told.title,
        words=told.words,
        continue_at=continue_at,
        reference=reference,
    )


def _leads_to_sign_in(exc: GatewayError) -> bool:
    return isinstance(exc, SecondFactorNeeded) and request.method in _LOOKING


def _to_sign_in(where: str) -> Response:
    response = redirect(_with_next(where), code=303)
    response.headers["Cache-Control"] = "no-store"
    return response  # type: ignore[return-value]  # Flask's redirect makes a Response of its own kind


def _with_next(where: str) -> str:
    here = request.full_path.removesuffix("?")
    return f"{where}?{urlencode({'next': here})}"


def _refusal(exc: GatewayError, rooms: Rooms) -> AuditRecord:
    return people_record(
        "access-refused",
        who_signed_in(signed_in_or_none(), request.remote_addr),
        rooms.clock(),
        exc.code,
        outcome="refused",
        request=f"{request.method} {request.path}",
        request_id=g.get("request_id", ""),
    )
