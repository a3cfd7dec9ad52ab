"""What a facility told last of a record, so that what it tells again need not be looked up study by study."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A table beside the others; it fills as facilities answer."""
    op.create_table(
        "last_answer",
        sa.Column("record_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("facility_id", sa.String(32), nullable=False),
        sa.Column("answer_key", sa.LargeBinary(), nullable=False),
        sa.Column("seen", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("record_id", "facility_id", name="pk_last_answer"),
    )


def downgrade() -> None:
    """Without it."""
    op.drop_table("last_answer")
