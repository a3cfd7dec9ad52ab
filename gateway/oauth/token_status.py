"""`POST /oauth/introspect` (RFC 7662, IUA ITI-102) and `POST /oauth/revoke` (RFC 7009)."""

from collections.abc import Callable
from datetime import UTC, datetime

from flask import Blueprint, Response, request

from gateway.auth.client_authentication import ClientAuthenticator
from gateway.auth.clients import Client
from gateway.auth.introspection import INACTIVE, FacilityIntrospection, Introspection, shown_claims
from gateway.auth.token_ends import TokenEnds
from gateway.errors import GatewayError, InvalidQuery, NotAuthenticated
from gateway.oauth.answers import ProofNeeded, answer, refusal
from gateway.oauth.form import Form, proof_of, read_form

Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


def introspection_blueprint(
    clients: ClientAuthenticator,
    introspection: Introspection,
    facilities: FacilityIntrospection | None,
    clock: Clock = _now,
) -> Blueprint:
    """Introspection. Clients and facilities prove themselves in the request, so its guard is `open_to_anyone`."""
    blueprint = Blueprint("oauth_introspect", __name__)

    @blueprint.post("/oauth/introspect", provide_automatic_options=False)
    def introspect() -> Response:
        form, now = read_form(), clock()
        token = form.get("token")
        basic = request.headers.getlist("Authorization")
        if facilities is not None and len(basic) == 1 and "client_assertion" not in form.parameters:
            try:
                facility = facilities.facility_of(basic[0], now)
            except NotAuthenticated as exc:
                raise ProofNeeded(exc.reason) from exc
            claims = facilities.standing_claims(_required(token), facility, now)
            return answer(INACTIVE if claims is None else shown_claims(claims))
        client = _proved(clients, form, now, may_be_public=False)
        return answer(introspection.for_client(client, _required(token), form.call, now))

    blueprint.register_error_handler(GatewayError, refusal)
    return blueprint


def revocation_blueprint(clients: ClientAuthenticator, ends: TokenEnds, clock: Clock = _now) -> Blueprint:
    """Revocation. Clients prove themselves in the request, so its guard is `open_to_anyone`."""
    blueprint = Blueprint("oauth_revoke", __name__)

    @blueprint.post("/oauth/revoke", provide_automatic_options=False)
    def revoke() -> Response:
        form, now = read_form(), clock()
        client = _proved(clients, form, now, may_be_public=True)
        ends.revoke(client, _required(form.get("token")), form.call, now)
        return answer({})

    blueprint.register_error_handler(GatewayError, refusal)
    return blueprint


def _proved(clients: ClientAuthenticator, form: Form, now: datetime, *, may_be_public: bool) -> Client:
    """The client that asks. Raises ProofNeeded."""
    try:
        proof = proof_of(form)
        if proof.assertion is None and not may_be_public:
            raise NotAuthenticated("the client has to prove itself")
        return clients.authenticate(proof.assertion, proof.client_id, now)
    except NotAuthenticated as exc:
        raise ProofNeeded(exc.reason) from exc


def _required(token: str | None) -> str:
    if token is None:
        raise InvalidQuery("token is needed")
    return token
