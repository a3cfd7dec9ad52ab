"""What the authorization server says of itself: keys, and the three documents that clients discover it by.

They tell what is there now: no authorization endpoint, so none is named; a document is the same whatever `Accept` says.
"""

from collections.abc import Mapping

import orjson
from flask import Blueprint, Response

from gateway.auth.client_keys import ALGORITHMS
from gateway.auth.signing_keys import SigningKeys
from gateway.config import Settings
from gateway.db.crypto import SIGNING_ALGORITHM

GRANT_TYPES = ("client_credentials",)
FRESH_S = 300
"""How long anyone may keep a document. A signing key has to be shown this long before it signs."""

SCOPES = ("system/ImagingStudy.rs", "system/ImagingStudy.r", "system/ImagingStudy.s", "system/Patient.rs")
CAPABILITIES = (
    "client-confidential-asymmetric",
    "permission-v1",
    "permission-v2",
    "smart-imaging-access",
    "http://fhir.org/argonaut/smart-imaging/capabilities/backend-services",
)


def metadata_blueprint(settings: Settings, keys: SigningKeys) -> Blueprint:
    """The public documents, readable from any web page (CORS `*`, no credentials). Its guard is `open_to_anyone`."""
    blueprint = Blueprint("oauth_metadata", __name__)
    documents = {
        "/.well-known/jwks.json": jwks(keys),
        "/.well-known/oauth-authorization-server": authorization_server(settings),
        "/.well-known/smart-configuration": smart_configuration(settings),
        "/fhir/r4/.well-known/smart-configuration": smart_configuration(settings),
    }
    for path, document in documents.items():
        _serve(blueprint, path, orjson.dumps(document))

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
    """SMART App Launch 2.2, `.well-known/smart-configuration`, with SMART Imaging Access' capabilities.

    `issuer` and `jwks_uri` are left out, since they would say that OpenID Connect is there.
    """
    return {
        **_endpoint(settings),
        "grant_types_supported": list(GRANT_TYPES),
        "scopes_supported": list(SCOPES),
        "code_challenge_methods_supported": ["S256"],
        "capabilities": list(CAPABILITIES),
    }


def authorization_server(settings: Settings) -> Mapping[str, object]:
    """RFC 8414 §2; `response_types_supported` is required there, and empty because nothing is authorized by browser."""
    return {
        "issuer": settings.base_url,
        **_endpoint(settings),
        "jwks_uri": settings.base_url + "/.well-known/jwks.json",
        "grant_types_supported": list(GRANT_TYPES),
        "response_types_supported": [],
        "scopes_supported": list(SCOPES),
        "code_challenge_methods_supported": ["S256"],
    }


def _endpoint(settings: Settings) -> dict[str, object]:
    return {
        "token_endpoint": settings.token_url,
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
    }


def _serve(blueprint: Blueprint, path: str, body: bytes) -> None:
    def view() -> Response:
        answer = Response(body, mimetype="application/json")
        answer.headers["Cache-Control"] = f"public, max-age={FRESH_S}"
        return answer

    blueprint.add_url_rule(path, endpoint=path.strip("/").replace("/", "_").replace(".", "_"), view_func=view)
