"""With which of a client's keys an assertion is to be verified: exactly one, by `kid` and key type, or none."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.util import urlsafe_b64decode

from gateway.auth.clients import Client
from gateway.auth.jwks_fetch import FetchJWKS, JWKSUnavailable
from gateway.auth.jws import SigningKey
from gateway.errors import NotAuthenticated
from gateway.log import Event, event
from gateway.strict_json import UnreadableJSON, read_strict_json

ALGORITHMS = ("RS384", "ES384")
"""What a client may sign with (SMART App Launch 2.2, Backend Services: servers support both)."""

REFETCH_AFTER_S = 10.0
"""How long a client is not asked again after an unknown `kid` or a failure."""
WAIT_S = 3.0
"""How long a request waits for another one that is reading the same client's keys."""
_KEY_TYPE = {"RS384": "RSA", "ES384": "EC"}
_ALGORITHM = {kty: algorithm for algorithm, kty in _KEY_TYPE.items()}
_PRIVATE = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))
_MOST_KEYS = 32


@dataclass(frozen=True, slots=True)
class ClientKey:
    """One public key that may verify assertions."""

    kid: str
    kty: str
    key: SigningKey


def usable_keys(document: str | bytes) -> tuple[ClientKey, ...]:
    """The keys of a JWK Set (RFC 7517) that can verify RS384 or ES384; others are passed over.

    Raises ValueError where `document` is no JWK Set.
    """
    return tuple(key for jwk in _members(document) if isinstance(key := _read_key(jwk), ClientKey))


def problems_of_jwks(document: str | bytes) -> list[str]:
    """What is wrong with a JWK Set that is to be registered, all of it; no value of a key is repeated."""
    try:
        found = [_read_key(jwk) for jwk in _members(document)]
    except ValueError as exc:
        return [str(exc)]
    problems = [f"JWKS key {number}: {text}" for number, text in enumerate(found, 1) if isinstance(text, str)]
    names = [(key.kid, key.kty) for key in found if isinstance(key, ClientKey)]
    if len(set(names)) != len(names):
        problems.append("JWKS: two keys have the same kid and kty")
    if not names and not problems:
        problems.append("JWKS: no key can verify RS384 or ES384")
    return problems


@lru_cache(maxsize=1024)
def _usable_keys_of_text(document: str) -> tuple[ClientKey, ...]:
    return usable_keys(document)


def _members(document: str | bytes) -> list[dict[str, Any]]:
    try:
        value = read_strict_json(document.encode() if isinstance(document, str) else document)
    except UnreadableJSON as exc:
        msg = "the JWKS is not JSON"
        raise ValueError(msg) from exc
    keys = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys) or len(keys) > _MOST_KEYS:
        msg = f'the JWKS is not an object with at most {_MOST_KEYS} "keys"'
        raise ValueError(msg)
    return keys


def _read_key(jwk: dict[str, Any]) -> ClientKey | str | None:
    """The key; or what is wrong with it; or None where it is a sound key for something else."""
    if not jwk.keys().isdisjoint(_PRIVATE):
        return "has private or secret parts; only public keys are registered"
    if not _is_for_verifying(jwk):
        return None
    kid = jwk.get("kid")
    if not isinstance(kid, str) or not kid:
        return "has no kid"
    try:
        key = _import(jwk)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        key = None
    if key is None:
        return "is neither an RSA key of 2048 to 8192 bits nor an EC key on P-384"
    return ClientKey(kid, jwk["kty"], key)


def _is_for_verifying(jwk: dict[str, Any]) -> bool:
    operations = jwk.get("key_ops", ["verify"])
    return (
        jwk.get("kty") in ("RSA", "EC")
        and jwk.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and jwk.get("alg", _ALGORITHM[jwk["kty"]]) == _ALGORITHM[jwk["kty"]]
    )


