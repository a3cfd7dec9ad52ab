"""A client's side of the token endpoint: signs an assertion with its private key and asks (SMART Backend Services)."""

import json
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from gateway.auth.client_assertion import ASSERTION_TYPE
from gateway.errors import DependencyUnavailable, LoadRefused

_ALGORITHM = {"RSA": "RS384", "EC": "ES384"}
_TIMEOUT_S = 10


def fetch_token(
    token_url: str, client_id: str, *, key_file: str, b2b: Mapping[str, Any], scope: str | None
) -> dict[str, Any]:
    """What the token endpoint answered to the client whose private JWK is in `key_file`.

    Raises LoadRefused where the key can't be used or the gateway refuses; DependencyUnavailable where none answers.
    """
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": _sign_assertion(_read_private_key(key_file), client_id, token_url, b2b),
    }
    return _ask_for_token(token_url, form | ({"scope": scope} if scope else {}))


def _read_private_key(path: str) -> RSAKey | ECKey:
    try:
        content = Path(path).read_bytes()
    except (OSError, ValueError) as exc:
        why = "there is no such file" if isinstance(exc, FileNotFoundError) else "the file can't be read"
        raise LoadRefused([f"--key: {why}"]) from exc
    try:
        document = json.loads(content)
        keys = document.get("keys", [document])
        (jwk,) = [key for key in keys if "d" in key]
        key = RSAKey.import_key(jwk) if jwk["kty"] == "RSA" else ECKey.import_key(jwk)
    except (ValueError, KeyError, TypeError, AttributeError, JoseError) as exc:
        raise LoadRefused(["--key: the file is not one private JWK (RSA, or EC on P-384)"]) from exc
    if not key.kid or (isinstance(key, ECKey) and key.curve_name != "P-384"):
        raise LoadRefused(["--key: the JWK needs a kid, and an EC key the curve P-384"])
    return key


def _sign_assertion(key: RSAKey | ECKey, client_id: str, token_url: str, b2b: Mapping[str, Any]) -> str:
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": client_id,
        "sub": client_id,
        "aud": token_url,
        "iat": now,
        "exp": now + 60,
        "jti": str(uuid.uuid4()),
    }
    if b2b:
        claims["extensions"] = {"hl7-b2b": {"version": "1", **b2b}}
    algorithm = _ALGORITHM[key.key_type]
    try:
        return jwt.encode({"alg": algorithm, "kid": key.kid, "typ": "JWT"}, claims, key, algorithms=[algorithm])
    except (JoseError, ValueError) as exc:
        raise LoadRefused([f"--key: the JWK can't sign {algorithm}"]) from exc


def _ask_for_token(token_url: str, form: Mapping[str, str]) -> dict[str, Any]:
    with requests.Session() as session:
        session.trust_env = False
        try:
            answer = session.post(token_url, data=form, timeout=_TIMEOUT_S, allow_redirects=False)
            body = answer.json()
        except (requests.RequestException, ValueError) as exc:
            raise DependencyUnavailable(f"no gateway answers at {token_url}") from exc
    if answer.status_code != 200 or not isinstance(body, dict) or "access_token" not in body:
        told = body if isinstance(body, dict) else {}
        words = [str(told[name]) for name in ("error", "error_description") if name in told]
        raise LoadRefused([": ".join(words) or f"the gateway answered {answer.status_code}"])
    return body
