"""The log as an auditor takes it away: NDJSON that `deploy/verify_audit.py` checks without the gateway.

Each line is one leaf: its `index`, its hash (`leaf`), the `entry` that it hashes, and the `record` behind that, where
it is to be shown whole. Entry and record are strings that hold exactly the bytes that were hashed. Both are missing
where the record is gone. The records of `audit prune` are always shown: they say that it had to go.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Engine, LargeBinary, select, type_coerce

from gateway.audit.canonical import UnreadableRecord, from_canonical
from gateway.audit.entry import RECORD_COLUMNS, StoredRecord, entry_of, plain_of
from gateway.audit.record import AuditRecord
from gateway.audit.retention import PRUNING
from gateway.audit.tables import audit_leaf, audit_record
from gateway.db.crypto import KeyRing
from gateway.db.session import reading

Shown = Callable[[AuditRecord], bool]
"""Which records are shown whole."""
Filed = Callable[[int, AuditRecord, object], None]
"""Is told of each record that can be read: its index, itself, and the patient's key that its row has."""
_PAGE = 500
_COLUMNS = (audit_leaf.c.log_index, audit_leaf.c.hash, audit_leaf.c.seq, *RECORD_COLUMNS)


class Logged(NamedTuple):
    """A record's place in the log and its entry there."""

    log_index: int
    entry: bytes


def log_lines(engine: Engine, keys: KeyRing, shown: Shown, filed: Filed | None = None) -> Iterator[bytes]:
    """The whole log, a line each. What was altered is told as it is: finding that out is the verifier's part.

    Raises DependencyUnavailable.
    """
    after = -1
    while page := _page(engine, after):
        for *row, patient_key in page:
            stored = StoredRecord(*row[2:])
            plain = None if stored.id is None else plain_of(stored, keys)
            record = None if plain is None else _read(plain)
            if record is not None and filed is not None:
                filed(row[0], record, patient_key)
            whole = record is not None and (shown(record) or _tells_pruning(record))
            yield _line(row[0], row[1], stored, plain, whole=whole)
        after = page[-1][0]


def find_logged(engine: Engine, keys: KeyRing, record_id: str) -> Logged | None:
    """Where the record of that id is in the log; None where there is none. Raises DependencyUnavailable."""
    statement = select(*_COLUMNS).join_from(audit_record, audit_leaf, audit_record.c.seq == audit_leaf.c.seq)
    with reading(engine) as connection:
        row = connection.execute(statement.where(audit_record.c.id == record_id)).one_or_none()
    if row is None:
        return None
    stored = StoredRecord(*tuple(row)[2:])
    return Logged(int(row[0]), entry_of(stored, plain_of(stored, keys)))


def _page(engine: Engine, after: int) -> Sequence[Sequence[Any]]:
    statement = (
        select(*_COLUMNS, type_coerce(audit_record.c.patient_key, LargeBinary))
        .select_from(audit_leaf.outerjoin(audit_record, audit_record.c.seq == audit_leaf.c.seq))
        .where(audit_leaf.c.log_index > after)
        .order_by(audit_leaf.c.log_index)
        .limit(_PAGE)
    )
    with reading(engine) as connection:
        return [tuple(row) for row in connection.execute(statement)]


def _line(index: int, leaf: object, stored: StoredRecord, plain: bytes | None, *, whole: bool) -> bytes:
    line = {"index": index, "leaf": leaf.hex() if isinstance(leaf, bytes) else ""}
    if stored.id is not None:
        line["entry"] = entry_of(stored, plain).decode()
        if plain is not None and whole:
            line["record"] = plain.decode()
    return orjson.dumps(line) + b"\n"


def _read(plain: bytes) -> AuditRecord | None:
    try:
        return from_canonical(plain)
    except UnreadableRecord:
        return None


def _tells_pruning(record: AuditRecord) -> bool:
    return record.kind == "operator" and record.reason == PRUNING
