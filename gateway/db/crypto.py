"""Sealing, blind indexes and signing keys: everything that needs a secret of the gateway's own.

`keys.json` is one JWK Set (RFC 7517): a private signing key (`kty: RSA`), and two symmetric keys (`kty: oct`), one for
sealing (`alg: A256GCM`) and one for blind indexes (`alg: HS256`), and the one that signs the audit log's checkpoints
(`crv: Ed25519`, and a `kid` that says so). The first of each kind is the current one; older ones still open and verify.
"""

import fcntl
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey, OKPKey, RSAKey

from gateway.errors import ConfigurationError, DependencyUnavailable

SIGNING_ALGORITHM = "RS256"
_SEALING = "A256GCM"
_INDEXING = "HS256"  # the JWA name for a key that makes keyed hashes
_CHECKPOINTS = "audit-checkpoint-"  # how the id of a key for checkpoints begins
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
    """Public halves of all signing keys, the current one first: what `/.well-known/jwks.json` shows."""
    sealing: Mapping[bytes, bytes] = field(repr=False)
    """Key id → 32 bytes; the first is the current one."""
    indexing: bytes = field(repr=False)
    checkpoints: tuple[Ed25519PrivateKey, ...] = field(default=(), repr=False)
    """What signs the audit log's checkpoints; the first is the current one. None where the file is older than that."""
    signs_next: float | None = field(default=None, repr=False)
    """When another signing key becomes the current one (seconds since 1970); None where none is waiting."""

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
    keys = [new_signing_key()]
    for algorithm in (_SEALING, _INDEXING):
        keys.append(OctKey.generate_key(256, {"alg": algorithm, "kid": secrets.token_hex(8)}).as_dict(private=True))
    keys.append(_new_checkpoint_key())
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(path, keys)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def new_signing_key() -> dict[str, Any]:
    """A private key for tokens, under a name of its own."""
    made = RSAKey.generate_key(2048, {"use": "sig", "alg": SIGNING_ALGORITHM, "kid": secrets.token_hex(8)})
    return {**made.as_dict(private=True)}


def add_checkpoint_key(path: Path) -> None:
    """The key file at `path` has a key that signs checkpoints; all that was in it stays. Raises ConfigurationError."""
    rewrite_key_file(path, lambda keys: keys if any(map(_signs_checkpoints, keys)) else [*keys, _new_checkpoint_key()])


def rewrite_key_file(path: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    """The file holds what `change` makes of its keys, by one process at a time; readers see the old file or the new.

    Raises ConfigurationError where it can't be read or written, and whatever `change` raises.
    """
    try:
        with _locked(path):
            keys: list[dict[str, Any]] = json.loads(path.read_text())["keys"]
            changed = change(keys)
            if changed != keys:
                _draft(path, changed).replace(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ConfigurationError([f"GATEWAY_KEYS_FILE: the keys in {path} can't be changed"]) from exc


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    while True:
        with path.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            # Whoever held the lock before has put another file in this one's place: that one is to be locked then.
            if os.path.samestat(os.fstat(held.fileno()), path.stat()):
                yield
                return


def _draft(path: Path, keys: Sequence[Mapping[str, Any]]) -> Path:
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps({"keys": keys}, indent=1))
    if path.exists() and os.geteuid() == 0:
        owner = path.stat()
        os.chown(draft, owner.st_uid, owner.st_gid)
    return draft


def _new_checkpoint_key() -> dict[str, Any]:
    made = OKPKey.generate_key("Ed25519", {"use": "sig", "alg": "EdDSA", "kid": _CHECKPOINTS + secrets.token_hex(8)})
    return {**made.as_dict(private=True)}


def _signs_checkpoints(key: Mapping[str, Any]) -> bool:
    return key.get("kty") == "OKP" and str(key.get("kid", "")).startswith(_CHECKPOINTS)


def read_key_file(path: Path) -> KeyRing:
    """The ring in `path`. Raises ConfigurationError that names the file and what is wrong, never a key."""
    try:
        document = json.loads(path.read_text())
        keys: Sequence[dict[str, Any]] = document["keys"]
        signing, signs_next = _by_turn([key for key in keys if key.get("kty") == "RSA"], time.time())
        sealing = [OctKey.import_key(key).raw_value for key in keys if key.get("alg") == _SEALING]
        indexing = [OctKey.import_key(key).raw_value for key in keys if key.get("alg") == _INDEXING]
        checkpoints = [_ed25519(key) for key in keys if _signs_checkpoints(key)]
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
        checkpoints=tuple(checkpoints),
        signs_next=signs_next,
    )


def _by_turn(keys: Sequence[dict[str, Any]], now: float) -> tuple[list[RSAKey], float | None]:
    """The signing keys, the one whose turn it is first, and when the turn of one that waits comes.

    A key may say from when on it signs (`signs_from`); the first in the file whose time has come is the current one.
    """
    turns = [float(key.get("signs_from", 0)) for key in keys]
    due = [place for place, turn in enumerate(turns) if turn <= now]
    first = due[0] if due else 0
    made = [RSAKey.import_key({name: key[name] for name in key if name != "signs_from"}) for key in keys]
    waiting = [turn for turn in turns[:first] if turn > now]
    return made[first : first + 1] + made[:first] + made[first + 1 :], min(waiting, default=None)


def _ed25519(key: dict[str, Any]) -> Ed25519PrivateKey:
    private = OKPKey.import_key(key).private_key
    if not isinstance(private, Ed25519PrivateKey):
        msg = "checkpoints are signed with Ed25519"
        raise ValueError(msg)
    return private
