"""The stored tree: leaves, and subtrees of 256, of 256 times 256, …, from which every root and proof comes."""

from collections.abc import Sequence
from functools import lru_cache

from sqlalchemy import bindparam, func, select

from gateway.audit.merkle import consistency_proof, folded, inclusion_proof, root
from gateway.audit.tables import audit_leaf, audit_node
from gateway.db.prepared import Prepared, Session
from gateway.errors import AuditUnavailable

TILE_LEVELS = 8
"""Levels that are not stored between those that are (as C2SP tlog-tiles has it)."""
TILE = 1 << TILE_LEVELS

_LAST = Prepared(select(func.max(audit_leaf.c.log_index)))
_LEAVES = Prepared(
    select(audit_leaf.c.hash)
    .where(audit_leaf.c.log_index >= bindparam("low"), audit_leaf.c.log_index < bindparam("high"))
    .order_by(audit_leaf.c.log_index)
)
_NODES = Prepared(
    select(audit_node.c.hash)
    .where(
        audit_node.c.level == bindparam("level"),
        audit_node.c.place >= bindparam("low"),
        audit_node.c.place < bindparam("high"),
    )
    .order_by(audit_node.c.place)
)


class AuditLogBroken(AuditUnavailable):
    """Hashes of the log are missing, or not those that were signed: it was altered."""

    code = "audit-log-broken"


class StoredTree:
    """The tree as one connection sees it. Every method raises DependencyUnavailable, and AuditLogBroken."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._subtree = lru_cache(maxsize=4096)(self._read_subtree)

    def size(self) -> int:
        """How many records are in the log."""
        row = _LAST.first(self._session)
        return 0 if row is None or row[0] is None else int(row[0]) + 1

    def root(self, size: int) -> bytes:
        """The root of the first `size` records."""
        return root(size, self._subtree)

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """What shows that a record is in the log of that size."""
        return inclusion_proof(index, size, self._subtree)

    def consistency(self, old: int, new: int) -> list[bytes]:
        """What shows that the log of `new` records begins with that of `old`."""
        return consistency_proof(old, new, self._subtree)

    def grown(self, start: int, leaves: Sequence[bytes]) -> list[tuple[int, int, bytes]]:
        """The subtrees to be stored once `leaves` follow the first `start`: level, place and hash."""
        nodes: list[tuple[int, int, bytes]] = []
        level, first, row = 0, start, list(leaves)
        while row:
            begin = first - first % TILE
            row = self._row(level, begin, first) + row
            tiles = [row[at : at + TILE] for at in range(0, len(row) - TILE + 1, TILE)]
            level, first = level + TILE_LEVELS, begin // TILE
            row = [folded(tile) for tile in tiles]
            nodes += [(level, first + number, hashed) for number, hashed in enumerate(row)]
        return nodes

    def _read_subtree(self, level: int, place: int) -> bytes:
        below = level % TILE_LEVELS
        return folded(self._row(level - below, place << below, (place + 1) << below))

    def _row(self, level: int, low: int, high: int) -> list[bytes]:
        if low == high:
            return []
        if level:
            rows = _NODES.all(self._session, level=level, low=low, high=high)
        else:
            rows = _LEAVES.all(self._session, low=low, high=high)
        found = [row[0] for row in rows if isinstance(row[0], bytes)]
        if len(found) != high - low:
            raise AuditLogBroken(f"the log's hashes {low << level} to {(high << level) - 1} are not all there")
        return found
