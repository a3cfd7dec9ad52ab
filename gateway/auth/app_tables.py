"""Tables of what people let apps do: grants, the codes and refresh tokens that rest on them, and what was revoked."""

from sqlalchemy import Column, ForeignKey, String, Table

from gateway.db.base import BlindIndex, Instant, Sealed, metadata

app_grant = Table(
    "app_grant",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("client_id", String(128), nullable=False, index=True),
    Column("account_key", BlindIndex, nullable=False, index=True, comment="of the account's id"),
    Column("content", Sealed, nullable=False, comment="who let which app do what, as whom, for which patient"),
    Column("granted_at", Instant, nullable=False),
    Column("until", Instant, nullable=False, index=True),
    Column("revoked_at", Instant, nullable=True),
)
"""What one person let one app do; every token that comes of it ends with it."""

authorization_code = Table(
    "authorization_code",
    metadata,
    Column("digest", BlindIndex, primary_key=True, comment="keyed hash of the code"),
    Column("grant_id", String(36), ForeignKey("app_grant.id"), nullable=False, index=True),
    Column("content", Sealed, nullable=False, comment="redirect URI, PKCE challenge, nonce"),
    Column("until", Instant, nullable=False, index=True),
    Column("used_at", Instant, nullable=True),
)

refresh_token = Table(
    "refresh_token",
    metadata,
    Column("digest", BlindIndex, primary_key=True, comment="keyed hash of the token"),
    Column("grant_id", String(36), ForeignKey("app_grant.id"), nullable=False, index=True),
    Column("issued_at", Instant, nullable=False),
    Column("until", Instant, nullable=False, index=True),
    Column("used_at", Instant, nullable=True),
)
"""Refresh tokens, each for one use: one that is used twice ends its grant."""

revoked_token = Table(
    "revoked_token",
    metadata,
    Column("digest", BlindIndex, primary_key=True, comment="keyed hash of a token's jti, or of a grant's id"),
    Column("until", Instant, nullable=False, index=True, comment="when no token of it is valid any more"),
)
"""What access tokens must not be taken any more although they have not expired; a few rows at any time."""
