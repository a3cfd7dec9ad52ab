"""Keys by which facilities and their gates prove who they are."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No facility has a key yet."""
    op.create_table(
        "facility_key",
        sa.Column("digest", sa.LargeBinary(16), nullable=False),
        sa.Column("facility_id", sa.String(32), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("digest", name="pk_facility_key"),
    )
    op.create_index("ix_facility_key_facility_id", "facility_key", ["facility_id"])


def downgrade() -> None:
    """Without them."""
    op.drop_table("facility_key")
