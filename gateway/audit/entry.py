"""What a leaf of the log says of a record: what anyone may see, and a commitment to the rest.

The commitment is the SHA-256 of the record's canonical bytes, which hold a random salt (`gateway/audit/canonical.py`).
Who has the bytes can show that they are the ones that were logged; who has not learns nothing from it. How the record
is sealed, and whether it is still there, makes no difference.
"""

from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple

import orjson

from gateway.audit.merkle import leaf_hash
from gateway.audit.tables import audit_record
from gateway.db.crypto import KeyRing, SealBroken


class StoredRecord(NamedTuple):
    """A row of `audit_record`; without an id where the row is gone."""

    seq: int
    id: str | None
    recorded_at: datetime | None
    kind: str | None
    outcome: str | None
    sealed: bytes | None


def plain_of(record: StoredRecord, keys: KeyRing) -> bytes | None:
    """The record's canonical bytes; None where it is gone or can't be opened."""
    if record.id is None or record.sealed is None:
        return None
    try:
        return keys.open(audit_record.name, record.id, record.sealed)
    except SealBroken:
        return None


def entry_of(record: StoredRecord, plain: bytes | None) -> bytes:
    """The leaf's bytes (RFC 8785): when, which, what kind and how it ended, as the row says, and the commitment.

    A record that can't be opened has no commitment, which no check of the log lets pass.
    """
    recorded = record.recorded_at
    return orjson.dumps(
        {
            "commitment": sha256(plain).hexdigest() if plain is not None else None,
            "id": record.id,
            "kind": record.kind,
            "outcome": record.outcome,
            "recorded": recorded.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if recorded else None,
        },
        option=orjson.OPT_SORT_KEYS,
    )


def leaf_of(record: StoredRecord, keys: KeyRing) -> bytes:
    """The hash that the log holds for the record."""
    return leaf_hash(entry_of(record, plain_of(record, keys)))
