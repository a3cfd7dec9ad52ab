"""Records as matching compares them, in the database: found by their blocking keys, opened, kept up to date.

A key is 64 bits of a keyed hash and a record is sealed, so that nothing of a patient can be read from either.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, exists, func, insert, select, update

from gateway.db.crypto import KeyRing
from gateway.db.prepared import Prepared, PreparedInsert
from gateway.db.session import in_parts
from gateway.model import PatientID
from gateway.mpi.blocking import HOT_KEY_RECORDS, BlockingKey, tight_keys, wide_keys
from gateway.mpi.decide import Member
from gateway.mpi.match_record import MatchRecord
from gateway.mpi.sealed import block_hashes, open_comparable, seal_comparable
from gateway.mpi.tables import block_key, hot_key, record

_found = record.alias("found")
_CANDIDATES = Prepared(
    select(record.c.record_id, record.c.person_id, record.c.identifier_key, record.c.comparable).where(
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
)
_COUNTED = (
    select(block_key.c.key)
    .where(block_key.c.key.in_(bindparam("wanted", expanding=True)))
    .where(~exists(select(hot_key.c.key).where(hot_key.c.key == block_key.c.key)))
    .group_by(block_key.c.key)
    .having(func.count() > HOT_KEY_RECORDS)
)
_KNOWN = select(block_key.c.key).distinct().where(block_key.c.key.in_(bindparam("wanted", expanding=True)))
_STORED = Prepared(
    select(record.c.identifier_key, record.c.comparable).where(record.c.record_id == bindparam("record"))
)
_OPENED = Prepared(
    select(record.c.record_id, record.c.identifier_key, record.c.comparable).where(
        record.c.record_id.in_(bindparam("wanted", expanding=True)),
        record.c.active,
        record.c.comparable.is_not(None),
    )
)
_ADD = PreparedInsert(block_key, "key", "record_id")
_STORE = update(record).where(record.c.record_id == bindparam("record"))
_DROP = delete(block_key).where(
    block_key.c.record_id == bindparam("record"), block_key.c.key.in_(bindparam("dropped", expanding=True))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readied:
    """A record ready to be stored for matching."""

    content: MatchRecord
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
        ((source, sealed),) = _STORED.all(self._connection, record=record_id)
        before = None if sealed is None else self._open(source, sealed)
        if before == content:
            return before
        sealed = seal_comparable(self._keys, source, content)
        self._connection.execute(_STORE, {"record": record_id, "comparable": sealed})
        old = set(self._hashed(_all_keys(before))) if before is not None else set[int]()
        new = set(self._hashed(_all_keys(content)))
        if gone := old - new:
            self._connection.execute(_DROP, {"record": record_id, "dropped": sorted(gone)})
        _ADD.run(self._connection, [(key, record_id) for key in sorted(new - old)])
        return before

    def ready(self, source: bytes, content: MatchRecord) -> Readied:
        """`content`, sealed for the record of that source key, with its keys."""
        tight = self._hashed(tight_keys(content))
        return Readied(
            content=content,
            sealed=seal_comparable(self._keys, source, content),
            block_keys=tuple(dict.fromkeys((*tight, *self._hashed(wide_keys(content))))),
            tight=frozenset(tight),
        )

    def add_keys(self, keyed: Iterable[tuple[int, Iterable[int]]]) -> None:
        """Each record is found by its keys; none of them was there before."""
        _ADD.run(self._connection, sorted((key, record_id) for record_id, keys in keyed for key in keys))

    def find(self, wanted: Sequence[int], *, without: int | None = None) -> dict[PatientID, list[Member]]:
        """The persons with a record of any of the keys, each with all of their live records but `without`.

        A key that very many records have is passed over.
        """
        if not wanted:
            return {}
        rows = _CANDIDATES.all(self._connection, wanted=wanted)
        if len(rows) > HOT_KEY_RECORDS and self._mark_hot(wanted):
            rows = _CANDIDATES.all(self._connection, wanted=wanted)
        persons: defaultdict[PatientID, list[Member]] = defaultdict(list)
        for record_id, person_id, source, sealed in rows:
            if record_id != without:
                persons[PatientID(person_id)].append(Member(record_id, self._open(source, sealed)))
        return dict(persons)

    def open_records(self, records: Sequence[int]) -> list[Member]:
        """Those of `records` that are active and ready to be compared."""
        return [
            Member(record_id, self._open(source, sealed))
            for part in in_parts(records)
            for record_id, source, sealed in _OPENED.all(self._connection, wanted=part)
        ]

    def _mark_hot(self, wanted: Sequence[int]) -> bool:
        hot = self._connection.execute(_COUNTED, {"wanted": wanted}).scalars().all()
        if hot:
            self._connection.execute(insert(hot_key), [{"key": key} for key in hot])
        return bool(hot)

    def _open(self, source: bytes, sealed: bytes) -> MatchRecord:
        return open_comparable(self._keys, source, sealed)

    def tight(self, content: MatchRecord) -> list[int]:
        """The keys under which a record like `content` is looked for."""
        return self._hashed(tight_keys(content))

    def _hashed(self, keys: Iterable[BlockingKey]) -> list[int]:
        return block_hashes(self._keys, keys)


def _all_keys(content: MatchRecord) -> Iterable[BlockingKey]:
    return dict.fromkeys((*tight_keys(content), *wide_keys(content)))
