"""Source records in the database, read and written inside one transaction that no other writer works beside."""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import Connection, Engine, bindparam, delete, insert, select, text, update

from gateway.db.crypto import KeyRing
from gateway.db.prepared import Prepared, PreparedInsert
from gateway.db.session import writing
from gateway.model import Identifier, PatientID
from gateway.mpi.demographics import identifiers_of
from gateway.mpi.patient_record import PatientRecord
from gateway.mpi.ready import Readier, Ready
from gateway.mpi.sealed import content_key, identifier_key, open_patient, seal_patient, source_key
from gateway.mpi.search_index import SearchIndex
from gateway.mpi.search_keys import VERSION
from gateway.mpi.tables import block_key, person, record, record_identifier, search_key

_WRITER_LOCK = 0x6D70692D77726974
_STORED = Prepared(
    select(record.c.record_id, record.c.content_key, record.c.person_id, record.c.active).where(
        record.c.identifier_key == bindparam("key")
    )
)
_ADD = PreparedInsert(
    record,
    *("identifier_key", "system", "content", "content_key", "person_id", "linked_at", "updated_at", "active"),
    *("comparable", "search_keys"),
    returning=("record_id",),
)
_ADD_IDENTIFIERS = PreparedInsert(record_identifier, "record_id", "identifier_key")
_ADD_BLOCK_KEYS = PreparedInsert(block_key, "key", "record_id")
_ADD_SEARCH_KEYS = PreparedInsert(search_key, "key", "record_id")
_IDENTIFIER_KEYS = select(record_identifier.c.identifier_key).where(
    record_identifier.c.record_id == bindparam("record")
)

_SEARCHED = select(record.c.identifier_key, record.c.content, record.c.search_keys).where(
    record.c.record_id == bindparam("record")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """A source record as it is stored, without its content."""

    record_id: int
    content_key: bytes
    person_id: PatientID
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmatchedRecord:
    """A live record that matching has never seen."""

    record_id: int
    person_id: PatientID
    identifiers: tuple[Identifier, ...]
    content: bytes


@contextmanager
def index_writing(engine: Engine) -> Iterator[Connection]:
    """One transaction on the index: all of it is stored when this ends, or nothing. Raises DependencyUnavailable.

    Writers of the index take turns, in all processes: two feeds at once can't make two persons of one.
    """
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITER_LOCK})
        yield connection


def new_person_id() -> PatientID:
    """A random id: nothing can be read from it."""
    return PatientID(str(uuid.uuid4()))


class RecordStore:
    """The source records, inside one transaction of `index_writing`."""

    def __init__(self, connection: Connection, keys: KeyRing) -> None:
        self._connection = connection
        self._keys = keys
        self._search = SearchIndex(connection, keys)

    def find(self, patient: PatientRecord) -> StoredRecord | None:
        """The stored record of the same source identifier."""
        return self.find_source(patient.source)

    def find_source(self, source: Identifier) -> StoredRecord | None:
        """The stored record that its domain knows by that identifier."""
        row = _STORED.first(self._connection, key=source_key(self._keys, source))
        if row is None:
            return None
        record_id, told, owner, active = row
        return StoredRecord(record_id=record_id, content_key=told, person_id=PatientID(owner), active=active)

    def content_key(self, patient: PatientRecord) -> bytes:
        """What tells this content of the record from any other."""
        return content_key(self._keys, source_key(self._keys, patient.source), patient.content)

    def add(self, patient: PatientRecord, now: datetime) -> StoredRecord:
        """The record is stored, not compared, with a person of its own that linking keeps or drops."""
        owner = new_person_id()
        self._add_person(owner, now)
        ready = Readier(self._keys, frozenset(), matched=False).ready(patient, now.date())
        return StoredRecord(
            record_id=self.add_ready(ready, owner, now),
            content_key=ready.content_key,
            person_id=owner,
            active=patient.active,
        )

    def add_ready(self, ready: Ready, owner: PatientID, now: datetime) -> int:
        """The record is stored as one of `owner`'s, with all its keys; its number."""
        told = (ready.source, ready.system, ready.content, ready.content_key, owner, now, now, ready.active)
        ((number,),) = _ADD.run(self._connection, [(*told, ready.comparable, VERSION)])
        _ADD_IDENTIFIERS.run(self._connection, [(number, key) for key in ready.identifiers])
        _ADD_BLOCK_KEYS.run(self._connection, [(key, number) for key in sorted(ready.block_keys)])
        _ADD_SEARCH_KEYS.run(self._connection, [(key, number) for key in sorted(ready.search_keys)])
        return int(number)

    def replace(self, stored: StoredRecord, patient: PatientRecord, now: datetime) -> frozenset[bytes]:
        """The record says what `patient` says, its link is as it was; the keys of identifiers it no longer has."""
        source = source_key(self._keys, patient.source)
        self._search.change(
            stored.record_id, self._stored_search_keys(stored.record_id, patient.source), self._search_keys(patient)
        )
        self._connection.execute(
            update(record).where(record.c.record_id == stored.record_id),
            {
                "content": seal_patient(self._keys, source, patient.content),
                "content_key": self.content_key(patient),
                "updated_at": now,
                "active": patient.active,
                "search_keys": VERSION,
            },
        )
        before = set(self._identifier_keys(stored.record_id))
        after = {identifier_key(self._keys, one) for one in patient.identifiers}
        if gone := before - after:
            self._connection.execute(
                delete(record_identifier).where(
                    record_identifier.c.record_id == stored.record_id, record_identifier.c.identifier_key.in_(gone)
                )
            )
        self._add_identifiers(stored.record_id, after - before)
        return frozenset(before - after)

    def find_unmatched(self, persons: Sequence[PatientID]) -> Sequence[UnmatchedRecord]:
        """The active records of `persons` that can't be compared yet, in the order of their numbers."""
        wanted = select(record.c.record_id, record.c.person_id, record.c.identifier_key, record.c.content).where(
            record.c.person_id.in_(persons), record.c.active, record.c.comparable.is_(None)
        )
        found = []
        for record_id, person_id, source, sealed in self._connection.execute(wanted.order_by(record.c.record_id)):
            patient = open_patient(self._keys, source, sealed)
            found.append(
                UnmatchedRecord(
                    record_id=record_id,
                    person_id=PatientID(person_id),
                    identifiers=identifiers_of(patient),
                    content=orjson.dumps(patient),
                )
            )
        return found

    def _search_keys(self, patient: PatientRecord) -> Sequence[int]:
        return self._search.keys_of(orjson.loads(patient.content), patient.source.system)

    def _stored_search_keys(self, record_id: int, source: Identifier) -> Sequence[int]:
        key, sealed, version = self._connection.execute(_SEARCHED, {"record": record_id}).one()
        if version is None:
            return ()
        return self._search.keys_of(open_patient(self._keys, key, sealed), source.system)

    def _add_person(self, person_id: PatientID, now: datetime) -> None:
        self._connection.execute(insert(person), {"id": person_id, "created_at": now})

    def _identifier_keys(self, record_id: int) -> Iterable[bytes]:
        return self._connection.execute(_IDENTIFIER_KEYS, {"record": record_id}).scalars()

    def _add_identifiers(self, record_id: int, keys: Iterable[bytes]) -> None:
        _ADD_IDENTIFIERS.run(self._connection, [(record_id, key) for key in sorted(keys)])
