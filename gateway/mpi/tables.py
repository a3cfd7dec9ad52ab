"""Tables of the patient index: persons, the source records linked to them, and the history of every link.

In clear are only surrogate ids, times, the URIs of identifier systems and our own words. Every identifier value is a
keyed hash, every name and date is inside the sealed Patient.
"""

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, SmallInteger, String, Table, Text

from gateway.db.base import BlindIndex, Instant, RowID, Sealed, metadata

person = Table(
    "mpi_person",
    metadata,
    Column("id", String(36), primary_key=True, comment="a random UUID: the id of the FHIR Patient"),
    Column("created_at", Instant, nullable=False),
    Column("survivor_id", String(36), ForeignKey("mpi_person.id"), nullable=True, index=True),
    Column("merged_into_id", String(36), ForeignKey("mpi_person.id"), nullable=True, index=True),
    Column("retired_at", Instant, nullable=True),
)
"""A person. A retired one names its living survivor directly: survivors of survivors are rewritten at once.

`merged_into_id` is the person it was merged into itself, so that those merged into it come back with it."""

record = Table(
    "mpi_record",
    metadata,
    Column("record_id", RowID, primary_key=True, autoincrement=True),
    Column("identifier_key", BlindIndex, nullable=False, unique=True, comment="of the source identifier"),
    Column("system", Text, nullable=False, comment="the domain: a facility's identifier_system"),
    Column("content", Sealed, nullable=False, comment="the Patient as its domain sent it, canonical JSON"),
    Column("content_key", BlindIndex, nullable=False, comment="tells an unchanged Patient"),
    Column("person_id", String(36), ForeignKey("mpi_person.id"), nullable=False, index=True),
    Column("linked_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("comparable", Sealed, nullable=True, comment="the Patient as matching compares it; null where it never was"),
    Column("search_keys", SmallInteger, nullable=True, comment="version of its keys in mpi_search_key, or none"),
    sqlite_autoincrement=True,
)
"""One domain's record of a patient, `content` and `comparable` bound to `identifier_key`."""

Index(
    "ix_mpi_record_unsearchable",
    record.c.record_id,
    sqlite_where=record.c.search_keys.is_(None),
    postgresql_where=record.c.search_keys.is_(None),
)

search_key = Table(
    "mpi_search_key",
    metadata,
    Column("key", BigInteger, primary_key=True, autoincrement=False, comment="64 bits of a keyed hash"),
    Column("record_id", RowID, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
"""Under which keys a record is looked for by description (IHE PDQm). Records are never deleted, so nothing refers."""

record_identifier = Table(
    "mpi_record_identifier",
    metadata,
    Column("record_id", RowID, ForeignKey("mpi_record.record_id"), primary_key=True, autoincrement=False),
    Column("identifier_key", BlindIndex, primary_key=True),
    Index(None, "identifier_key", "record_id"),
)
"""Every identifier of every record, for finding a person by any of them."""

link_event = Table(
    "mpi_link_event",
    metadata,
    Column("id", RowID, primary_key=True, autoincrement=True),
    Column("record_id", RowID, ForeignKey("mpi_record.record_id"), nullable=False, index=True),
    Column("person_id", String(36), ForeignKey("mpi_person.id"), nullable=False, index=True),
    Column("previous_person_id", String(36), ForeignKey("mpi_person.id"), nullable=True, index=True),
    Column("action", String(16), nullable=False),
    Column("reason", Text, nullable=False, comment="JSON: the rule, the system, the records it rests on"),
    Column("algorithm", String(64), nullable=False),
    Column("score", Float, nullable=True),
    Column("who", Text, nullable=False),
    Column("at", Instant, nullable=False),
    sqlite_autoincrement=True,
)
"""Append-only: a record's last event names the person it is linked to, and each event the person it came from."""

conflict = Table(
    "mpi_conflict",
    metadata,
    Column("id", RowID, primary_key=True, autoincrement=True),
    Column("identifier_key", BlindIndex, nullable=False, unique=True),
    Column("system", Text, nullable=False),
    Column("reason", String(32), nullable=False),
    Column("persons", Integer, nullable=False, comment="how many persons share the identifier"),
    Column("noticed_at", Instant, nullable=False),
    Column("closed_at", Instant, nullable=True, comment="null while the conflict stands"),
    sqlite_autoincrement=True,
)
"""A strong identifier whose records are kept apart: somebody should look. One row an identifier."""

block_key = Table(
    "mpi_block_key",
    metadata,
    Column("key", BigInteger, primary_key=True, autoincrement=False, comment="64 bits of a keyed hash"),
    Column("record_id", RowID, ForeignKey("mpi_record.record_id"), primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
"""Under which keys a record is looked for as a candidate. Two keys that happen to share 64 bits cost a comparison."""

hot_key = Table(
    "mpi_hot_key",
    metadata,
    Column("key", BigInteger, primary_key=True, autoincrement=False),
)
"""Blocking keys that so many records have that looking under them says nothing."""

match = Table(
    "mpi_match",
    metadata,
    Column("record_id", RowID, ForeignKey("mpi_record.record_id"), primary_key=True, autoincrement=False),
    Column("other_id", RowID, ForeignKey("mpi_record.record_id"), primary_key=True, autoincrement=False, index=True),
    Column("score", Float, nullable=False, comment="the match weight in bits"),
    Column("algorithm", String(64), nullable=False),
    Column("at", Instant, nullable=False),
)
"""Two records that matching has linked; `record_id` is the smaller."""

decision = Table(
    "mpi_decision",
    metadata,
    Column("id", RowID, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    Column("note", Sealed, nullable=True, comment="the steward's reason, bound to the id"),
    Column("who", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("undone_at", Instant, nullable=True),
    Column("undone_by", Text, nullable=True),
    sqlite_autoincrement=True,
)
"""What a steward has decided. Never removed: one that is undone says nothing any more."""

verdict = Table(
    "mpi_verdict",
    metadata,
    Column("decision_id", RowID, ForeignKey("mpi_decision.id"), primary_key=True, autoincrement=False),
    Column("record_id", RowID, ForeignKey("mpi_record.record_id"), primary_key=True, autoincrement=False, index=True),
    Column("other_id", RowID, ForeignKey("mpi_record.record_id"), primary_key=True, autoincrement=False, index=True),
    Column("same", Boolean, nullable=False),
)
"""What a decision says of two records: one person's, or two persons'. Of several that stand, the latest counts."""

review_task = Table(
    "mpi_review_task",
    metadata,
    Column("id", RowID, primary_key=True, autoincrement=True),
    Column("record_id", RowID, ForeignKey("mpi_record.record_id"), nullable=False, index=True),
    Column("other_id", RowID, ForeignKey("mpi_record.record_id"), nullable=False, index=True),
    Column("kind", String(24), nullable=False),
    Column("score", Float, nullable=False),
    Column("guards", Text, nullable=False, comment="why it wasn't linked by itself, in our own words"),
    Column("algorithm", String(64), nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("decision_id", RowID, ForeignKey("mpi_decision.id"), nullable=True, index=True),
    sqlite_autoincrement=True,
)
"""Two records of which a steward has to say whether they are one person's. Open while no standing decision is named."""
