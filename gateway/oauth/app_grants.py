"""The grants of `POST /oauth/token` by which apps get tokens: `authorization_code` and `refresh_token`."""

from collections.abc import Mapping
from datetime import datetime

from gateway.auth.app_tokens import AppTokens, AppTokenService
from gateway.auth.client_authentication import ClientAuthenticator
from gateway.auth.clients import Client
from gateway.errors import InvalidQuery
from gateway.oauth.form import Form, proof_of
from gateway.oauth.token import Grant


def authorization_code(clients: ClientAuthenticator, service: AppTokenService) -> Grant:
    """RFC 6749 §4.1.3 with PKCE (RFC 7636)."""

    def grant(form: Form, now: datetime) -> Mapping[str, object]:
        client = _client(clients, form, now)
        code, redirect_uri, verifier = (_required(form, name) for name in ("code", "redirect_uri", "code_verifier"))
        return _answer(service.redeem(client, code, redirect_uri, verifier, form.call, now))

    return grant


def refresh_token(clients: ClientAuthenticator, service: AppTokenService) -> Grant:
    """RFC 6749 §6, each refresh token for one use."""

    def grant(form: Form, now: datetime) -> Mapping[str, object]:
        client = _client(clients, form, now)
        token = _required(form, "refresh_token")
        return _answer(service.refresh(client, token, form.get("scope"), form.call, now))

    return grant


def _client(clients: ClientAuthenticator, form: Form, now: datetime) -> Client:
    proof = proof_of(form)
    return clients.authenticate(proof.assertion, proof.client_id, now)


def _required(form: Form, name: str) -> str:
    value = form.get(name)
    if value is None:
        raise InvalidQuery(f"{name} is needed")
    return value


def _answer(issued: AppTokens) -> Mapping[str, object]:
    """RFC 6749 §5.1 with SMART App Launch 2.2's launch context."""
    access, patient = issued.access, issued.grant.patient
    body: dict[str, object] = {
        "access_token": access.value,
        "token_type": "Bearer",
        "expires_in": int(access.lifetime.total_seconds()),
        "scope": " ".join(access.scopes),
    }
    if issued.refresh is not None:
        body["refresh_token"] = issued.refresh
    if issued.id_token is not None:
        body["id_token"] = issued.id_token
    if patient is not None:
        # Nobody has shown the app whose data it is about to see: that is its own to show.
        body |= {"patient": patient, "need_patient_banner": True}
    return body
