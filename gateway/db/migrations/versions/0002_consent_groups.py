"""Groups of organisations and users that a Consent may name as a whole."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A table beside the others."""
    op.create_table(
        "consent_group",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_consent_group"),
    )


def downgrade() -> None:
    """Without it; consents that name a group can't be evaluated then, and deny."""
    op.drop_table("consent_group")
