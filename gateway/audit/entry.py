"""What a leaf of the log says of a record: what anyone may see, and a commitment to the rest.

The commitment is the SHA-256 of the record's canonical bytes, which hold a random salt (`gateway/audit/canonical.py`).
Who has the bytes can show that they are the ones that were logged; who has not learns nothing from it. How the record
is sealed, and whether it is still there, makes no difference.
"""

from datetime import timedelta
from hashlib import sha256
from typing import Any, NamedTuple

import orjson
from sqlalchemy import BigInteger, ColumnElement, type_coerce

from gateway.audit.merkle import leaf_hash
from gateway.audit.tables import audit_record
from gateway.db.base import EPOCH
from gateway.db.crypto import KeyRing, SealBroken


class StoredRecord(NamedTuple):
    """A row of `audit_record`, as it is found: whoever changed it may have put in anything. All None where gone."""

    seq: int
    id: object
    recorded_us: object
    kind: object
    outcome: object
    sealed: object


RECORD_COLUMNS: tuple[ColumnElement[Any], ...] = (
    audit_record.c.id,
    type_coerce(audit_record.c.recorded_at, BigInteger),
    audit_record.c.kind,
    audit_record.c.outcome,
    audit_record.c.sealed,
)
"""What a StoredRecord holds behind `seq`."""


def plain_of(record: StoredRecord, keys: KeyRing) -> bytes | None:
    """The record's canonical bytes; None where it is gone or can't be opened."""
    if not isinstance(record.id, str) or not isinstance(record.sealed, bytes):
        return None
    try:
        return keys.open(audit_record.name, record.id, record.sealed)
    except SealBroken:
        return None


def entry_of(record: StoredRecord, plain: bytes | None) -> bytes:
    """The leaf's bytes (RFC 8785): when, which, what kind and how it ended, as the row says, and the commitment.

    A record that can't be opened has no commitment, which no check of the log lets pass.
    """
    return orjson.dumps(
        {
            "commitment": sha256(plain).hexdigest() if plain is not None else None,
            "id": _text(record.id),
            "kind": _text(record.kind),
            "outcome": _text(record.outcome),
            "recorded": _time(record.recorded_us),
        },
        option=orjson.OPT_SORT_KEYS,
    )


def _text(value: object) -> str | None:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else None


def _time(microseconds: object) -> str | None:
    if not isinstance(microseconds, int):
        return None
    try:
        return (EPOCH + timedelta(microseconds=microseconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except OverflowError:
        return None


def leaf_of(record: StoredRecord, keys: KeyRing) -> bytes:
    """The hash that the log holds for the record."""
    return leaf_hash(entry_of(record, plain_of(record, keys)))
