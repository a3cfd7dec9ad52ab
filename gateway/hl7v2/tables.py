"""Table of the HL7 v2 feed: how far each patient's messages have come."""

from sqlalchemy import Column, Table

from gateway.db.base import BlindIndex, Instant, metadata

patient_order = Table(
    "hl7v2_patient_order",
    metadata,
    Column("patient_key", BlindIndex, primary_key=True, comment="keyed hash of the patient's identifier"),
    Column("event_at", Instant, nullable=False, comment="when the latest event was recorded where it happened"),
)
"""The latest event that was taken in of each patient: an older one that comes later is not."""
