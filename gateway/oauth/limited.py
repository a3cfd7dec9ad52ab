"""How often may somebody who has proved nothing ask the authorization server, and fail?

Requests are counted by address. Failures are counted by the client that is claimed and the address, and by the address
alone; once there are too many, a failure is told 429 in place of `invalid_client`. An assertion that holds is let
through whatever has failed before: a stranger who names somebody else's client shuts nobody out (T30).
"""

from flask import Blueprint, Response, g, request

from gateway.auth.client_assertion import claimed_client
from gateway.errors import NotAuthenticated, TooManyRequests
from gateway.limits import Limiter, refuse, require_within
from gateway.oauth.answers import refusal
from gateway.oauth.form import Form
from gateway.rates import Kind

_MOST_CHARACTERS = 255


def limit_failures(blueprint: Blueprint, limiter: Limiter) -> Blueprint:
    """From now on requests of `blueprint` are limited by address, and failures to prove to be a client besides."""

    @blueprint.before_request
    def count() -> None:
        require_within(limiter, Kind.TOKENS, request.remote_addr or "")

    @blueprint.errorhandler(NotAuthenticated)
    def fail(exc: NotAuthenticated) -> Response:
        network = request.remote_addr or ""
        try:
            refuse(Kind.NETWORK_FAILURES, limiter.hit(Kind.NETWORK_FAILURES, network))
            refuse(Kind.CLIENT_FAILURES, limiter.hit(Kind.CLIENT_FAILURES, f"{network} {_claimed()}"))
        except TooManyRequests as too_many:
            return refusal(too_many)
        return refusal(exc)

    return blueprint


def _claimed() -> str:
    """The client that the request says it comes from, whoever sent it; empty where it says nothing that can be read."""
    form = g.get("form")
    if not isinstance(form, Form):
        return ""
    assertion = form.get("client_assertion")
    return claimed_client(assertion) if assertion else (form.get("client_id") or "")[:_MOST_CHARACTERS]
