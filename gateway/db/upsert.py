"""`INSERT … ON CONFLICT`, which both databases have, each in a dialect of its own."""

from typing import TYPE_CHECKING

from sqlalchemy import Connection, Table

if TYPE_CHECKING:
    from sqlalchemy.dialects.sqlite import Insert


def insert_into(table: Table, connection: Connection) -> "Insert":
    """An insert that may say what happens to a row that is there already."""
    # Only the dialect that is spoken is loaded: PostgreSQL's takes as long as the rest of a short command.
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert
    else:
        from sqlalchemy.dialects.postgresql import insert  # type: ignore[assignment]  # its methods are the same
    return insert(table)
