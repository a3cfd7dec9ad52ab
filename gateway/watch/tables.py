"""Tables of what follows from the audit: how far each follower has come, what events are looked for by, notices."""

from sqlalchemy import Column, Index, Integer, String, Table

from gateway.db.base import BlindIndex, Instant, RowID, Sealed, metadata

follower = Table(
    "audit_follower",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("position", RowID, nullable=False, comment="the seq of the last record that it has dealt with"),
    Column("holder", String(64), nullable=True, comment="which process follows now"),
    Column("held_until", Instant, nullable=True),
)
"""Who follows the audit, how far each has come, and which process does it: one at a time."""

term = Table(
    "audit_term",
    metadata,
    Column("key", BlindIndex, primary_key=True),
    Column("recorded_at", Instant, primary_key=True),
    Column("seq", RowID, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
"""In which records something is named: a patient, an agent, a resource, a rare code; each as a keyed hash.

It is made from the records by a follower (`watch/term_index.py`); triggers keep what is in it as long as its record is
there (migration 0012). The owner of the table, who drops them, can have it made again from the records.
"""

notice = Table(
    "audit_notice",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("kind", String(64), nullable=False),
    Column("made_at", Instant, nullable=False, index=True),
    Column("sealed", Sealed, nullable=False),
)
"""What somebody is to be told: an alert, or that something was released under a false link."""

delivery = Table(
    "audit_notice_delivery",
    metadata,
    Column("notice_id", String(36), primary_key=True),
    Column("channel", String(16), primary_key=True),
    Column("attempts", Integer, nullable=False),
    Column("next_try_at", Instant, nullable=False),
    Column("delivered_at", Instant, nullable=True),
)
"""By which ways each notice goes out, and whether it has."""

Index(
    "ix_audit_notice_delivery_waiting",
    delivery.c.next_try_at,
    sqlite_where=delivery.c.delivered_at.is_(None),
    postgresql_where=delivery.c.delivered_at.is_(None),
)
