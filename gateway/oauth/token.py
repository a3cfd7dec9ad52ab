"""`POST /oauth/token` (RFC 6749 §3.2): one form, and a grant for each `grant_type`.

The errors of RFC 6749 are Authlib's. Its AuthorizationServer is not used, since it works against what is promised
here: it decides from the request's own URL whether TLS is in use (and so refuses everything behind a proxy, whose
`X-Forwarded-Proto` is not believed), mixes parameters of the URL with those of the body, takes the first of a
repeated one, and writes issued tokens to its debug log. What would be left of it is one look-up of `grant_type`.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from flask import Blueprint, Response

from gateway.auth.backend_services import BackendServices, TokenRequest
from gateway.errors import GatewayError, InvalidQuery, NotAuthenticated
from gateway.oauth.answers import UnsupportedGrantType, answer, refusal
from gateway.oauth.form import Form, proof_of, read_form

Clock = Callable[[], datetime]
Grant = Callable[[Form, datetime], Mapping[str, object]]
"""One `grant_type`: the members of the answer to a form. Raises GatewayError, which `answers.refusal` puts in words."""


def token_blueprint(grants: Mapping[str, Grant], clock: Clock = lambda: datetime.now(UTC)) -> Blueprint:
    """The token endpoint with `grants` by their `grant_type`. It authenticates clients itself: `open_to_anyone`."""
    blueprint = Blueprint("oauth_token", __name__)

    @blueprint.post("/oauth/token", provide_automatic_options=False)
    def token() -> Response:
        form = read_form()
        if "grant_type" not in form.parameters:
            raise InvalidQuery("grant_type is needed")
        grant = grants.get(form.parameters["grant_type"])
        if grant is None:
            raise UnsupportedGrantType("the grant type is not supported")
        return answer(grant(form, clock()))

    blueprint.register_error_handler(GatewayError, refusal)
    return blueprint


def client_credentials(services: BackendServices) -> Grant:
    """SMART App Launch 2.2, Backend Services: a system asks for itself."""

    def grant(form: Form, now: datetime) -> Mapping[str, object]:
        proof = proof_of(form)
        if proof.assertion is None:
            raise NotAuthenticated("a system signs an assertion")
        asked = TokenRequest(
            assertion=proof.assertion,
            client_id=proof.client_id,
            scope=form.get("scope"),
            network=form.call.network,
            request=form.call.request,
            request_id=form.call.request_id,
        )
        token = services.issue(asked, now)
        return {
            "access_token": token.value,
            "token_type": "Bearer",
            "expires_in": int(token.lifetime.total_seconds()),
            "scope": " ".join(token.scopes),
        }

    return grant
