#!/usr/bin/env python3
"""Is this audit log whole, in order and unchanged? Checked with nothing of the gateway: one file, to be read first.

    verify_audit.py EXPORT CHECKPOINTS PUBKEY

EXPORT       what `python -m gateway audit export --format log` has written; `-` is standard input.
CHECKPOINTS  a file, or a folder of files, of signed checkpoints, best from outside of the gateway's own machine.
PUBKEY       a file with the public keys that sign them, one a line (`python -m gateway audit key`), kept since long.

What is checked:
  1. Each checkpoint is signed (Ed25519, C2SP signed-note) by one of the keys; none of the same size has another root.
  2. The records are numbered from 0 without a gap. Each one's entry hashes to its leaf (SHA-256 of 0x00 and the entry,
     RFC 9162). Where the record itself is shown, it hashes to the commitment in its entry, and says the same as that.
  3. Where a checkpoint was made, the root above all leaves so far is the one that was signed.
  4. Records are gone only at the beginning, and only as far as a record says (`audit prune`), shown whole and signed.

It ends with 0 and what was proved, or with 1 and the first bad index. It needs Python 3.8 or newer.
"""

import base64
import hashlib
import json
import re
import sys
from pathlib import Path

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:  # the same by hand, slower: ed25519_by_hand
    Ed25519PublicKey = None

NOTE = re.compile(r"([^\s]+)\n([1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n\n((?:— [^\s]+ [A-Za-z0-9+/=]+\n)+)")
SHOWN_TWICE = ("id", "recorded", "kind", "outcome")  # what a record and its entry both say


class Bad(Exception):
    """Something is not as it must be."""


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def point(raw: bytes):
    """The point of the curve that 32 bytes stand for (RFC 8032 §5.1.3), as (X, Y, Z, T); None where they do not."""
    y = int.from_bytes(raw, "little") & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (x * x - square) % P or (x == 0 and raw[31] >> 7):
        return None
    x = P - x if x & 1 != raw[31] >> 7 else x
    return (x, y, 1, x * y % P)


def add(p, q):
    """The sum of two points (RFC 8032 §5.1.4)."""
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(number: int, p):
    """A point, so many times."""
    total = (0, 1, 1, 0)
    for bit in f"{number:b}":
        total = add(add(total, total), p) if bit == "1" else add(total, total)
    return total


