"""What the database knows of the keys it was filled with."""

from sqlalchemy import Column, Integer, Table

from gateway.db.base import BlindIndex, Sealed, metadata

key_check = Table(
    "key_check",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("sealed", Sealed, nullable=False),
    Column("hashed", BlindIndex, nullable=False),
)
"""One row: a known word, sealed and hashed with the keys of the first start."""
