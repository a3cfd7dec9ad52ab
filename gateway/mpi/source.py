"""What does a domain's own record say, whoever it belongs to? One record, by the identifier it is known by."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, bindparam, select

from gateway.db.crypto import KeyRing
from gateway.db.session import reading
from gateway.model import Identifier, PatientID, SourceRecord
from gateway.mpi.demographics import demographics_of
from gateway.mpi.sealed import open_patient, source_key
from gateway.mpi.tables import record

_BY_KEY = select(
    *(record.c.record_id, record.c.person_id, record.c.content, record.c.active),
    *(record.c.linked_at, record.c.updated_at),
).where(record.c.identifier_key == bindparam("key"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source record, active or not, with the person it belongs to."""

    person: PatientID
    active: bool
    patient: Mapping[str, Any]
    """The FHIR Patient as its domain sent it."""
    record_id: int
    identifier: Identifier
    linked_at: datetime
    updated_at: datetime

    @property
    def record(self) -> SourceRecord:
        """As queries see it."""
        return SourceRecord(
            record_id=self.record_id,
            identifier=self.identifier,
            demographics=demographics_of(self.patient),
            linked_at=self.linked_at,
            updated_at=self.updated_at,
        )


class SourceRecords:
    """Every domain's records, each by its own identifier."""

    def __init__(self, engine: Engine, keys: KeyRing) -> None:
        self._engine = engine
        self._keys = keys

    def find(self, identifier: Identifier) -> Source | None:
        """The record that its domain knows by `identifier`, None where there is none. Raises DependencyUnavailable."""
        key = source_key(self._keys, identifier)
        with reading(self._engine) as connection:
            row = connection.execute(_BY_KEY, {"key": key}).one_or_none()
        if row is None:
            return None
        return Source(
            person=PatientID(row.person_id),
            active=row.active,
            patient=open_patient(self._keys, key, row.content),
            record_id=row.record_id,
            identifier=identifier,
            linked_at=row.linked_at,
            updated_at=row.updated_at,
        )
