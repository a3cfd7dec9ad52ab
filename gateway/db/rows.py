"""Very many rows into one table: by executemany in SQLite, by COPY in PostgreSQL, inside the transaction there is."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, text

from gateway.db.mishap import unavailable

Row = tuple[Any, ...]
_CACHE_KIB = 400_000
_LOG_PAGES = 25_000
"""About 100 MB of write-ahead log, after which SQLite moves what is in it to its place."""


class Rows:
    """Rows of some columns of a table. Values are as the driver takes them: an Instant as its microseconds."""

    def __init__(self, table: Table, *columns: str) -> None:
        named = ", ".join(columns)
        # The names are of our own tables; every value is a parameter, or a field of the copied rows.
        self._insert = f"INSERT INTO {table.name} ({named}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
        self._copy = f"COPY {table.name} ({named}) FROM STDIN"

    def add(self, connection: Connection, rows: Sequence[Row]) -> None:
        """All of `rows` are there. Raises DependencyUnavailable, or SQLAlchemy's errors as other statements do."""
        if not rows:
            return
        if connection.dialect.name != "postgresql":
            connection.exec_driver_sql(self._insert, list(rows))
            return
        driver: Any = connection.connection.driver_connection
        try:
            with driver.cursor() as cursor, cursor.copy(self._copy) as copy:
                for row in rows:
                    copy.write_row(row)
        except connection.dialect.loaded_dbapi.Error as exc:
            raise unavailable("the database can't be written", exc) from exc


def make_room(connection: Connection) -> None:
    """This connection keeps what it writes in memory for longer: very many rows touch every page of an index."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA cache_size=-{_CACHE_KIB}")
        connection.exec_driver_sql(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")


def next_numbers(connection: Connection, table: Table, column: str, count: int) -> list[int]:
    """Numbers that no row of `table` has had or will be given, in order, for `count` rows about to be added.

    Inside a transaction that no other writer of the table works beside.
    """
    if connection.dialect.name == "postgresql":
        wanted = "SELECT nextval(pg_get_serial_sequence(:table, :column)) FROM generate_series(1, :count)"
        found = connection.execute(text(wanted), {"table": table.name, "column": column, "count": count})
        return list(found.scalars())
    # SQLite's AUTOINCREMENT goes on from the highest number that it or anyone else has given.
    last = connection.execute(text("SELECT seq FROM sqlite_sequence WHERE name = :table"), {"table": table.name})
    first = (last.scalar() or 0) + 1
    return list(range(first, first + count))
