"""The authorization server's answers to clients: JSON that nobody keeps, and the errors of RFC 6749 §5.2."""

from collections.abc import Mapping

import orjson
from authlib.oauth2.rfc6749.errors import (
    InvalidClientError,
    InvalidGrantError,
    InvalidRequestError,
    InvalidScopeError,
    UnauthorizedClientError,
    UnsupportedGrantTypeError,
)
from flask import Response

from gateway.auth.challenge import REALM
from gateway.auth.clients import UnauthorizedClient
from gateway.auth.facility_tokens import InvalidTarget
from gateway.errors import (
    AccessRefused,
    DependencyUnavailable,
    GatewayError,
    InvalidQuery,
    NotAuthenticated,
    PayloadTooLarge,
    ScopeMissing,
    TooManyRequests,
)
from gateway.oauth.form import SchemeNotSupported

RETRY_AFTER_S = 5
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class UnsupportedGrantType(InvalidQuery):
    """A grant this server does not have."""

    code = "unsupported-grant-type"


class ProofNeeded(NotAuthenticated):
    """Whoever asks isn't proved, where RFC 7009 and RFC 7662 are asked by 401 rather than 400."""


_ERRORS: dict[type[GatewayError], tuple[int, str]] = {
    GatewayError: (400, InvalidRequestError.error),
    PayloadTooLarge: (413, InvalidRequestError.error),
    UnsupportedGrantType: (400, UnsupportedGrantTypeError.error),
    NotAuthenticated: (400, InvalidClientError.error),
    SchemeNotSupported: (401, InvalidClientError.error),
    ProofNeeded: (401, InvalidClientError.error),
    AccessRefused: (400, InvalidGrantError.error),
    UnauthorizedClient: (400, UnauthorizedClientError.error),
    InvalidTarget: (400, "invalid_target"),
    ScopeMissing: (400, InvalidScopeError.error),
    DependencyUnavailable: (503, "temporarily_unavailable"),
    TooManyRequests: (429, "temporarily_unavailable"),
}
"""RFC 6749 §5.2 by error, looked up through its ancestors. (RFC 6749 has the last one for authorization only.)"""


def answer(body: Mapping[str, object], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`body` as JSON that is not to be kept (RFC 6749 §5.1)."""
    response = Response(orjson.dumps(body), status, mimetype="application/json")
    response.headers.update({**_NO_STORE, **(headers or {})})
    return response


def refusal(exc: GatewayError) -> Response:
    """The error answer for `exc`."""
    status, error = next(_ERRORS[cls] for cls in type(exc).__mro__ if cls in _ERRORS)
    headers = {}
    if status == 401:
        headers = {"WWW-Authenticate": f'Basic realm="{REALM}"'}
    if status == 503:
        headers = {"Retry-After": str(RETRY_AFTER_S)}
    if isinstance(exc, TooManyRequests):
        headers = {"Retry-After": str(exc.retry_after_s)}
    # Why a client was not believed is for our log alone: an unknown client, a disabled one and a wrong signature
    # look the same (ASVS 5.0 6.3.8).
    hidden = isinstance(exc, NotAuthenticated | DependencyUnavailable)
    body = {"error": error} if hidden or not exc.reason else {"error": error, "error_description": exc.reason}
    return answer(body, status, headers)
