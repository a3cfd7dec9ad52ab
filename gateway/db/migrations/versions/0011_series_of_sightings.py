"""Which series a facility showed of a study, as a keyed hash: to tell a copy from a part."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What was seen so far is not known to be a copy of anything, until it is seen to change."""
    op.add_column("sighting", sa.Column("series_key", sa.LargeBinary(16), nullable=True))


def downgrade() -> None:
    """Without it."""
    op.drop_column("sighting", "series_key")
