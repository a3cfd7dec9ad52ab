"""What the authorization server says of itself: keys, and the documents that clients discover it by.

They tell what is there; a document is the same whatever `Accept` says.
"""

from collections.abc import Callable, Mapping
from functools import partial

import orjson
from flask import Blueprint, Response

from gateway.auth.app_scopes import WORDS
from gateway.auth.client_keys import ALGORITHMS
from gateway.auth.signing_keys import SigningKeys
from gateway.config import Settings
from gateway.db.crypto import SIGNING_ALGORITHM
from gateway.imaging.coding_schemes import DCM
from gateway.oauth.token_exchange import GRANT_TYPE as TOKEN_EXCHANGE

GRANT_TYPES = ("client_credentials", "authorization_code", "refresh_token", TOKEN_EXCHANGE)
FRESH_S = 300
"""How long anyone may keep a document. A signing key has to be shown this long before it signs."""

SCOPES = (
    *("system/ImagingStudy.rs", "system/ImagingStudy.r", "system/ImagingStudy.s", "system/Patient.rs"),
    *("system/Consent.cruds", "system/AuditEvent.rs", "patient/ImagingStudy.rs", "patient/Patient.rs"),
    *("patient/Consent.cruds", "patient/AuditEvent.rs", "user/ImagingStudy.rs", "user/Patient.rs"),
    # Granular ones by example: each parameter of `auth/granular.py` may be asked for, with any value.
    *(f"{context}/ImagingStudy.rs?modality={DCM}|CT" for context in ("system", "patient", "user")),
    *WORDS,
)
CAPABILITIES = (
    "launch-standalone",
    "authorize-post",
    "client-public",
    "client-confidential-asymmetric",
    "sso-openid-connect",
    "context-standalone-patient",
    "permission-patient",
    "permission-user",
    "permission-offline",
    "permission-online",
    "permission-v1",
    "permission-v2",
    "smart-imaging-access",
    "http://fhir.org/argonaut/smart-imaging/capabilities/app-launch",
    "http://fhir.org/argonaut/smart-imaging/capabilities/backend-services",
)


def metadata_blueprint(settings: Settings, keys: SigningKeys) -> Blueprint:
    """The public documents, readable from any web page (CORS `*`, no credentials). Its guard is `open_to_anyone`."""
    blueprint = Blueprint("oauth_metadata", __name__)
    documents = {
        "/.well-known/oauth-authorization-server": authorization_server(settings),
        "/.well-known/openid-configuration": openid_configuration(settings),
        "/.well-known/smart-configuration": smart_configuration(settings),
        "/fhir/r4/.well-known/smart-configuration": smart_configuration(settings),
    }
    for path, document in documents.items():
        _serve(blueprint, path, partial(_same, orjson.dumps(document)))
    _serve(blueprint, "/.well-known/jwks.json", lambda: orjson.dumps(jwks(keys)))

    @blueprint.after_request
    def allow_any_origin(answer: Response) -> Response:
        answer.headers["Access-Control-Allow-Origin"] = "*"
        return answer

    return blueprint


def jwks(keys: SigningKeys) -> Mapping[str, object]:
    """The public keys that access tokens verify with, older ones included (RFC 7517)."""
    return {
        "keys": [{**key.as_dict(private=False), "use": "sig", "alg": SIGNING_ALGORITHM} for key in keys.verifying.keys]
    }


def smart_configuration(settings: Settings) -> Mapping[str, object]:
    """SMART App Launch 2.2, `.well-known/smart-configuration`, with SMART Imaging Access' capabilities."""
    return {
        **_what_is_there(settings),
        "capabilities": list(CAPABILITIES),
    }


def authorization_server(settings: Settings) -> Mapping[str, object]:
    """RFC 8414 §2."""
    return {
        **_what_is_there(settings),
        "introspection_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_basic"],
        "introspection_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "revocation_endpoint_auth_methods_supported": ["private_key_jwt", "none"],
        "revocation_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "authorization_response_iss_parameter_supported": True,
    }


def openid_configuration(settings: Settings) -> Mapping[str, object]:
    """OpenID Connect Discovery 1.0 §3: what an app is told of who uses it."""
    return {
        **authorization_server(settings),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [SIGNING_ALGORITHM],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "amr", "fhirUser", "name"],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "claims_parameter_supported": False,
    }


def _what_is_there(settings: Settings) -> dict[str, object]:
    base = settings.base_url
    return {
        "issuer": base,
        "jwks_uri": f"{base}/.well-known/jwks.json",
        "authorization_endpoint": f"{base}/oauth/authorize",
        "token_endpoint": settings.token_url,
        "token_endpoint_auth_methods_supported": ["private_key_jwt", "none"],
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "introspection_endpoint": f"{base}/oauth/introspect",
        "revocation_endpoint": f"{base}/oauth/revoke",
        "grant_types_supported": list(GRANT_TYPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "scopes_supported": list(SCOPES),
        "code_challenge_methods_supported": ["S256"],
    }


def _same(body: bytes) -> bytes:
    return body


def _serve(blueprint: Blueprint, path: str, body: Callable[[], bytes]) -> None:
    def view() -> Response:
        answer = Response(body(), mimetype="application/json")
        answer.headers["Cache-Control"] = f"public, max-age={FRESH_S}"
        return answer

    blueprint.add_url_rule(path, endpoint=path.strip("/").replace("/", "_").replace(".", "_"), view_func=view)
