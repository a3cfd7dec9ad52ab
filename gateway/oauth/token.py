"""`POST /oauth/token` (RFC 6749 §3.2, SMART App Launch 2.2 Backend Services).

The errors of RFC 6749 are Authlib's. Its AuthorizationServer is not used, since it works against what is promised
here: it decides from the request's own URL whether TLS is in use (and so refuses everything behind a proxy, whose
`X-Forwarded-Proto` is not believed), mixes parameters of the URL with those of the body, takes the first of a
repeated one, and writes issued tokens to its debug log. What would be left of it is one `if` on `grant_type`.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import orjson
from authlib.oauth2.rfc6749.errors import (
    InvalidClientError,
    InvalidGrantError,
    InvalidRequestError,
    InvalidScopeError,
    UnsupportedGrantTypeError,
)
from flask import Blueprint, Response, g, request
from werkzeug.exceptions import RequestEntityTooLarge

from gateway.auth.backend_services import BackendServices, TokenRequest
from gateway.auth.challenge import REALM
from gateway.auth.client_assertion import ASSERTION_TYPE
from gateway.auth.tokens import AccessToken
from gateway.errors import (
    AccessRefused,
    DependencyUnavailable,
    GatewayError,
    InvalidQuery,
    NotAuthenticated,
    PayloadTooLarge,
    ScopeMissing,
)

GRANT_TYPES = ("client_credentials",)
FORM = "application/x-www-form-urlencoded"
MOST_BYTES = 64 * 1024
MOST_PARAMETERS = 32
RETRY_AFTER_S = 5

_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
Clock = Callable[[], datetime]


class UnsupportedGrantType(InvalidQuery):
    """A grant this server does not have."""

    code = "unsupported-grant-type"


class SchemeNotSupported(NotAuthenticated):
    """A client tried to prove itself in the `Authorization` header (RFC 6749 §5.2 asks for 401 and a challenge)."""


_ERRORS: dict[type[GatewayError], tuple[int, str]] = {
    GatewayError: (400, InvalidRequestError.error),
    PayloadTooLarge: (413, InvalidRequestError.error),
    UnsupportedGrantType: (400, UnsupportedGrantTypeError.error),
    NotAuthenticated: (400, InvalidClientError.error),
    SchemeNotSupported: (401, InvalidClientError.error),
    AccessRefused: (400, InvalidGrantError.error),
    ScopeMissing: (400, InvalidScopeError.error),
    DependencyUnavailable: (503, "temporarily_unavailable"),
}
"""RFC 6749 §5.2 by error, looked up through its ancestors. (RFC 6749 has the last one for authorization only.)"""


def token_blueprint(services: BackendServices, clock: Clock = lambda: datetime.now(UTC)) -> Blueprint:
    """The token endpoint. It authenticates clients itself, so its guard is `open_to_anyone`."""
    blueprint = Blueprint("oauth_token", __name__)

    @blueprint.post("/oauth/token", provide_automatic_options=False)
    def token() -> Response:
        return _answer(services.issue(_read_request(), clock()))

    @blueprint.errorhandler(GatewayError)
    def refuse(exc: GatewayError) -> Response:
        return _refusal(exc)

    return blueprint


def _read_request() -> TokenRequest:
    parameters = _parameters()
    if "grant_type" not in parameters:
        raise InvalidQuery("grant_type is needed")
    if parameters["grant_type"] not in GRANT_TYPES:
        raise UnsupportedGrantType("the grant type is not supported")
    assertion = parameters.get("client_assertion")
    proved_otherwise = "Authorization" in request.headers or "client_secret" in parameters
    if assertion is not None and proved_otherwise:
        raise InvalidQuery("a client proves itself in one way, not in two")
    if "Authorization" in request.headers:
        raise SchemeNotSupported
    if not assertion or parameters.get("client_assertion_type") != ASSERTION_TYPE:
        raise NotAuthenticated("no client assertion of the type that is supported")
    return TokenRequest(
        assertion=assertion,
        client_id=parameters.get("client_id"),
        scope=parameters.get("scope") or None,
        network=request.remote_addr,
        request="POST /oauth/token",
        request_id=g.get("request_id", ""),
    )


def _parameters() -> Mapping[str, str]:
    """The form's parameters, each there once (RFC 6749 §3.2). Raises InvalidQuery, PayloadTooLarge."""
    if request.query_string:
        raise InvalidQuery("parameters belong in the body")
    if request.mimetype != FORM:
        raise InvalidQuery(f"the content type is not {FORM}")
    request.max_content_length = MOST_BYTES
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge as exc:
        raise PayloadTooLarge("the request is too large") from exc
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=MOST_PARAMETERS,
        )
    except ValueError as exc:
        raise InvalidQuery("the body is not a form") from exc
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise InvalidQuery("a parameter is there twice")
    return parameters


def _answer(token: AccessToken) -> Response:
    return _json(
        200,
        {
            "access_token": token.value,
            "token_type": "Bearer",
            "expires_in": int(token.lifetime.total_seconds()),
            "scope": " ".join(token.scopes),
        },
        {},
    )


def _refusal(exc: GatewayError) -> Response:
    status, error = next(_ERRORS[cls] for cls in type(exc).__mro__ if cls in _ERRORS)
    headers = {}
    if status == 401:
        headers = {"WWW-Authenticate": f'Basic realm="{REALM}"'}
    if status == 503:
        headers = {"Retry-After": str(RETRY_AFTER_S)}
    # Why a client was not believed is for our log alone: an unknown client, a disabled one and a wrong signature
    # look the same (ASVS 5.0 6.3.8).
    hidden = isinstance(exc, NotAuthenticated | DependencyUnavailable)
    body = {"error": error} if hidden or not exc.reason else {"error": error, "error_description": exc.reason}
    return _json(status, body, headers)


def _json(status: int, body: Mapping[str, object], headers: Mapping[str, str]) -> Response:
    answer = Response(orjson.dumps(body), status, mimetype="application/json")
    answer.headers.update({**_NO_STORE, **headers})
    return answer
