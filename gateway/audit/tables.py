"""The one table of the audit: rows are added, and never changed or taken away."""

from sqlalchemy import Column, Index, String, Table

from gateway.db.base import BlindIndex, Instant, RowID, Sealed, metadata

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