def _import(jwk: dict[str, Any]) -> SigningKey | None:
    if jwk["kty"] == "RSA":
        # Measured before it is imported: a huge key costs time, a small one a warning.
        modulus = int.from_bytes(urlsafe_b64decode(jwk["n"].encode()))
        fits = 2048 <= modulus.bit_length() <= 8192 and len(jwk["e"]) <= 8
        return RSAKey.import_key({"kty": "RSA", "n": jwk["n"], "e": jwk["e"]}) if fits else None
    if jwk["crv"] != "P-384":
        return None
    return ECKey.import_key({"kty": "EC", "crv": "P-384", "x": jwk["x"], "y": jwk["y"]})


@dataclass(slots=True)
class _Remote:
    """What is held of one client's key address."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    uri: str | None = None
    keys: tuple[ClientKey, ...] = ()
    fresh_until: float = 0.0
    ask_again_at: float = 0.0
    failed: bool = False


class ClientKeys:
    """Keys of clients: registered ones as they stand, those at an address for as long as its cache header allows.

    Keys past that time are never used. A client is asked once at a time, and again early only for a `kid` that is not
    in a fresh set, at most every `REFETCH_AFTER_S`; after a failure it is left alone for as long.
    """

    def __init__(
        self, fetch: FetchJWKS, monotonic: Callable[[], float] = time.monotonic, wait_s: float = WAIT_S
    ) -> None:
        self._fetch = fetch
        self._wait_s = wait_s
        self._monotonic = monotonic
        self._remotes: dict[str, _Remote] = {}

    def find(self, client: Client, *, kid: str | None, algorithm: str) -> SigningKey:
        """The one key of `client` that has this `kid` and fits `algorithm`. Raises NotAuthenticated otherwise."""
        if kid is None:
            raise NotAuthenticated("kid is needed")
        kty = _KEY_TYPE[algorithm]
        if client.jwks_uri is None:
            keys = _registered_keys(client)
        else:
            keys = self._keys_at(client.id, client.jwks_uri, kid, kty)
        matching = [key for key in keys if (key.kid, key.kty) == (kid, kty)]
        if len(matching) != 1:
            raise NotAuthenticated("not exactly one key of the client has this kid and type")
        return matching[0].key

    def _keys_at(self, client_id: str, uri: str, kid: str, kty: str) -> Sequence[ClientKey]:
        remote = self._remotes.setdefault(client_id, _Remote())
        if not remote.lock.acquire(timeout=self._wait_s):
            raise NotAuthenticated("the client's keys are not at hand in time")
        try:
            if remote.uri != uri:
                # A new address is a new start; the lock stays.
                remote.uri, remote.keys, remote.failed = uri, (), False
                remote.fresh_until = remote.ask_again_at = 0.0
            now = self._monotonic()
            fresh = now < remote.fresh_until
            if fresh and any((key.kid, key.kty) == (kid, kty) for key in remote.keys):
                return remote.keys
            if now >= remote.ask_again_at or not (fresh or remote.failed):
                self._read(client_id, remote, uri)
                return remote.keys
            raise NotAuthenticated("the client's keys were read a moment ago, without this kid")
        finally:
            remote.lock.release()

    def _read(self, client_id: str, remote: _Remote, uri: str) -> None:
        try:
            fetched = self._fetch(uri)
            remote.keys = usable_keys(fetched.body)
            remote.failed = False
            remote.fresh_until = self._monotonic() + fetched.fresh_s
        except (JWKSUnavailable, ValueError) as exc:
            # Keys that are still fresh stay: an unknown kid sent by a stranger must not take the known ones away.
            remote.failed = True
            reason = exc.reason if isinstance(exc, JWKSUnavailable) else "not a JWK Set"
            event(Event.JWKS_FETCH_FAILED, client=client_id, reason=reason)
            raise NotAuthenticated("the client's keys could not be read") from exc
        finally:
            remote.ask_again_at = self._monotonic() + REFETCH_AFTER_S


def _registered_keys(client: Client) -> Sequence[ClientKey]:
    try:
        return _usable_keys_of_text(client.jwks or "")
    except ValueError as exc:
        raise NotAuthenticated("the client has no usable keys") from exc
