"""Tables of the registered clients and of the client assertions that were used."""

from sqlalchemy import Boolean, Column, ForeignKey, String, Table, Text

from gateway.db.base import BlindIndex, Instant, Sealed, metadata

client = Table(
    "auth_client",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("name", Text, nullable=False),
    Column("organization", Text, nullable=False),
    Column("jwks", Text, nullable=True, comment="public JWK Set (JSON); null where it is read from jwks_uri"),
    Column("jwks_uri", Text, nullable=True),
    Column("scope", Text, nullable=False, comment="SMART scopes, separated by spaces"),
    Column("purpose_of_use", Text, nullable=False, comment="v3-ActReason codes, separated by spaces"),
    Column("token_exchange", Boolean, nullable=False),
    Column("facility", String(32), nullable=True, comment="the facility whose identity feed this client is"),
    Column("kind", String(8), nullable=False, server_default="system", comment="system | app"),
    Column("redirect_uris", Text, nullable=True, comment="an app's, one a line"),
    Column("launch_url", Text, nullable=True),
    Column("registered_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("disabled_at", Instant, nullable=True),
)

used_assertion = Table(
    "auth_used_assertion",
    metadata,
    Column("digest", BlindIndex, primary_key=True, comment="keyed hash of iss and jti"),
    Column("expires_at", Instant, nullable=False, index=True),
)

break_glass = Table(
    "break_glass",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("stated_key", BlindIndex, nullable=False, index=True, comment="of client, person, patient and reason"),
    Column("declared_at", Instant, nullable=False),
    Column("until", Instant, nullable=False),
    Column("content", Sealed, nullable=False, comment="who, for whom and why"),
)
"""A break-glass declaration, never changed and never removed."""

patient_notice = Table(
    "patient_notice",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("declaration_id", String(36), ForeignKey("break_glass.id"), nullable=False, index=True),
    Column("patient_key", BlindIndex, nullable=False, index=True, comment="of the patient's id"),
    Column("queued_at", Instant, nullable=False),
    Column("delivered_at", Instant, nullable=True),
    Column("delivered_by", Sealed, nullable=True),
)
"""What a patient is to be told of a break-glass, and whether somebody has."""
