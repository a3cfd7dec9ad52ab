"""Tables of consents: which version of each is the current one, every version there ever was, and groups of callers.

In clear are only persons' surrogate ids, numbers and times. A Consent's id is chosen by whoever feeds it, so it is kept
as a keyed hash too.
"""

from sqlalchemy import Column, ForeignKey, Integer, String, Table

from gateway.db.base import BlindIndex, Instant, Sealed, metadata

consent = Table(
    "consent",
    metadata,
    Column("key", BlindIndex, primary_key=True, comment="of the Consent's id"),
    Column("person_id", String(36), nullable=False, index=True, comment="the person it was filed for"),
    Column(
        "identifier_key", BlindIndex, nullable=True, index=True, comment="of the identifier it names its patient by"
    ),
    Column("version", Integer, nullable=False, comment="the current one"),
)
"""One Consent. A person that is later retired stays named here, so that an unmerge gives each its own back.

`identifier_key` is null where the patient is named by `Patient/{id}` alone; whose a Consent is, `belonging` says."""

consent_version = Table(
    "consent_version",
    metadata,
    Column("key", BlindIndex, ForeignKey("consent.key"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("person_id", String(36), nullable=False, comment="the person this version was filed for"),
    Column("recorded_at", Instant, nullable=False),
    Column("content", Sealed, nullable=False, comment="the Consent as filed, and what it called facilities"),
)
"""One version, never changed and never removed; `content` is bound to `key` and `version`."""

consent_group = Table(
    "consent_group",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("content", Sealed, nullable=False, comment="its names and members as JSON, bound to id"),
)
"""Organisations and users that a Consent may name as a whole: `Group/{id}`."""
