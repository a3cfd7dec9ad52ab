"""Tables of the facilities: how each is asked, and what was seen where and since when.

In clear are only facility ids, surrogate ids and times. A facility's whole registration is sealed, since it holds
passwords; Study Instance UIDs are keyed hashes, and so is what tells an unchanged study.
"""

from sqlalchemy import Boolean, Column, Integer, LargeBinary, String, Table

from gateway.db.base import BlindIndex, Instant, RowID, Sealed, metadata

facility = Table(
    "facility",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("content", Sealed, nullable=False, comment="the registration as JSON, bound to id"),
    Column("content_key", BlindIndex, nullable=False, comment="tells an unchanged registration"),
    Column("suspended", Boolean, nullable=False),
    Column("updated_at", Instant, nullable=False),
)
"""A member of the exchange."""

facility_revision = Table(
    "facility_revision",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("revision", Integer, nullable=False),
)
"""One row that counts the changes of `facility`, so that a process can tell cheaply whether to read it anew."""

sighting = Table(
    "sighting",
    metadata,
    Column("record_id", RowID, primary_key=True, autoincrement=False),
    Column("facility_id", String(32), primary_key=True),
    Column("study_key", BlindIndex, primary_key=True, index=True, comment="of the Study Instance UID"),
    Column("person_id", String(36), nullable=False),
    Column("study_id", BlindIndex, nullable=False, index=True, comment="the id of the FHIR ImagingStudy"),
    Column("content_key", BlindIndex, nullable=False, comment="tells an unchanged study"),
    Column("with_series", Boolean, nullable=False, comment="whether content_key is of the study with its series"),
    Column("first_seen", Instant, nullable=False, comment="as it now is"),
    Column("series_key", BlindIndex, nullable=True, comment="of its series' UIDs; null where they were never told"),
)
"""A study that a facility has shown for one of its records."""

last_answer = Table(
    "last_answer",
    metadata,
    Column("record_id", RowID, primary_key=True, autoincrement=False),
    Column("facility_id", String(32), primary_key=True),
    Column("answer_key", LargeBinary, nullable=False, comment="of all that it told; empty while that changes"),
    Column("seen", LargeBinary, nullable=False, comment="first_seen and study_id of each study, by UID"),
)
"""What a facility told last of one of its records (`gateway/adapters/last_answers.py`)."""
