"""Break-glass declarations, which outlive the tokens that are got under them, and the notices of them to patients."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two tables beside the others."""
    op.create_table(
        "break_glass",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("stated_key", sa.LargeBinary(16), nullable=False),
        sa.Column("declared_at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_break_glass"),
    )
    op.create_index("ix_break_glass_stated_key", "break_glass", ["stated_key"])
    op.create_table(
        "patient_notice",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("declaration_id", sa.String(36), nullable=False),
        sa.Column("patient_key", sa.LargeBinary(16), nullable=False),
        sa.Column("queued_at", sa.BigInteger(), nullable=False),
        sa.Column("delivered_at", sa.BigInteger(), nullable=True),
        sa.Column("delivered_by", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["declaration_id"], ["break_glass.id"], name="fk_patient_notice_declaration_id"),
        sa.PrimaryKeyConstraint("id", name="pk_patient_notice"),
    )
    op.create_index("ix_patient_notice_declaration_id", "patient_notice", ["declaration_id"])
    op.create_index("ix_patient_notice_patient_key", "patient_notice", ["patient_key"])


def downgrade() -> None:
    """Without them: no break-glass stands then."""
    op.drop_table("patient_notice")
    op.drop_table("break_glass")
