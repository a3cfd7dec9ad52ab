"""Opens a signed JSON document (RFC 7515 compact, RFC 7519 claims) under rules stricter than the standards' least.

The algorithm and the type are exact, only named header parameters may occur (so no `crit`, `b64`, `zip`, `jwk` or
`x5u` ever steers anything), the key is the caller's to choose, sizes are capped before anything is decoded, and a name
that occurs twice in one JSON object refuses the whole document.
"""

import re
import threading
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry

from gateway.errors import NotAuthenticated
from gateway.strict_json import UnreadableJSON, read_strict_json

SigningKey = RSAKey | ECKey


@dataclass(frozen=True, slots=True)
class Header:
    """What a header may say here: with which key and algorithm it is signed, and where the signer's keys are."""

    algorithm: str
    kid: str | None
    jku: str | None


FindKey = Callable[[Header], SigningKey]
"""The one key that a header means. Raises NotAuthenticated where there is not exactly one."""

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_MOST_HEADER_CHARACTERS = 2048
_MOST_VERIFIED = 4096
_verified: dict[bytes, tuple[SigningKey, str, dict[str, Any]]] = {}
"""By the hash of a token: with which key its signature was found to hold, and its claims. A viewer shows one token a
thousand times. That a signature holds can't change; the key is looked for anew each time, and so is all that the claims
mean. No token is kept."""
_lock = threading.Lock()
_LATEST = 2**40
"""Beyond year 36000: no honest NumericDate is greater."""


@dataclass(frozen=True, slots=True)
class JWSProfile:
    """What one kind of signed document looks like."""

    algorithms: frozenset[str]
    types: frozenset[str | None]
    """Values of `typ` in lower case; None where it may be left out."""
    parameters: frozenset[str]
    """Header parameters that may occur."""
    most_characters: int
    registry: JWSRegistry

    @classmethod
    def of(
        cls, *, algorithms: tuple[str, ...], types: tuple[str | None, ...], parameters: str, most_characters: int
    ) -> "JWSProfile":
        """A profile, its signature registry made once."""
        registry = JWSRegistry(algorithms=algorithms)
        return cls(frozenset(algorithms), frozenset(types), frozenset(parameters.split()), most_characters, registry)


def open_jws(token: str, profile: JWSProfile, find_key: FindKey) -> dict[str, Any]:
    """The claims of `token`, its signature verified. Raises NotAuthenticated with words of ours."""
    head, payload, signature = _segments(token, profile)
    header = _read_header(head, profile)
    key = find_key(header)
    digest = sha256(token.encode()).digest()
    with _lock:
        verified = _verified.get(digest)
    if verified is not None and verified[0] is key and verified[1] == header.algorithm:
        return dict(verified[2])
    try:
        algorithm = profile.registry.get_alg(header.algorithm)
        algorithm.check_key(key)
        holds = algorithm.verify(f"{head}.{payload}".encode(), _decode(signature), key)
    except (JoseError, ValueError) as exc:
        raise NotAuthenticated("the signature does not hold") from exc
    if not holds:
        raise NotAuthenticated("the signature does not hold")
    claims = _loads(_decode(payload))
    with _lock:
        if len(_verified) >= _MOST_VERIFIED:
            _verified.clear()
        _verified[digest] = (key, header.algorithm, claims)
    return dict(claims)


def read_claims_unverified(token: str, profile: JWSProfile) -> dict[str, Any]:
    """What `token` claims, believed by nobody yet: only to find out whose key to verify it with."""
    return _loads(_decode(_segments(token, profile)[1]))


def numeric_date(claims: Mapping[str, Any], name: str, *, whole: bool) -> float | None:
    """The NumericDate `name`, None where absent. Raises NotAuthenticated unless it is a sane number (not a text)."""
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    sane = type(value) is int or (not whole and type(value) is float)
    if not sane or not 0 <= value < _LATEST:  # type: ignore[operator]  # `sane` says it is a number
        raise NotAuthenticated(f"{name} is not a sane time")
    return value


def _segments(token: str, profile: JWSProfile) -> list[str]:
    if len(token) > profile.most_characters:
        raise NotAuthenticated("too long")
    if _COMPACT.fullmatch(token) is None:
        raise NotAuthenticated("not a signed JWT")
    return token.split(".")


@lru_cache(maxsize=256)
def _read_header(head: str, profile: JWSProfile) -> Header:
    """A header that may stand before a token; the same few are seen again and again."""
    if len(head) > _MOST_HEADER_CHARACTERS:
        raise NotAuthenticated("the header is too long")
    header = _loads(_decode(head))
    if not header.keys() <= profile.parameters:
        raise NotAuthenticated("a header parameter is not allowed")
    texts = [header.get(name) for name in ("alg", "kid", "jku", "typ")]
    if any(text is not None and not (isinstance(text, str) and text) for text in texts):
        raise NotAuthenticated("a header parameter is not a text")
    algorithm, kid, jku, kind = texts
    if algorithm not in profile.algorithms:
        raise NotAuthenticated("the algorithm is not allowed")
    if (kind.lower() if kind else None) not in profile.types:
        raise NotAuthenticated("the type is another")
    return Header(algorithm, kid, jku)


def _decode(segment: str) -> bytes:
    try:
        return urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except ValueError as exc:
        raise NotAuthenticated("not base64url") from exc


def _loads(raw: bytes) -> dict[str, Any]:
    try:
        value = read_strict_json(raw)
    except UnreadableJSON as exc:
        raise NotAuthenticated("not JSON") from exc
    if not isinstance(value, dict):
        raise NotAuthenticated("not a JSON object")
    return value
