"""Patients are searched by description: keyed hashes of what each record says.

Records that are there already get their keys by `python -m gateway patients index`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """A table of keys, and on each record the version of its keys."""
    op.create_table(
        "mpi_search_key",
        sa.Column("key", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("record_id", ROW_ID, nullable=False, autoincrement=False),
        sa.PrimaryKeyConstraint("key", "record_id", name="pk_mpi_search_key"),
        sqlite_with_rowid=False,
    )
    op.add_column("mpi_record", sa.Column("search_keys", sa.SmallInteger(), nullable=True))
    missing = sa.text("search_keys IS NULL")
    op.create_index(
        "ix_mpi_record_unsearchable", "mpi_record", ["record_id"], sqlite_where=missing, postgresql_where=missing
    )


def downgrade() -> None:
    """As it was."""
    op.drop_index("ix_mpi_record_unsearchable", "mpi_record")
    op.drop_column("mpi_record", "search_keys")
    op.drop_table("mpi_search_key")
