"""Tables of the registered clients and of the client assertions that were used."""

from sqlalchemy import Boolean, Column, String, Table, Text

from gateway.db.base import BlindIndex, Instant, metadata

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
