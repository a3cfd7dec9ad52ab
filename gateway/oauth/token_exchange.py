"""`grant_type=…:token-exchange` (RFC 8693): a client's own access token for one that a facility takes."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from gateway.auth.call import Call
from gateway.auth.client_authentication import ClientAuthenticator
from gateway.auth.clients import Client
from gateway.auth.facility_tokens import FacilityToken
from gateway.errors import InvalidQuery
from gateway.oauth.form import Form, proof_of
from gateway.oauth.token import Grant

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
JWT = "urn:ietf:params:oauth:token-type:jwt"
_KINDS = (ACCESS_TOKEN, JWT)


class Exchange(Protocol):
    """What decides about it."""

    def exchange_for(
        self, client: Client, parameters: Mapping[str, str], call: Call, now: datetime
    ) -> tuple[FacilityToken, tuple[str, ...]]:
        """The token for the facility, and its scopes. Raises GatewayError."""
        ...


def token_exchange(clients: ClientAuthenticator, exchange: Exchange) -> Grant:
    """RFC 8693 token exchange: `subject_token` is the client's own, `resource` the address of an Endpoint."""

    def grant(form: Form, now: datetime) -> Mapping[str, object]:
        proof = proof_of(form)
        client = clients.authenticate(proof.assertion, proof.client_id, now)
        for name, needed in (("subject_token", True), ("requested_token", False), ("actor_token", False)):
            _check_kind(form, name, needed=needed)
        if form.get("resource") is None and form.get("audience") is None:
            raise InvalidQuery("resource is needed: the address of an Endpoint")
        token, scopes = exchange.exchange_for(client, form.parameters, form.call, now)
        return {
            "access_token": token.value,
            "issued_token_type": ACCESS_TOKEN,
            "token_type": "Bearer",
            "expires_in": token.lifetime_s,
            "scope": " ".join(scopes),
        }

    return grant


def _check_kind(form: Form, name: str, *, needed: bool) -> None:
    kind = form.get(f"{name}_type")
    if needed and form.get(name) is None:
        raise InvalidQuery(f"{name} is needed")
    if (needed or form.get(name) is not None) and kind is None:
        raise InvalidQuery(f"{name}_type is needed")
    if kind is not None and kind not in _KINDS:
        raise InvalidQuery(f"{name}_type is not one of access tokens")
