"""What follows from the audit: followers, the terms that events are looked for by, notices and their delivery."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Everything recorded so far is followed from the first record on."""
    row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "audit_follower",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("position", row_id, nullable=False),
        sa.Column("holder", sa.String(64), nullable=True),
        sa.Column("held_until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_audit_follower"),
    )
    op.create_table(
        "audit_term",
        sa.Column("key", sa.LargeBinary(16), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("seq", row_id, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("key", "recorded_at", "seq", name="pk_audit_term"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "audit_notice",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_notice"),
    )
    op.create_index("ix_audit_notice_made_at", "audit_notice", ["made_at"])
    op.create_table(
        "audit_notice_delivery",
        sa.Column("notice_id", sa.String(36), nullable=False),
        sa.Column("channel", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_try_at", sa.BigInteger(), nullable=False),
        sa.Column("delivered_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("notice_id", "channel", name="pk_audit_notice_delivery"),
    )
    waiting = sa.text("delivered_at IS NULL")
    op.create_index(
        "ix_audit_notice_delivery_waiting",
        "audit_notice_delivery",
        ["next_try_at"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )


def downgrade() -> None:
    """Without them; the audit itself is as it was."""
    for table in ("audit_notice_delivery", "audit_notice", "audit_term", "audit_follower"):
        op.drop_table(table)
