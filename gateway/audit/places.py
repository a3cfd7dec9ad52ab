"""Where does each record stand in the audit, and what is it? Look-ups that cost the same however long the audit is."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Engine, select, tuple_

from gateway.audit.canonical import UnreadableRecord, from_canonical
from gateway.audit.log import AuditRecordBroken
from gateway.audit.record import AuditRecord
from gateway.audit.tables import audit_record
from gateway.db.crypto import KeyRing, SealBroken
from gateway.db.session import in_parts, reading


class Place(NamedTuple):
    """Where a record stands in the order of time; of two at one moment, the one stored first comes first."""

    recorded_at: datetime
    seq: int


class Span(NamedTuple):
    """Places in the order they are wanted in: after `after`, recorded in `[since, until)`."""

    descends: bool = True
    after: Place | None = None
    since: datetime | None = None
    until: datetime | None = None


class Records:
    """The stored records by place, by number and by id."""

    def __init__(self, engine: Engine, keys: KeyRing) -> None:
        self._engine = engine
        self._keys = keys

    def places(self, span: Span, limit: int) -> Sequence[Place]:
        """Up to `limit` places of the span, in its order. Raises DependencyUnavailable."""
        columns = audit_record.c
        statement = select(columns.recorded_at, columns.seq).where(*bounds(columns.recorded_at, columns.seq, span))
        ordered = statement.order_by(*in_order(columns.recorded_at, columns.seq, span)).limit(limit)
        with reading(self._engine) as connection:
            return [Place(*row) for row in connection.execute(ordered)]

    def stored_after(self, seq: int, limit: int) -> Sequence[tuple[Place, AuditRecord]]:
        """Up to `limit` records that were stored after that one, in the order of storing.

        Raises AuditRecordBroken, DependencyUnavailable.
        """
        columns = audit_record.c
        statement = select(columns.recorded_at, columns.seq, columns.id, columns.sealed).where(columns.seq > seq)
        with reading(self._engine) as connection:
            rows = connection.execute(statement.order_by(columns.seq).limit(limit)).all()
        return [(Place(at, number), self._opened(number, id_, sealed)) for at, number, id_, sealed in rows]

    def numbers_after(self, seq: int, limit: int) -> Sequence[Place]:
        """As `stored_after`, where they stand alone."""
        columns = audit_record.c
        statement = select(columns.recorded_at, columns.seq).where(columns.seq > seq)
        with reading(self._engine) as connection:
            return [Place(*row) for row in connection.execute(statement.order_by(columns.seq).limit(limit))]

    def read(self, numbers: Sequence[int]) -> Mapping[int, AuditRecord]:
        """The records with these numbers; those that are gone by now are not in it. Raises as `stored_after`."""
        columns = audit_record.c
        found: dict[int, tuple[str, bytes]] = {}
        with reading(self._engine) as connection:
            for part in in_parts(numbers):
                statement = select(columns.seq, columns.id, columns.sealed).where(columns.seq.in_(part))
                found |= {seq: (id_, sealed) for seq, id_, sealed in connection.execute(statement)}
        return {seq: self._opened(seq, id_, sealed) for seq, (id_, sealed) in found.items()}

    def find(self, record_id: str) -> AuditRecord | None:
        """The record of that id. Raises as `stored_after`."""
        columns = audit_record.c
        statement = select(columns.seq, columns.id, columns.sealed).where(columns.id == record_id)
        with reading(self._engine) as connection:
            row = connection.execute(statement).one_or_none()
        return self._opened(*row) if row else None

    def _opened(self, seq: int, record_id: str, sealed: bytes) -> AuditRecord:
        try:
            record = from_canonical(self._keys.open(audit_record.name, record_id, sealed))
        except (SealBroken, UnreadableRecord) as exc:
            raise AuditRecordBroken(seq) from exc
        if record.id != record_id:
            raise AuditRecordBroken(seq)
        return record


def bounds(recorded_at: ColumnElement[datetime], seq: ColumnElement[int], span: Span) -> list[ColumnElement[bool]]:
    """What a place in `span` fulfils."""
    found: list[ColumnElement[bool]] = []
    if span.since is not None:
        found.append(recorded_at >= span.since)
    if span.until is not None:
        found.append(recorded_at < span.until)
    if span.after is not None:
        # The first column by itself too: an index on it alone then begins at the right place.
        at, number = span.after
        here = tuple_(recorded_at, seq)
        there = tuple_(at, number, types=[recorded_at.type, seq.type])
        found += [recorded_at <= at, here < there] if span.descends else [recorded_at >= at, here > there]
    return found


def in_order(
    recorded_at: ColumnElement[datetime], seq: ColumnElement[int], span: Span
) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """The order of `span`."""
    if span.descends:
        return recorded_at.desc(), seq.desc()
    return recorded_at.asc(), seq.asc()
