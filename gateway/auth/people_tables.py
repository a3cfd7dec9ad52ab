"""Tables of the people who sign in: accounts, sessions, second factors, and who may act for whom.

Nothing here names anybody in clear: what identifies a person is sealed, and looked up by keyed hashes.
"""

from sqlalchemy import BigInteger, Column, ForeignKey, String, Table

from gateway.db.base import BlindIndex, Instant, Sealed, metadata

account = Table(
    "account",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("login_key", BlindIndex, nullable=False, unique=True, comment="of the login, as it is compared"),
    Column("external_key", BlindIndex, nullable=True, unique=True, comment="of the provider's issuer and subject"),
    Column("patient_key", BlindIndex, nullable=True, index=True, comment="of the person that the account is"),
    Column("content", Sealed, nullable=False, comment="login, name, roles, bindings, password hash"),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("disabled_at", Instant, nullable=True),
)

sign_in = Table(
    "sign_in",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("cookie_key", BlindIndex, nullable=False, unique=True, comment="of the cookie's value"),
    Column("account_id", String(36), ForeignKey("account.id"), nullable=False, index=True),
    Column("began_at", Instant, nullable=False),
    Column("proved_at", Instant, nullable=False, comment="when they last proved who they are"),
    Column("seen_at", Instant, nullable=False),
    Column("until", Instant, nullable=False, index=True, comment="exclusive, whatever they do"),
    Column("completed_at", Instant, nullable=True, comment="null while a second factor is still owed"),
    Column("ended_at", Instant, nullable=True),
    Column("methods", String(64), nullable=False, comment="RFC 8176 values, separated by spaces"),
)
"""A session. The value of its cookie is not here: a copy of the database opens none."""

second_factor = Table(
    "second_factor",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("account_id", String(36), ForeignKey("account.id"), nullable=False, index=True),
    Column("kind", String(16), nullable=False, comment="totp, passkey or recovery"),
    Column("locator", BlindIndex, nullable=True, unique=True, comment="of a passkey's id, or of a recovery code"),
    Column("content", Sealed, nullable=False),
    Column("counter", BigInteger, nullable=False, comment="the last time step used, or a passkey's signature count"),
    Column("created_at", Instant, nullable=False),
    Column("used_at", Instant, nullable=True),
    Column("removed_at", Instant, nullable=True),
)

sign_in_challenge = Table(
    "sign_in_challenge",
    metadata,
    Column("key", BlindIndex, primary_key=True, comment="of the challenge, and of what it is bound to"),
    Column("purpose", String(16), nullable=False),
    Column("account_id", String(36), ForeignKey("account.id"), nullable=True, index=True),
    Column("content", Sealed, nullable=True),
    Column("until", Instant, nullable=False, index=True),
)
"""What was asked and is to be answered once: a passkey's challenge, a provider's state, a link to set a password."""

delegation = Table(
    "delegation",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("account_id", String(36), ForeignKey("account.id"), nullable=False, index=True),
    Column("patient_key", BlindIndex, nullable=False, index=True, comment="of the person's id"),
    Column("content", Sealed, nullable=False, comment="for whom, on what basis, for what purpose, by whose proof"),
    Column("granted_at", Instant, nullable=False),
    Column("until", Instant, nullable=False, comment="exclusive"),
    Column("revoked_at", Instant, nullable=True),
)
"""That somebody may act for a patient; never removed."""
