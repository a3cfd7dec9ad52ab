"""Sealing, blind indexes and signing keys: everything that needs a secret of the gateway's own.

`keys.json` is one JWK Set (RFC 7517): a private signing key (`kty: RSA`), and two symmetric keys (`kty: oct`), one for
sealing (`alg: A256GCM`) and one for blind indexes (`alg: HS256`). The first of each kind is the current one; older ones
still open and verify.
"""

import json
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey, RSAKey

from gateway.errors import ConfigurationError, DependencyUnavailable

SIGNING_ALGORITHM = "RS256"
_SEALING = "A256GCM"
_INDEXING = "HS256"  # the JWA name for a key that makes keyed hashes
_VERSION = b"\x01"
_KEY_ID_BYTES = 4
_NONCE_BYTES = 12
_LENGTHS = tuple(length.to_bytes(4, "big") for length in range(256))
_HEADER_BYTES = len(_VERSION) + _KEY_ID_BYTES + _NONCE_BYTES


class SealBroken(DependencyUnavailable):
    """A sealed value can't be opened: altered, moved to another row, or its key is not here."""

    code = "seal-broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRing:
    """The gateway's keys. Nothing of them shows in `repr`."""

    signing: RSAKey = field(repr=False)
    verifying: KeySet = field(repr=False)
    """Public halves of all signing keys, old ones included: what `/.well-known/jwks.json` shows."""
    sealing: Mapping[bytes, bytes] = field(repr=False)
    """Key id → 32 bytes; the first is the current one."""
    indexing: bytes = field(repr=False)

    def seal(self, table: str, row: str, plain: bytes) -> bytes:
        """`plain`, readable only with this ring and for this table and row (AES-256-GCM, a key per table by HKDF)."""
        key_id = next(iter(self.sealing))
        nonce = os.urandom(_NONCE_BYTES)
        sealed = _cipher(self.sealing[key_id], table).encrypt(nonce, plain, _bound_to(table, row, key_id))
        return _VERSION + key_id + nonce + sealed

    def open(self, table: str, row: str, sealed: bytes) -> bytes:
        """What was sealed. Raises SealBroken, never answers with something else."""
        key_id = bytes(sealed[1 : 1 + _KEY_ID_BYTES])
        key = self.sealing.get(key_id)
        if key is None or sealed[:1] != _VERSION:
            msg = f"a sealed value of {table} names a key that is not in the key file"
            raise SealBroken(msg)
        nonce = sealed[1 + _KEY_ID_BYTES : _HEADER_BYTES]
        try:
            return _cipher(key, table).decrypt(nonce, sealed[_HEADER_BYTES:], _bound_to(table, row, key_id))
        except (InvalidTag, ValueError) as exc:  # ValueError: cut so short that not even a nonce is left
            msg = f"a sealed value of {table} has been altered or moved"
            raise SealBroken(msg) from exc

    def blind(self, purpose: str, *parts: str) -> bytes:
        """A 16-byte keyed hash (BLAKE2b, RFC 7693) of `parts`; under another `purpose` it is another hash."""
        return self.blind_all(purpose, (parts,))[0]

    def blind_all(self, purpose: str, many: Iterable[Sequence[str]]) -> list[bytes]:
        """`blind` of each of `many`, at half the price."""
        found = []
        begun = _hasher(self.indexing, purpose)
        for parts in many:
            framed = b""
            for part in parts:
                raw = part.encode("utf-8", "surrogatepass")
                framed += (_LENGTHS[len(raw)] if len(raw) < 256 else len(raw).to_bytes(4, "big")) + raw
            hasher = begun.copy()
            hasher.update(framed)
            found.append(hasher.digest())
        return found


def _bound_to(table: str, row: str, key_id: bytes) -> bytes:
    return b"\x1f".join((table.encode(), row.encode(), key_id))


@lru_cache(maxsize=256)
def _subkey(key: bytes, label: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=label.encode()).derive(key)


@lru_cache(maxsize=256)
def _hasher(key: bytes, purpose: str) -> blake2b:
    return blake2b(key=_subkey(key, "blind:" + purpose), digest_size=16)


@lru_cache(maxsize=256)
def _cipher(key: bytes, table: str) -> AESGCM:
    return AESGCM(_subkey(key, "seal:" + table))


def create_key_file(path: Path) -> None:
    """A fresh key file at `path`, mode 600, complete or not there at all; an existing one is left as it is."""
    signing = RSAKey.generate_key(2048, {"use": "sig", "alg": SIGNING_ALGORITHM, "kid": secrets.token_hex(8)})
    keys = [signing.as_dict(private=True)]
    for algorithm in (_SEALING, _INDEXING):
        keys.append(OctKey.generate_key(256, {"alg": algorithm, "kid": secrets.token_hex(8)}).as_dict(private=True))
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps({"keys": keys}, indent=1))
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def read_key_file(path: Path) -> KeyRing:
    """The ring in `path`. Raises ConfigurationError that names the file and what is wrong, never a key."""
    try:
        document = json.loads(path.read_text())
        keys: Sequence[dict[str, Any]] = document["keys"]
        signing = [RSAKey.import_key(key) for key in keys if key.get("kty") == "RSA"]
        sealing = [OctKey.import_key(key).raw_value for key in keys if key.get("alg") == _SEALING]
        indexing = [OctKey.import_key(key).raw_value for key in keys if key.get("alg") == _INDEXING]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, JoseError) as exc:
        raise ConfigurationError([f"GATEWAY_KEYS_FILE: {path} can't be read as a JWK Set"]) from exc
    if not signing or not sealing or not indexing:
        raise ConfigurationError([f"GATEWAY_KEYS_FILE: {path} needs an RSA key, an {_SEALING} and an {_INDEXING} key"])
    if any(len(key) != 32 for key in (*sealing, *indexing)):
        raise ConfigurationError([f"GATEWAY_KEYS_FILE: {path}: the symmetric keys are 256 bits long"])
    return KeyRing(
        signing=signing[0],
        verifying=KeySet([RSAKey.import_key(key.as_dict(private=False)) for key in signing]),
        sealing={sha256(key).digest()[:_KEY_ID_BYTES]: key for key in sealing},
        indexing=indexing[0],
    )
