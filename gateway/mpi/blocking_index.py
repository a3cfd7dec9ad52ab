"""Records as matching compares them, in the database: found by their blocking keys, opened, kept up to date.

A key is 64 bits of a keyed hash and a record is sealed, so that nothing of a patient can be read from either.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, exists, func, insert, select, update

from gateway.db.crypto import KeyRing
from gateway.db.session import in_parts
from gateway.model import PatientID
from gateway.mpi.blocking import HOT_KEY_RECORDS, BlockingKey, tight_keys, wide_keys
from gateway.mpi.decide import Member
from gateway.mpi.match_record import MatchRecord
from gateway.mpi.sealed import open_comparable, seal_comparable
from gateway.mpi.tables import block_key, hot_key, record

_found = record.alias("found")
_CANDIDATES = select(record.c.record_id, record.c.person_id, record.c.identifier_key, record.c.comparable).where(
    record.c.active,
    record.c.comparable.is_not(None),
    record.c.person_id.in_(
        select(_found.c.person_id)
        .join(block_key, block_key.c.record_id == _found.c.record_id)
        .where(
            block_key.c.key.in_(bindparam("wanted", expanding=True)),
            _found.c.active,
            ~exists(select(hot_key.c.key).where(hot_key.c.key == block_key.c.key)),
        )
    ),
)
_COUNTED = (
    select(block_key.c.key)
    .where(block_key.c.key.in_(bindparam("wanted", expanding=True)))
    .where(~exists(select(hot_key.c.key).where(hot_key.c.key == block_key.c.key)))
    .group_by(block_key.c.key)
    .having(func.count() > HOT_KEY_RECORDS)
)
_KNOWN = select(block_key.c.key).distinct().where(block_key.c.key.in_(bindparam("wanted", expanding=True)))
_STORED = select(record.c.identifier_key, record.c.comparable).where(record.c.record_id == bindparam("record"))
_STORE = update(record).where(record.c.record_id == bindparam("record"))
_DROP = delete(block_key).where(
    block_key.c.record_id == bindparam("record"), block_key.c.key.in_(bindparam("dropped", expanding=True))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readied:
    """A record ready to be stored for matching."""

    sealed: bytes
    block_keys: tuple[int, ...]
    tight: frozenset[int]
    """Those keys under which it is looked for itself."""


class BlockingIndex:
    """Where candidates are looked for, inside one transaction of `index_writing`."""

    def __init__(self, connection: Connection, keys: KeyRing) -> None:
        self._connection = connection
        self._keys = keys

    def store(self, record_id: int, content: MatchRecord) -> MatchRecord | None:
        """The record is found and compared by `content` from now on; what it was before, None where it is new."""
        source, sealed = self._connection.execute(_STORED, {"record": record_id}).one()
        before = None if sealed is None else self._open(source, sealed)
        if before == content:
            return before
        sealed = seal_comparable(self._keys, source, content)
        self._connection.execute(_STORE, {"record": record_id, "comparable": sealed})
        old = set(self._hashed(_all_keys(before))) if before is not None else set[int]()
        new = set(self._hashed(_all_keys(content)))
        if gone := old - new:
            self._connection.execute(_DROP, {"record": record_id, "dropped": sorted(gone)})
        if come := sorted(new - old):
            self._connection.execute(insert(block_key), [{"key": key, "record_id": record_id} for key in come])
        return before

    def ready(self, source: bytes, content: MatchRecord) -> Readied:
        """`content`, sealed for the record of that source key, with its keys."""
        return Readied(
            sealed=seal_comparable(self._keys, source, content),
            block_keys=tuple(dict.fromkeys(self._hashed(_all_keys(content)))),
            tight=frozenset(self._hashed(tight_keys(content))),
        )

    def known(self, wanted: Collection[int]) -> set[int]:
        """Those of `wanted` that some record has."""
        found: set[int] = set()
        for part in in_parts(sorted(wanted)):
            found.update(self._connection.execute(_KNOWN, {"wanted": part}).scalars())
        return found

    def add_keys(self, keyed: Iterable[tuple[int, Iterable[int]]]) -> None:
        """Each record is found by its keys; none of them was there before."""
        rows = [{"key": key, "record_id": record_id} for record_id, keys in keyed for key in keys]
        if rows:
            self._connection.execute(insert(block_key), sorted(rows, key=lambda row: row["key"]))

    def find(self, content: MatchRecord, *, without: int) -> dict[PatientID, list[Member]]:
        """The persons that a record like `content` may be, each with all of their live records but `without`.

        A key that very many records have is passed over.
        """
        wanted = self._hashed(tight_keys(content))
        if not wanted:
            return {}
        rows = self._connection.execute(_CANDIDATES, {"wanted": wanted}).all()
        if len(rows) > HOT_KEY_RECORDS and self._mark_hot(wanted):
            rows = self._connection.execute(_CANDIDATES, {"wanted": wanted}).all()
        persons: defaultdict[PatientID, list[Member]] = defaultdict(list)
        for record_id, person_id, source, sealed in rows:
            if record_id != without:
                persons[PatientID(person_id)].append(Member(record_id, self._open(source, sealed)))
        return dict(persons)

    def open_records(self, records: Sequence[int]) -> list[Member]:
        """Those of `records` that are active and ready to be compared."""
        found = select(record.c.record_id, record.c.identifier_key, record.c.comparable).where(
            record.c.record_id.in_(bindparam("wanted", expanding=True)),
            record.c.active,
            record.c.comparable.is_not(None),
        )
        return [
            Member(record_id, self._open(source, sealed))
            for part in in_parts(records)
            for record_id, source, sealed in self._connection.execute(found, {"wanted": part})
        ]

    def _mark_hot(self, wanted: Sequence[int]) -> bool:
        hot = self._connection.execute(_COUNTED, {"wanted": wanted}).scalars().all()
        if hot:
            self._connection.execute(insert(hot_key), [{"key": key} for key in hot])
        return bool(hot)

    def _open(self, source: bytes, sealed: bytes) -> MatchRecord:
        return open_comparable(self._keys, source, sealed)

    def _hashed(self, keys: Iterable[BlockingKey]) -> list[int]:
        return [int.from_bytes(self._keys.blind("mpi.block", *key)[:8], signed=True) for key in keys]


def _all_keys(content: MatchRecord) -> Iterable[BlockingKey]:
    return dict.fromkeys((*tight_keys(content), *wide_keys(content)))
