"""Records that can't be anybody's but their own, stored many at once.

Most records of a load share no strong identifier and no blocking key with any other: each is a person of its own, which
needs no judgement. Writing them a table at a time instead of a record at a time is what makes a large load quick.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import orjson
from sqlalchemy import Connection, Select, Table, bindparam, insert, select

from gateway.db.crypto import KeyRing
from gateway.db.session import in_parts
from gateway.model import PatientID
from gateway.mpi.links import ALGORITHM, Reason
from gateway.mpi.matching import Matching
from gateway.mpi.patient_record import PatientRecord
from gateway.mpi.sealed import content_key, identifier_key, seal_patient, source_key
from gateway.mpi.search_index import SearchIndex
from gateway.mpi.search_keys import VERSION
from gateway.mpi.store import new_person_id
from gateway.mpi.tables import link_event, person, record, record_identifier

_KNOWN_SOURCES = select(record.c.identifier_key).where(record.c.identifier_key.in_(bindparam("wanted", expanding=True)))
_KNOWN_IDENTIFIERS = (
    select(record_identifier.c.identifier_key)
    .distinct()
    .where(record_identifier.c.identifier_key.in_(bindparam("wanted", expanding=True)))
)
_ALONE = orjson.dumps(asdict(Reason(rule="alone"))).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Newcomer:
    place: int
    source: bytes
    identifiers: frozenset[bytes]
    strong: frozenset[bytes]
    block_keys: tuple[int, ...]
    tight: frozenset[int]
    comparable: bytes | None
    search_keys: Sequence[int]
    patient: PatientRecord


class Newcomers:
    """Newcomers of one batch, inside one transaction of `index_writing`."""

    def __init__(
        self,
        connection: Connection,
        keys: KeyRing,
        strong_systems: frozenset[str],
        who: str,
        matching: Matching | None,
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._strong_systems = strong_systems
        self._who = who
        self._matching = matching
        self._search = SearchIndex(connection, keys)

    def add_alone(self, patients: Sequence[PatientRecord], now: datetime) -> set[int]:
        """Those of `patients` that nobody else can be are persons of their own; their places in the list.

        The others are left: known already, or sharing something with a record of the index or an earlier one here.
        """
        come = [self._read(place, patient, now) for place, patient in enumerate(patients)]
        sources = set(self._known(_KNOWN_SOURCES, [one.source for one in come]))
        strong = set(self._known(_KNOWN_IDENTIFIERS, {key for one in come for key in one.strong}))
        tight = self._matching.known_keys({key for one in come for key in one.tight}) if self._matching else set[int]()
        alone = []
        for one in come:
            if one.source not in sources and strong.isdisjoint(one.strong) and tight.isdisjoint(one.tight):
                alone.append(one)
            sources.add(one.source)
            strong |= one.strong
            tight |= one.tight
        if alone:
            self._store(alone, now)
        return {one.place for one in alone}

    def _read(self, place: int, patient: PatientRecord, now: datetime) -> _Newcomer:
        source = source_key(self._keys, patient.source)
        keyed = {identifier_key(self._keys, one): one.system for one in patient.identifiers}
        compared = self._matching.read(source, patient.content, now) if self._matching else None
        return _Newcomer(
            place=place,
            source=source,
            identifiers=frozenset(keyed),
            strong=frozenset(key for key, system in keyed.items() if system in self._strong_systems),
            block_keys=compared.block_keys if compared else (),
            tight=compared.tight if compared else frozenset(),
            comparable=compared.sealed if compared else None,
            search_keys=self._search.keys_of(orjson.loads(patient.content), patient.source.system),
            patient=patient,
        )

    def _known(self, statement: Select[bytes], wanted: Iterable[bytes]) -> Iterable[bytes]:
        for part in in_parts(sorted(wanted)):
            yield from map(bytes, self._connection.execute(statement, {"wanted": part}).scalars())

    def _store(self, alone: Sequence[_Newcomer], now: datetime) -> None:
        owners = {one.source: new_person_id() for one in alone}
        self._connection.execute(insert(person), [{"id": owner, "created_at": now} for owner in owners.values()])
        added = insert(record).returning(record.c.record_id, record.c.identifier_key)
        rows = self._connection.execute(added, [self._row(one, owners[one.source], now) for one in alone])
        ids = {bytes(source): record_id for record_id, source in rows}
        self._add(
            record_identifier,
            ({"record_id": ids[one.source], "identifier_key": key} for one in alone for key in sorted(one.identifiers)),
        )
        self._add(link_event, (self._event(ids[one.source], owners[one.source], now) for one in alone))
        self._search.add((ids[one.source], one.search_keys) for one in alone)
        if self._matching:
            self._matching.add_keys((ids[one.source], one.block_keys) for one in alone)

    def _row(self, one: _Newcomer, owner: PatientID, now: datetime) -> Mapping[str, object]:
        return {
            "identifier_key": one.source,
            "system": one.patient.source.system,
            "content": seal_patient(self._keys, one.source, one.patient.content),
            "content_key": content_key(self._keys, one.source, one.patient.content),
            "person_id": owner,
            "linked_at": now,
            "updated_at": now,
            "active": one.patient.active,
            "comparable": one.comparable,
            "search_keys": VERSION,
        }

    def _event(self, record_id: int, owner: PatientID, now: datetime) -> Mapping[str, object]:
        return {
            "record_id": record_id,
            "person_id": owner,
            "previous_person_id": None,
            "action": "new-person",
            "reason": _ALONE,
            "algorithm": ALGORITHM,
            "who": self._who,
            "at": now,
        }

    def _add(self, table: Table, rows: Iterable[Mapping[str, object]]) -> None:
        if stored := list(rows):
            self._connection.execute(insert(table), stored)
