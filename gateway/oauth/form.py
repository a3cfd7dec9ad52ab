"""The form that a client posts to the authorization server (RFC 6749 §3.2), and how it proves itself in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from flask import g, request
from werkzeug.exceptions import RequestEntityTooLarge

from gateway.auth.call import Call
from gateway.auth.client_assertion import ASSERTION_TYPE
from gateway.errors import InvalidQuery, NotAuthenticated, PayloadTooLarge

CONTENT_TYPE = "application/x-www-form-urlencoded"
MOST_BYTES = 64 * 1024
MOST_PARAMETERS = 32


class SchemeNotSupported(NotAuthenticated):
    """A client tried to prove itself in the `Authorization` header (RFC 6749 §5.2 asks for 401 and a challenge)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What was posted, each parameter there once, and where it came from."""

    parameters: Mapping[str, str] = field(repr=False)
    call: Call

    def get(self, name: str) -> str | None:
        """The parameter, None where it is absent or empty (RFC 6749 §3.2: the two are the same)."""
        return self.parameters.get(name) or None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """How a client says who it is: by a signed assertion, or (a public one) by its name alone."""

    assertion: str | None = field(repr=False)
    client_id: str | None


def read_form() -> Form:
    """The form of the request under way. Raises InvalidQuery, PayloadTooLarge."""
    g.form = form = Form(
        parameters=_parameters(),
        call=Call(
            request=f"{request.method} {request.path}", request_id=g.get("request_id", ""), network=request.remote_addr
        ),
    )
    return form


def proof_of(form: Form) -> Proof:
    """What the client proves itself with.

    Raises InvalidQuery where it does so in two ways, SchemeNotSupported for the `Authorization` header,
    NotAuthenticated where there is no proof of a kind that is known here.
    """
    assertion = form.parameters.get("client_assertion")
    kind = form.parameters.get("client_assertion_type")
    if assertion is not None and ("Authorization" in request.headers or "client_secret" in form.parameters):
        raise InvalidQuery("a client proves itself in one way, not in two")
    if "Authorization" in request.headers:
        raise SchemeNotSupported
    if assertion is None and kind is None and form.get("client_id") and "client_secret" not in form.parameters:
        return Proof(assertion=None, client_id=form.get("client_id"))
    if not assertion or kind != ASSERTION_TYPE:
        raise NotAuthenticated("no client assertion of the type that is supported")
    return Proof(assertion=assertion, client_id=form.parameters.get("client_id"))


def _parameters() -> Mapping[str, str]:
    if request.query_string:
        raise InvalidQuery("parameters belong in the body")
    if request.mimetype != CONTENT_TYPE:
        raise InvalidQuery(f"the content type is not {CONTENT_TYPE}")
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
