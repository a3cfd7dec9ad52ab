"""Which person is meant, and which records in which domains are theirs: the index as a query sees it."""

import logging
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Select, bindparam, func, literal_column, select

from gateway.db.crypto import KeyRing
from gateway.db.lookup import looking
from gateway.db.prepared import Prepared
from gateway.log import Event, event
from gateway.metrics import ALERTS
from gateway.model import PatientID, PatientIdentity, PatientRef, SourceRecord
from gateway.mpi.demographics import demographics_of
from gateway.mpi.sealed import identifier_key, open_patient, source_identifier
from gateway.mpi.tables import person, record, record_identifier

LiveRecord = tuple[Any, ...]
"""Number, key, system and sealed content of a record, its person, since when it is theirs, and when it last changed."""

_PERSON_ID = re.compile(r"[0-9a-f-]{36}")


def _live_records() -> Select[int, bytes, str, bytes, str, datetime, datetime]:
    columns = record.c
    return (
        select(
            *(columns.record_id, columns.identifier_key, columns.system, columns.content),
            *(columns.person_id, columns.linked_at, columns.updated_at),
        )
        .where(columns.active)
        .order_by(columns.record_id)
    )


_carriers = (
    select(record.c.person_id)
    .join(record_identifier, record_identifier.c.record_id == record.c.record_id)
    .where(record_identifier.c.identifier_key == bindparam("key"), record.c.active)
    .cte("carriers")
    # Found by the key first: PostgreSQL would otherwise walk through all persons in their order to tell them apart.
    .prefix_with("MATERIALIZED", dialect="postgresql")
)
# Two persons are enough to know that the identifier is ambiguous, however many carry it.
_two_persons = select(_carriers.c.person_id).distinct().limit(literal_column("2"))
_BY_IDENTIFIER = Prepared(_live_records().where(record.c.person_id.in_(_two_persons)))
_BY_ID = Prepared(
    _live_records()
    .join(person, record.c.person_id == func.coalesce(person.c.survivor_id, person.c.id))
    .where(person.c.id == bindparam("id"))
)


class PatientIndex:
    """The MasterPatientIndex in the database. One statement a question."""

    def __init__(self, engine: Engine, keys: KeyRing) -> None:
        self._engine = engine
        self._keys = keys

    def resolve(self, ref: PatientRef) -> PatientIdentity | None:
        """The one person meant, or None where unknown or ambiguous. Retired ids resolve to the survivor.

        An identifier is any identifier of any of the person's records. Records that their domain has made inactive
        are left out, and a person who has no other is unknown. Raises DependencyUnavailable, also where a sealed
        record has been altered.
        """
        rows = self._find(ref)
        if not rows:
            return None
        found = rows[0][4]
        if any(row[4] != found for row in rows):
            event(Event.IDENTIFIER_AMBIGUOUS, level=logging.WARNING)
            ALERTS.labels(kind="identifier-ambiguous").inc()
            return None
        return PatientIdentity(id=PatientID(found), records=tuple(self._source_record(row) for row in rows))

    def find_carriers(self, ref: PatientRef) -> Sequence[PatientIdentity]:
        """Two persons between whom an identifier does not decide; none where it names one or nobody."""
        persons: dict[str, list[LiveRecord]] = {}
        for row in self._find(ref):
            persons.setdefault(row[4], []).append(row)
        if len(persons) < 2:
            return ()
        return [
            PatientIdentity(id=PatientID(id_), records=tuple(self._source_record(row) for row in rows))
            for id_, rows in persons.items()
        ]

    def find_record_patients(self, patient: PatientIdentity) -> Mapping[int, dict[str, Any]]:
        """The FHIR Patient of each live record of the person, as its domain sent it, by record id."""
        rows = self._find(PatientRef(id=patient.id))
        return {row[0]: open_patient(self._keys, row[1], row[3]) for row in rows}

    def _find(self, ref: PatientRef) -> Sequence[LiveRecord]:
        if ref.identifier is not None:
            statement = _BY_IDENTIFIER
            parameters: dict[str, object] = {"key": identifier_key(self._keys, ref.identifier)}
        elif ref.id is not None and _PERSON_ID.fullmatch(ref.id):
            statement, parameters = _BY_ID, {"id": ref.id}
        else:
            return ()
        with looking(self._engine) as connection:
            return statement.all(connection, **parameters)

    def _source_record(self, row: LiveRecord) -> SourceRecord:
        record_id, source, system, sealed, _, linked_at, updated_at = row
        patient = open_patient(self._keys, source, sealed)
        return SourceRecord(
            record_id=record_id,
            identifier=source_identifier(patient, system),
            demographics=demographics_of(patient),
            linked_at=linked_at,
            updated_at=updated_at,
        )
