"""The tables of the audit: records and the log over them. Rows are added, and never changed or taken away.

The databases refuse it too, by triggers (migrations 0009 and 0012). A record older than the retention may go; its
leaf stays.
"""

from sqlalchemy import Column, Index, Integer, LargeBinary, String, Table, Text

from gateway.db.base import BlindIndex, Instant, RowID, Sealed, metadata

Hash = LargeBinary(32)
"""A SHA-256."""

audit_record = Table(
    "audit_record",
    metadata,
    Column("seq", RowID, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("recorded_at", Instant, nullable=False, index=True),
    Column("kind", String(32), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("patient_key", BlindIndex, nullable=True),
    Column("sealed", Sealed, nullable=False),
    Index(None, "patient_key", "seq"),
    sqlite_autoincrement=True,
)
"""`sealed` holds the record's canonical bytes, bound to `id`. In clear are only when, what kind and how it ended."""

audit_unlogged = Table("audit_unlogged", metadata, Column("seq", RowID, primary_key=True, autoincrement=False))
"""Records that have no place in the log yet: a trigger notes each with the record, and it goes as its leaf comes."""

audit_leaf = Table(
    "audit_leaf",
    metadata,
    Column("log_index", RowID, primary_key=True, autoincrement=False),
    Column("seq", RowID, nullable=False, unique=True),
    Column("hash", Hash, nullable=False),
)
"""The log: the hash of each record's entry (`gateway/audit/entry.py`), in an order that is fixed once."""

audit_node = Table(
    "audit_node",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("place", RowID, primary_key=True, autoincrement=False),
    Column("hash", Hash, nullable=False),
)
"""Perfect subtrees of 256 leaves, of 256 of those, and so on: any root or proof needs a few hundred rows at most."""

audit_checkpoint = Table(
    "audit_checkpoint",
    metadata,
    Column("size", RowID, primary_key=True, autoincrement=False),
    Column("root", Hash, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("note", Text, nullable=False),
)
"""Signed checkpoints (C2SP tlog-checkpoint), as they were made."""

audit_delivery = Table(
    "audit_delivery",
    metadata,
    Column("destination", String(512), primary_key=True),
    Column("size", RowID, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("next_try_at", Instant, nullable=False),
)
"""How far each place outside has the checkpoints, and when it is tried next."""

audit_retention = Table(
    "audit_retention",
    metadata,
    Column("up_to", RowID, primary_key=True, autoincrement=False),
    Column("pruned_at", Instant, nullable=False),
)
"""Records below the log index `up_to` may be taken away, and those of an earlier row have been."""
