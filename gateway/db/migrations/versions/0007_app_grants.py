"""Apps beside systems, what people grant them, and the codes and tokens that rest on it."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Every client so far is a system; nothing has been granted yet."""
    op.add_column("auth_client", sa.Column("kind", sa.String(8), nullable=False, server_default="system"))
    op.add_column("auth_client", sa.Column("redirect_uris", sa.Text(), nullable=True))
    op.add_column("auth_client", sa.Column("launch_url", sa.Text(), nullable=True))
    op.create_table(
        "app_grant",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("client_id", sa.String(128), nullable=False),
        sa.Column("account_key", sa.LargeBinary(16), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("granted_at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_app_grant"),
    )
    for column in ("client_id", "account_key", "until"):
        op.create_index(f"ix_app_grant_{column}", "app_grant", [column])
    op.create_table(
        "authorization_code",
        sa.Column("digest", sa.LargeBinary(16), nullable=False),
        sa.Column("grant_id", sa.String(36), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["grant_id"], ["app_grant.id"], name="fk_authorization_code_grant_id"),
        sa.PrimaryKeyConstraint("digest", name="pk_authorization_code"),
    )
    op.create_table(
        "refresh_token",
        sa.Column("digest", sa.LargeBinary(16), nullable=False),
        sa.Column("grant_id", sa.String(36), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["grant_id"], ["app_grant.id"], name="fk_refresh_token_grant_id"),
        sa.PrimaryKeyConstraint("digest", name="pk_refresh_token"),
    )
    for table in ("authorization_code", "refresh_token"):
        op.create_index(f"ix_{table}_grant_id", table, ["grant_id"])
        op.create_index(f"ix_{table}_until", table, ["until"])
    op.create_table(
        "revoked_token",
        sa.Column("digest", sa.LargeBinary(16), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_revoked_token"),
    )
    op.create_index("ix_revoked_token_until", "revoked_token", ["until"])


def downgrade() -> None:
    """Without apps: systems alone stay."""
    op.drop_table("revoked_token")
    op.drop_table("refresh_token")
    op.drop_table("authorization_code")
    op.drop_table("app_grant")
    op.execute("DELETE FROM auth_client WHERE kind <> 'system'")
    for column in ("launch_url", "redirect_uris", "kind"):
        op.drop_column("auth_client", column)
