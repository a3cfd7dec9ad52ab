"""Who may be meant by a description? Few enough people to look at each, or a refusal. (IHE PDQm ITI-78)

Keys bound who is opened; what is opened decides, in `patient_query`. Nothing is left out: where a description has no
key that few records share, and the index is not small, it is refused.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Integer, bindparam, select

from gateway.db.crypto import KeyRing
from gateway.db.session import in_parts, reading
from gateway.errors import TooCostly
from gateway.model import Identifier, PatientID, PatientIdentity, SourceRecord
from gateway.mpi.demographics import demographics_of
from gateway.mpi.patient_query import Description, is_described
from gateway.mpi.sealed import identifier_key, open_patient, source_identifier
from gateway.mpi.search_index import hashed_keys
from gateway.mpi.search_keys import SearchKey, identifier_value_key, places_to_look
from gateway.mpi.tables import record, record_identifier, search_key

MOST_RECORDS = 2000
"""Records that one search opens. A description that more records may fit is refused."""
_FEW = 100
"""Records few enough that no smaller set of them is looked for."""
_ONE_TOO_MANY = bindparam("one_too_many", type_=Integer)
_KEYED = (
    select(search_key.c.record_id)
    .where(search_key.c.key.in_(bindparam("wanted", expanding=True)))
    .distinct()
    .limit(_ONE_TOO_MANY)
)
_UNKEYED = select(record.c.record_id).where(record.c.search_keys.is_(None)).limit(_ONE_TOO_MANY)
_ALL = select(record.c.record_id).limit(_ONE_TOO_MANY)
_OWNERS = select(record.c.person_id).where(record.c.record_id.in_(bindparam("wanted", expanding=True)), record.c.active)
_CARRIERS = (
    select(record_identifier.c.record_id)
    .where(record_identifier.c.identifier_key.in_(bindparam("wanted", expanding=True)))
    .limit(_ONE_TOO_MANY)
)
_RECORDS = (
    select(
        *(record.c.record_id, record.c.identifier_key, record.c.system, record.c.content),
        *(record.c.person_id, record.c.linked_at, record.c.updated_at),
    )
    .where(record.c.person_id.in_(bindparam("wanted", expanding=True)), record.c.active)
    .order_by(record.c.record_id)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPatient:
    """A person with their live records, as their domains sent them."""

    patient: PatientIdentity
    patients: Mapping[int, Mapping[str, Any]]
    """The FHIR Patient of each record, by record id."""


class PatientFinder:
    """Searches of the index by description. Each raises DependencyUnavailable where it can't be read."""

    def __init__(self, engine: Engine, keys: KeyRing, *, most: int = MOST_RECORDS) -> None:
        self._engine = engine
        self._keys = keys
        self._most = most
        self._bound = {"one_too_many": most + 1}

    def find(self, asked: Description, now: datetime) -> Sequence[FoundPatient]:
        """Every person of whom a live record says all that is asked. Raises TooCostly."""
        with reading(self._engine) as connection:
            records = self._described(connection, asked)
            return self._open(connection, self._owners(connection, records), asked, now)

    def find_among(self, persons: Collection[PatientID], asked: Description, now: datetime) -> Sequence[FoundPatient]:
        """Those of `persons` of whom a live record says all that is asked."""
        with reading(self._engine) as connection:
            return self._open(connection, persons, asked, now)

    def find_carriers(self, value: str, systems: Collection[str]) -> set[PatientID]:
        """Persons who have an identifier of that value, whoever assigned it; `systems` are the facilities' domains.

        Raises TooCostly.
        """
        own = [identifier_key(self._keys, Identifier(system, value)) for system in systems]
        with reading(self._engine) as connection:
            records: set[int] = set()
            for part in in_parts(own):
                records.update(connection.execute(_CARRIERS, {"wanted": part, **self._bound}).scalars())
            records |= self._keyed(connection, [identifier_value_key(value.strip())])
            records |= self._unkeyed(connection)
            self._require_few(records)
            return self._owners(connection, records)

    def _described(self, connection: Connection, asked: Description) -> set[int]:
        smallest: set[int] | None = None
        for keys in places_to_look(asked):
            found = self._keyed(connection, keys)
            if smallest is None or len(found) < len(smallest):
                smallest = found
            if len(found) <= _FEW:
                break
        if smallest is None or len(smallest) > self._most:
            smallest = set(connection.execute(_ALL, self._bound).scalars())
        else:
            smallest |= self._unkeyed(connection)
        self._require_few(smallest)
        return smallest

    def _keyed(self, connection: Connection, keys: Collection[SearchKey]) -> set[int]:
        found: set[int] = set()
        for part in in_parts(hashed_keys(self._keys, keys)):
            found.update(connection.execute(_KEYED, {"wanted": part, **self._bound}).scalars())
        return found

    def _unkeyed(self, connection: Connection) -> set[int]:
        # Stored before there were keys, or by somebody who leaves them for later: looked at each time.
        return set(connection.execute(_UNKEYED, self._bound).scalars())

    def _owners(self, connection: Connection, records: Collection[int]) -> set[PatientID]:
        return {
            PatientID(person)
            for part in in_parts(sorted(records))
            for person in connection.execute(_OWNERS, {"wanted": part}).scalars()
        }

    def _open(
        self, connection: Connection, persons: Collection[PatientID], asked: Description, now: datetime
    ) -> list[FoundPatient]:
        opened: dict[PatientID, dict[int, tuple[SourceRecord, dict[str, Any]]]] = {}
        for part in in_parts(sorted(persons)):
            for record_id, source, system, sealed, person, linked_at, updated_at in connection.execute(
                _RECORDS, {"wanted": part}
            ):
                patient = open_patient(self._keys, source, sealed)
                opened.setdefault(PatientID(person), {})[record_id] = (
                    SourceRecord(
                        record_id=record_id,
                        identifier=source_identifier(patient, system),
                        demographics=demographics_of(patient),
                        linked_at=linked_at,
                        updated_at=updated_at,
                    ),
                    patient,
                )
        return [
            FoundPatient(
                patient=PatientIdentity(id=person, records=tuple(one for one, _ in records.values())),
                patients={record_id: patient for record_id, (_, patient) in records.items()},
            )
            for person, records in opened.items()
            if any(is_described(patient, asked, now) for _, patient in records.values())
        ]

    def _require_few(self, records: Collection[int]) -> None:
        if len(records) > self._most:
            raise TooCostly("too many may be meant: add a birth date, more of the name, a phone or an identifier")
