"""The audit log in the database: records are added durably and read in order, and nothing else can be done with it."""

import logging
import os
import time
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from types import TracebackType

from sqlalchemy import Connection, Engine, select

from gateway.audit.canonical import UnreadableRecord, from_canonical, to_canonical
from gateway.audit.group_commit import GroupCommit, Row
from gateway.audit.record import AuditRecord
from gateway.audit.tables import audit_record
from gateway.db.crypto import KeyRing, SealBroken
from gateway.db.lookup import looking, storing
from gateway.db.prepared import PreparedInsert
from gateway.db.session import reading
from gateway.errors import AuditUnavailable, DependencyUnavailable
from gateway.log import Event, event
from gateway.metrics import AUDIT_RECORDS, AUDIT_SECONDS

_PAGE = 500
_ROWS_A_STATEMENT = 8
_SALT_BYTES = 16
_ADD = PreparedInsert(audit_record, "id", "recorded_at", "kind", "outcome", "patient_key", "sealed")


class AuditRecordBroken(AuditUnavailable):
    """A stored record can't be opened: it was altered or moved, or its key is gone. `seq` says which one."""

    code = "audit-broken"

    def __init__(self, seq: int) -> None:
        super().__init__(f"audit record {seq} has been altered, or its key is gone")
        self.seq = seq


class StoredAuditLog:
    """The AuditLog of a deployment."""

    def __init__(self, engine: Engine, keys: KeyRing) -> None:
        self._engine = engine
        self._keys = keys
        self._writer = GroupCommit(self._insert)

    def record(self, records: Sequence[AuditRecord]) -> None:
        """All of `records` are stored durably when this returns, or none is. Raises AuditUnavailable otherwise."""
        if not records:
            return
        started = time.monotonic()
        try:
            self._writer.submit([self._row(record) for record in records])
        except AuditUnavailable as exc:
            AUDIT_RECORDS.labels(outcome="failed").inc(len(records))
            event(Event.AUDIT_UNAVAILABLE, level=logging.ERROR, reason=exc.reason, count=len(records))
            raise
        AUDIT_RECORDS.labels(outcome="stored").inc(len(records))
        AUDIT_SECONDS.observe(time.monotonic() - started)

    def record_within(self, connection: Connection, records: Sequence[AuditRecord]) -> None:
        """As `AuditWithin` says: `records` are stored with what the transaction of `connection` does, or not at all."""
        try:
            _ADD.run(connection, [tuple(self._row(record).values()) for record in records])
        except DependencyUnavailable as exc:
            AUDIT_RECORDS.labels(outcome="failed").inc(len(records))
            event(Event.AUDIT_UNAVAILABLE, level=logging.ERROR, reason=exc.reason, count=len(records))
            raise AuditUnavailable("the audit store can't be written") from exc
        AUDIT_RECORDS.labels(outcome="stored").inc(len(records))

    def read(
        self,
        *,
        patients: Collection[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[AuditRecord]:
        """The records in the order they were stored: of one person, and recorded in `[since, until)`, where asked.

        `patients` are the ids by which the one person is or was known.
        Raises AuditRecordBroken at a record that can't be opened, and DependencyUnavailable.
        """
        wanted = None if patients is None else [self._blind(patient) for patient in patients]
        after, left = 0, limit
        while left is None or left > 0:
            rows = self._find_rows(after, wanted, since, until, _PAGE if left is None else min(_PAGE, left))
            for seq, record_id, sealed in rows:
                yield self._opened(seq, record_id, sealed)
            if not rows:
                return
            after = rows[-1][0]
            left = None if left is None else left - len(rows)

    def patient_key(self, patient: str | None) -> bytes | None:
        """What a record about that patient is found by."""
        return None if patient is None else self._blind(patient)

    def close(self) -> None:
        """What was being stored is stored or has failed; further records are refused."""
        self._writer.close()

    def __enter__(self) -> "StoredAuditLog":
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _row(self, record: AuditRecord) -> Row:
        return {
            "id": record.id,
            "recorded_at": record.recorded,
            "kind": record.kind,
            "outcome": record.outcome,
            "patient_key": self.patient_key(record.patient),
            "sealed": self._keys.seal(
                audit_record.name, record.id, to_canonical(record, salt=os.urandom(_SALT_BYTES).hex())
            ),
        }

    def _blind(self, patient: str) -> bytes:
        return self._keys.blind("audit.patient", patient)

    def _insert(self, rows: Sequence[Row]) -> None:
        # As many as one statement takes need no transaction around it.
        with (looking if len(rows) <= _ROWS_A_STATEMENT else storing)(self._engine) as session:
            values = [tuple(row.values()) for row in rows]
            for start in range(0, len(values), _ROWS_A_STATEMENT):
                _ADD.run(session, values[start : start + _ROWS_A_STATEMENT])

    def _find_rows(
        self, after: int, wanted: list[bytes] | None, since: datetime | None, until: datetime | None, limit: int
    ) -> Sequence[tuple[int, str, bytes]]:
        columns = audit_record.c
        statement = select(columns.seq, columns.id, columns.sealed).where(columns.seq > after)
        if wanted is not None:
            statement = statement.where(columns.patient_key.in_(wanted))
        if since is not None:
            statement = statement.where(columns.recorded_at >= since)
        if until is not None:
            statement = statement.where(columns.recorded_at < until)
        with reading(self._engine) as connection:
            return [tuple(row) for row in connection.execute(statement.order_by(columns.seq).limit(limit))]

    def _opened(self, seq: int, record_id: str, sealed: bytes) -> AuditRecord:
        try:
            record = from_canonical(self._keys.open(audit_record.name, record_id, sealed))
        except (SealBroken, UnreadableRecord) as exc:
            raise AuditRecordBroken(seq) from exc
        if record.id != record_id:
            raise AuditRecordBroken(seq)
        return record


def open_audit_log(engine: Engine, keys: KeyRing) -> StoredAuditLog:
    """The audit log in `engine`. Nothing is started until the first record; close it when the process ends."""
    return StoredAuditLog(engine, keys)
