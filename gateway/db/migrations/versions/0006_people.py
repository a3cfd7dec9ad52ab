"""People who sign in: accounts, sessions, second factors, and who may act for whom."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Tables beside the others; nobody has an account yet."""
    op.create_table(
        "account",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("login_key", sa.LargeBinary(16), nullable=False),
        sa.Column("external_key", sa.LargeBinary(16), nullable=True),
        sa.Column("patient_key", sa.LargeBinary(16), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("disabled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_account"),
        sa.UniqueConstraint("external_key", name="uq_account_external_key"),
        sa.UniqueConstraint("login_key", name="uq_account_login_key"),
    )
    op.create_index("ix_account_patient_key", "account", ["patient_key"])
    op.create_table(
        "sign_in",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("cookie_key", sa.LargeBinary(16), nullable=False),
        sa.Column("account_id", sa.String(36), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("proved_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("completed_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("methods", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_sign_in_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_sign_in"),
        sa.UniqueConstraint("cookie_key", name="uq_sign_in_cookie_key"),
    )
    op.create_index("ix_sign_in_account_id", "sign_in", ["account_id"])
    op.create_index("ix_sign_in_until", "sign_in", ["until"])
    op.create_table(
        "second_factor",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("account_id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("locator", sa.LargeBinary(16), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_second_factor_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_second_factor"),
        sa.UniqueConstraint("locator", name="uq_second_factor_locator"),
    )
    op.create_index("ix_second_factor_account_id", "second_factor", ["account_id"])
    op.create_table(
        "sign_in_challenge",
        sa.Column("key", sa.LargeBinary(16), nullable=False),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("account_id", sa.String(36), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_sign_in_challenge_account_id"),
        sa.PrimaryKeyConstraint("key", name="pk_sign_in_challenge"),
    )
    op.create_index("ix_sign_in_challenge_account_id", "sign_in_challenge", ["account_id"])
    op.create_index("ix_sign_in_challenge_until", "sign_in_challenge", ["until"])
    op.create_table(
        "delegation",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("account_id", sa.String(36), nullable=False),
        sa.Column("patient_key", sa.LargeBinary(16), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("granted_at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_delegation_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_delegation"),
    )
    op.create_index("ix_delegation_account_id", "delegation", ["account_id"])
    op.create_index("ix_delegation_patient_key", "delegation", ["patient_key"])


def downgrade() -> None:
    """Without them."""
    op.drop_table("delegation")
    op.drop_table("sign_in_challenge")
    op.drop_table("second_factor")
    op.drop_table("sign_in")
    op.drop_table("account")
