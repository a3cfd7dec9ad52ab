"""The keys by which facilities, and the gates before them, prove who they are to the gateway."""

from sqlalchemy import Column, String, Table

from gateway.db.base import BlindIndex, Instant, metadata

facility_key = Table(
    "facility_key",
    metadata,
    Column("digest", BlindIndex, primary_key=True, comment="keyed hash of the key"),
    Column("facility_id", String(32), nullable=False, index=True),
    Column("made_at", Instant, nullable=False),
    Column("until", Instant, nullable=True, comment="exclusive; null for the facility's newest key"),
)
"""A key itself is stored nowhere: it is shown once, as it is made."""
