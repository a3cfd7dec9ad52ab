"""What `clients add --jwks FILE_OR_URL` names: the public keys of a client, or the address where they are."""

import json
from pathlib import Path

from gateway.auth.client_keys import problems_of_jwks
from gateway.auth.jwks_fetch import MOST_BYTES, JWKSFetcher, JWKSUnavailable, problems_of_jwks_uri


def read_keys(jwks: str, *, production: bool) -> tuple[str | None, str | None, list[str]]:
    """The JWK Set of a file, or the address of one, and what is wrong with it."""
    if "://" in jwks:
        return None, jwks, [f"--jwks: {text}" for text in problems_of_jwks_uri(jwks, production=production)]
    try:
        with Path(jwks).open("rb") as file:
            text = file.read(MOST_BYTES + 1).decode("utf-8-sig")
        document = json.loads(text)
    except (OSError, ValueError, RecursionError):
        return None, None, ["--jwks: the file can't be read as JSON"]
    if len(text) > MOST_BYTES:
        return None, None, [f"--jwks: the file is larger than {MOST_BYTES} bytes"]
    if isinstance(document, dict) and "kty" in document:
        document = {"keys": [document]}
    canonical = json.dumps(document, sort_keys=True)
    return canonical, None, [f"--jwks: {problem}" for problem in problems_of_jwks(canonical)]


def doubts_about(jwks_uri: str | None, *, production: bool) -> list[str]:
    """Why no key can be read at the address of a JWK Set now, as it would be for a token."""
    if jwks_uri is None:
        return []
    try:
        fetched = JWKSFetcher(production=production)(jwks_uri)
    except JWKSUnavailable as exc:
        return [f"--jwks: the keys at {jwks_uri} can't be read: {exc.reason}"]
    return [f"--jwks: what is at {jwks_uri} is in doubt: {text}" for text in problems_of_jwks(fetched.body)]
