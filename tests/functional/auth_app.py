"""A small application of the rooms that answer "who is asking": the token endpoint, the documents, a guarded route."""

from typing import Any

from flask import Blueprint, Flask, jsonify
from sqlalchemy import Engine

from gateway.audit.record import AuditLog
from gateway.auth.backend_services import BackendServices
from gateway.auth.bearer import BearerAuthenticator
from gateway.auth.challenge import challenge_for
from gateway.auth.client_assertion import AssertionVerifier
from gateway.auth.client_keys import ClientKeys
from gateway.auth.client_store import DatabaseClientStore, UsedAssertions
from gateway.auth.clients import ClientRegistry
from gateway.auth.guards import current_requester, open_to_anyone, requires_token
from gateway.auth.jwks_fetch import JWKSFetcher
from gateway.auth.smart_scopes import require
from gateway.config import Settings
from gateway.db.crypto import KeyRing
from gateway.errors import DependencyUnavailable, GatewayError, NotAuthenticated
from gateway.oauth.metadata import metadata_blueprint
from gateway.oauth.token import client_credentials, token_blueprint


def auth_app(engine: Engine, keys: KeyRing, audit: AuditLog, base_url: str = "http://127.0.0.1:8080") -> Flask:
    """The application over a real database."""
    settings = Settings(base_url=base_url)
    registry = ClientRegistry(DatabaseClientStore(engine))
    verifier = AssertionVerifier(
        registry,
        ClientKeys(JWKSFetcher(production=False)),
        UsedAssertions(engine, keys),
        audience=settings.token_url,
    )
    services = BackendServices(verifier, keys, audit, issuer=settings.base_url)
    app = Flask(__name__)
    public = open_to_anyone("clients prove themselves by an assertion, documents are public")
    token = token_blueprint({"client_credentials": client_credentials(services)})
    for blueprint in (token, metadata_blueprint(settings, keys)):
        public(blueprint)
        app.register_blueprint(blueprint)
    guarded = _guarded_blueprint()
    requires_token(BearerAuthenticator(keys, registry, issuer=settings.base_url))(guarded)
    app.register_blueprint(guarded)
    app.register_error_handler(GatewayError, _refuse)
    return app


def _guarded_blueprint() -> Blueprint:
    blueprint = Blueprint("guarded", __name__)

    @blueprint.route("/fhir/r4/ImagingStudy", methods=["GET", "POST"])
    def search() -> Any:
        requester = current_requester()
        require(requester.scopes, "ImagingStudy", "s", patient_bound=requester.patient is not None)
        return jsonify(client=requester.client_id, purposes=requester.purposes, patient=requester.patient)

    return blueprint


def _refuse(exc: GatewayError) -> Any:
    headers = {"WWW-Authenticate": challenge} if (challenge := challenge_for(exc)) else {}
    status = 503 if isinstance(exc, DependencyUnavailable) else 401 if isinstance(exc, NotAuthenticated) else 403
    return jsonify(code=exc.code), status, headers