BASE = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def ed25519_by_hand(key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether an Ed25519 signature is good (RFC 8032 §5.1.7)."""
    if len(key) != 32 or len(signature) != 64:
        return False
    a, r, s = point(key), point(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= ORDER:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    left, right = times(s, BASE), add(r, times(k, a))
    return not ((left[0] * right[2] - right[0] * left[2]) % P or (left[1] * right[2] - right[1] * left[2]) % P)


def is_signed(key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the signature is good, by the library where there is one."""
    if Ed25519PublicKey is None:
        return ed25519_by_hand(key, signature, message)
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def read_text(path) -> str:
    try:
        return Path(path).read_text("utf-8")
    except UnicodeDecodeError:
        raise Bad(f"{path}: not text in UTF-8") from None


def read_keys(path: str) -> dict:
    """The public keys, by name and key id."""
    keys = {}
    for line in read_text(path).split():
        name, key_id, key = [*line.split("+", 2), "", ""][:3]
        try:
            raw = base64.b64decode(key, validate=True)
        except ValueError:
            raw = b""
        if len(raw) != 33 or raw[0] != 1 or sha256(f"{name}\n".encode() + raw)[:4].hex() != key_id:
            raise Bad(f"{path}: not an Ed25519 public key as `audit key` writes it: {line[:60]}")
        keys[name, key_id] = raw[1:]
    if not keys:
        raise Bad(f"{path} holds no public key")
    return keys


def read_checkpoints(path: str, keys: dict) -> dict:
    """The signed roots, by size."""
    files = sorted(Path(path).glob("[!.]*")) if Path(path).is_dir() else [Path(path)]
    roots = {}
    for file in files:
        text = read_text(file)
        notes = list(NOTE.finditer(text))
        if not notes or "".join(note.group() for note in notes) != text:
            raise Bad(f"{file}: not (only) signed checkpoints")
        for note in notes:
            size, root = int(note.group(2)), base64.b64decode(note.group(3))
            require_signature(note, keys, f"{file}: the checkpoint of {size} records")
            if roots.setdefault(size, root) != root:
                raise Bad(f"two logs were signed: {size} records have two roots, one of them in {file}")
    if not roots:
        raise Bad(f"{path} holds no checkpoint: nothing can be proved")
    return roots


def require_signature(note, keys: dict, what: str) -> None:
    """A known key has signed the note, and no signature of a known key is bad (C2SP signed-note)."""
    signed, good = note.group()[: note.start(4) - note.start() - 1].encode(), 0
    for line in note.group(4).splitlines():
        _, name, text = line.split(" ")
        raw = base64.b64decode(text + "==")
        key = keys.get((name, raw[:4].hex()))
        if key is not None and not is_signed(key, raw[4:], signed):
            raise Bad(f"{what} is not signed by {name}, whose name it bears")
        good += key is not None and name == note.group(1)
    if not good:
        raise Bad(f"{what} is signed by none of the keys for its log")


def append(peaks: list, size: int, leaf: bytes) -> None:
    """One leaf more in a Merkle tree (RFC 9162 §2.1.1) of which one hash is kept for each bit of its size."""
    while size & 1:
        leaf, size = sha256(b"\x01" + peaks.pop() + leaf), size >> 1
    peaks.append(leaf)


def root_above(peaks: list) -> bytes:
    above = peaks[-1]
    for peak in peaks[-2::-1]:
        above = sha256(b"\x01" + peak + above)
    return above


def read_leaf(line: bytes, index: int) -> tuple:
    """The leaf's hash, its entry and its record, the last two None where they are not shown. Raises Bad."""
    if not line.endswith(b"\n"):
        raise Bad(f"index {index}: the export is cut off in the middle of a line")
    item = json.loads(line.decode())
    if item["index"] != index:
        raise Bad(f"index {index} is missing or out of order: the export goes on with {item['index']}")
    leaf, entry, record = bytes.fromhex(item["leaf"]), item.get("entry"), item.get("record")
    if len(leaf) != 32:
        raise ValueError
    if entry is None:
        return leaf, None, None
    if sha256(b"\x00" + entry.encode()) != leaf:
        raise Bad(f"index {index}: the record was altered after it was logged, or is another")
    said = json.loads(entry)
    if said["commitment"] is None:
        raise Bad(f"index {index}: the record was gone or altered before it was logged")
    if record is None:
        return leaf, said, None
    if sha256(record.encode()).hex() != said["commitment"]:
        raise Bad(f"index {index}: the record is not the one that its entry stands for")
    record = json.loads(record)
    if any(record[name] != said[name] for name in SHOWN_TWICE):
        raise Bad(f"index {index}: the record and its entry contradict one another")
    return leaf, said, record


def pruned_by(record: dict, index: int) -> int:
    """Up to which index records are gone, if this is the record of that; only older ones than itself can be."""
    if record["kind"] == "operator" and record.get("reason") == "audit prune":
        return min(int(dict(record["details"])["up-to"]), index)
    return 0


def check(export, roots: dict) -> str:
    """What was proved, in words. Raises Bad that names the first bad index."""
    peaks, size, proved, first, shown, said, covered = [], 0, 0, None, 0, 0, 0
    for index, line in enumerate(export):
        try:
            leaf, entry, record = read_leaf(line, index)
            said = max(said, pruned_by(record, index) if record else 0)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise Bad(f"index {index}: the line of the export can't be read") from None
        if entry is None and first is not None:
            raise Bad(f"index {index}: the record is gone, and older ones are not")
        first = (index, entry["recorded"]) if first is None and entry else first
        shown += record is not None
        append(peaks, index, leaf)
        size = index + 1
        if size in roots:
            if roots[size] != root_above(peaks):
                raise Bad(f"index {proved} to {index}: not what was signed: {size} records have another root")
            proved, covered = size, said
    if max(roots) > size:
        raise Bad(f"index {size}: the log ends here, and a log of {max(roots)} records was signed")
    gone, since = first or (size, "none")
    if gone > covered:
        raise Bad(f"index {covered}: the record is gone, and no signed record says that it was past its retention")
    return (
        f"OK: {proved} records are as they were signed, root {base64.b64encode(roots[proved]).decode()}\n"
        f"{len(roots)} checkpoints; {size - proved} records came after the last one and are not signed yet\n"
        f"{gone} records are past their retention and gone (the first that is kept: {since})\n"
        f"{shown} were shown whole, {size - gone - shown} are not shown, but their entries are"
    )


def main(arguments: list) -> int:
    """0 where all is well, 1 with the reason where not, 2 without the three arguments."""
    if len(arguments) != 3:
        sys.stderr.write(str(__doc__))
        return 2
    export, checkpoints, public_key = arguments
    try:
        roots = read_checkpoints(checkpoints, read_keys(public_key))
        with open(0 if export == "-" else export, "rb") as lines:
            sys.stdout.write(check(lines, roots) + "\n")
    except (Bad, OSError, ValueError) as exc:  # ValueError: bytes that are no UTF-8, text that is no base64
        sys.stderr.write(f"BAD: {exc}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
