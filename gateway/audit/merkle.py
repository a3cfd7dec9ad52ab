"""The Merkle tree of RFC 9162 §2.1 (the same as RFC 6962's), as functions of hashes: no store, no clock, no key.

A perfect subtree is named by its level and place: level 0 holds the leaves, and (k, n) covers the leaves from n·2^k up
to (n+1)·2^k. Whoever can give those can have every root and every proof of the tree.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

EMPTY_ROOT = sha256().digest()
"""The root of a tree without leaves."""

Subtree = Callable[[int, int], bytes]
"""The hash of the perfect subtree of a level and place."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf; its first byte tells it from an inner node (RFC 9162 §2.1.1)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of what lies above two subtrees."""
    return sha256(b"\x01" + left + right).digest()


def folded(hashes: Sequence[bytes]) -> bytes:
    """The hash above neighbouring subtrees of one level, whose number is a power of two."""
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(row[place], row[place + 1]) for place in range(0, len(row), 2)]
    return row[0]


class Frontier:
    """A tree that grows leaf by leaf and keeps only what its next root needs: one hash for each bit of its size."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        """The tree has one leaf more, whose hash is given."""
        full = self.size
        while full & 1:
            leaf = node_hash(self._peaks.pop(), leaf)
            full >>= 1
        self._peaks.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The root of what was appended so far."""
        if not self._peaks:
            return EMPTY_ROOT
        above = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            above = node_hash(peak, above)
        return above


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root above leaves, given by their hashes."""
    tree = Frontier()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


def root(size: int, subtree: Subtree) -> bytes:
    """The root of the tree of the first `size` leaves."""
    return _above(0, size, subtree) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """What shows that a leaf is in the tree of `size` leaves (RFC 9162 §2.1.3.1). Raises ValueError out of range."""
    if not 0 <= index < size:
        msg = "no such leaf"
        raise ValueError(msg)
    low, high, path = 0, size, []
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(_above(middle, high, subtree))
            high = middle
        else:
            path.append(_above(low, middle, subtree))
            low = middle
    return path[::-1]


def consistency_proof(old: int, new: int, subtree: Subtree) -> list[bytes]:
    """What shows that the tree of `new` leaves begins as that of `old` leaves did (RFC 9162 §2.1.4.1).

    Empty where `old` is 0 or `new`: there is nothing to show. Raises ValueError out of range.
    """
    if not 0 <= old <= new:
        msg = "a tree is consistent with a larger one"
        raise ValueError(msg)
    if old in (0, new):
        return []
    low, high, path, whole = 0, new, [], True
    while old < high:
        middle = low + _split(high - low)
        if old <= middle:
            path.append(_above(middle, high, subtree))
            high = middle
        else:
            path.append(_above(low, middle, subtree))
            low, whole = middle, False
    return ([] if whole else [_above(low, high, subtree)]) + path[::-1]


def is_included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes) -> bool:
    """Whether the proof shows the leaf at `index` of the tree with that size and root (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, above = index, size - 1, leaf
    for hashed in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            above = node_hash(hashed, above)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            above = node_hash(above, hashed)
        place, last = place >> 1, last >> 1
    return last == 0 and above == expected


def is_consistent(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Whether the proof shows that the larger tree holds the smaller one (RFC 9162 §2.1.4.2)."""
    if old in (0, new):
        return not proof and 0 <= old <= new and (old_root == (new_root if old else EMPTY_ROOT))
    if not 0 < old < new or not proof:
        return False
    rest = list(proof) if old & (old - 1) else [old_root, *proof]
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    first = second = rest[0]
    for hashed in rest[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            first, second = node_hash(hashed, first), node_hash(hashed, second)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            second = node_hash(second, hashed)
        place, last = place >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root


def _split(width: int) -> int:
    # The largest power of two below the width (RFC 9162 §2.1.1).
    return 1 << (width - 1).bit_length() - 1


def _above(low: int, high: int, subtree: Subtree) -> bytes:
    # Every `low` of the recursion is a multiple of the power of two that its subtree spans.
    width = high - low
    if width & (width - 1) == 0:
        return subtree(width.bit_length() - 1, low // width)
    middle = low + _split(width)
    return node_hash(_above(low, middle, subtree), _above(middle, high, subtree))
