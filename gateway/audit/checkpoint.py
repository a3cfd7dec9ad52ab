"""Checkpoints of the log as C2SP has them (tlog-checkpoint in a signed-note), and the proofs that go with them.

    exchange.example                                ← the origin: the base URL without its scheme, as it was at first
    20852163                                        ← how many records
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=    ← the root above them

    — exchange.example Az3grl…                      ← key id and Ed25519 signature of the lines above

A public key is written `name+id+base64` (as `sumdb/note` in Go has it), and its name is the origin.
"""

import re
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_ED25519 = b"\x01"
_NOTE = re.compile(r"[^\s]+\n([0-9]+)\n([A-Za-z0-9+/=]+)\n\n(?:— [^\s]+ [A-Za-z0-9+/=]+\n)+")


def origin_of(base_url: str) -> str:
    """The name of a new log: the base URL without its scheme."""
    return base_url.partition("://")[2].rstrip("/")


def origin_in(note: str) -> str:
    """The log's name in a checkpoint."""
    return note.partition("\n")[0]


def is_of(note: str, size: int, root: bytes) -> bool:
    """Whether a note says that of the log; who has signed it is not looked at."""
    found = _NOTE.fullmatch(note)
    return found is not None and found.groups() == (str(size), b64encode(root).decode())


def public_key_line(origin: str, key: Ed25519PublicKey) -> str:
    """The public key as verifiers and witnesses take it."""
    raw = _raw(key)
    return f"{origin}+{_key_id(origin, raw).hex()}+{b64encode(_ED25519 + raw).decode()}"


def signed_checkpoint(origin: str, size: int, root: bytes, key: Ed25519PrivateKey) -> str:
    """The note in which the log says how long it is and what its root is."""
    text = f"{origin}\n{size}\n{b64encode(root).decode()}\n"
    signature = _key_id(origin, _raw(key.public_key())) + key.sign(text.encode())
    return f"{text}\n— {origin} {b64encode(signature).decode()}\n"


def add_checkpoint_request(old_size: int, proof: Sequence[bytes], note: str) -> str:
    """What a witness is asked: to see that this checkpoint follows the one it saw last (C2SP tlog-witness)."""
    return "".join((f"old {old_size}\n", *(f"{b64encode(one).decode()}\n" for one in proof), "\n", note))


def inclusion_note(entry: bytes, index: int, proof: Sequence[bytes], note: str) -> str:
    """What shows, without the log, that an entry is in it (C2SP tlog-proof); the entry itself is its extra data."""
    lines = ["c2sp.org/tlog-proof@v1", f"extra {b64encode(entry).decode()}", f"index {index}"]
    return "\n".join([*lines, *(b64encode(one).decode() for one in proof), "", note])


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _key_id(name: str, raw: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + _ED25519 + raw).digest()[:4]
