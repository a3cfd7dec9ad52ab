"""Connections to the one database: SQLite (WAL) or PostgreSQL, behind the same statements."""

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from gateway.db.mishap import unavailable
from gateway.db.same_file import keep_to_file, leave_read_only_connections
from gateway.errors import ConfigurationError

POOL_TIMEOUT_S = 3
STATEMENT_TIMEOUT_MS = 5000
MOST_PARAMETERS = 500
"""Values that one `IN (…)` is given: every release of both databases takes as many, and plans them well."""
_PREPARED_AFTER = 3
"""Executions after which PostgreSQL keeps a statement's plan: planning a look-up costs more than doing it."""
_WAL_ATTEMPTS = 100
_WAL_PAUSE_S = 0.05
T = TypeVar("T")


def open_database(url: str, *, threads: int = 16, serving: bool = False) -> Engine:
    """An engine for `url`, one connection a thread at most. Connects to nothing yet.

    `serving`: everything is looked up by a key, so that no table is ever to be read as a whole.

    SQLite commits are durable (`synchronous=FULL`), readers never wait (WAL), writers wait for one another. PostgreSQL
    ends a statement that takes longer than five seconds: a table that is locked must not hang the gateway. Raises
    ConfigurationError.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as exc:
        raise ConfigurationError(["GATEWAY_DATABASE_URL is not a database URL"]) from exc
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        kept = parsed.database if parsed.database != ":memory:" else None
        if kept:
            _make_private(Path(kept))
        engine = create_engine(
            parsed.set(drivername="sqlite+pysqlite"),
            pool_size=threads + 4,
            max_overflow=4,
            pool_timeout=POOL_TIMEOUT_S,
            pool_use_lifo=True,  # the one used last is the one whose caches are warm
            connect_args={"check_same_thread": False, "timeout": 5, "isolation_level": None},
        )
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        leave_read_only_connections(engine)
        if kept:
            keep_to_file(engine, os.path.abspath(kept))
        return engine
    if backend == "postgresql":
        engine = create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            pool_size=threads + 4,
            max_overflow=4,
            pool_timeout=POOL_TIMEOUT_S,
            pool_use_lifo=True,  # the one used last is the one whose caches are warm
            pool_pre_ping=False,
            # PgBouncer in transaction mode can't keep prepared statements or start-up options: `_set_up_postgresql`.
            connect_args={
                "prepare_threshold": None,
                "autocommit": True,
                "connect_timeout": 3,
                "tcp_user_timeout": STATEMENT_TIMEOUT_MS,
            },
        )
        event.listen(engine, "connect", partial(_set_up_postgresql, serving=serving))
        event.listen(engine, "begin", _begin_postgresql)
        from gateway.db.libpq import forget_at_rollback  # only where PostgreSQL is used, since it is slow to load

        forget_at_rollback(engine)
        return engine
    raise ConfigurationError([f"GATEWAY_DATABASE_URL: {backend} is not supported; use sqlite or postgresql"])


def _make_private(file: Path) -> None:
    """The database file exists; one that is new is its owner's alone, and so are the files SQLite puts beside it."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not file.exists():
            file.touch(mode=0o600)
    except OSError as exc:
        raise ConfigurationError(
            ["the folder of the database (GATEWAY_DATA_DIR, GATEWAY_DATABASE_URL) can't be made or written to"]
        ) from exc


def _set_up_postgresql(connection: Any, _record: object, *, serving: bool) -> None:
    # Behind PgBouncer this reaches the server connection that happens to serve it, and stays there; sooner or later
    # that is each of them. `ALTER ROLE … SET statement_timeout` makes it all of them at once.
    connection.execute(f"SET statement_timeout = {STATEMENT_TIMEOUT_MS}")
    from psycopg.types.numeric import Int8Dumper  # only where PostgreSQL is used, since it is slow to load

    # Whole numbers of any size go as one type, so that a statement is prepared once.
    connection.adapters.register_dumper(int, Int8Dumper)
    # A pooler in between gives a connection a number of its own, not that of the process that happens to serve it. Only
    # without one is a statement sure to find the process that has prepared it.
    (process,) = connection.execute("SELECT pg_backend_pid()").fetchone()
    if process == connection.info.backend_pid:
        connection.prepare_threshold = _PREPARED_AFTER
        if serving:
            # One plan is made and kept while the tables grow: made when they were small, it must not read them whole.
            connection.execute(
                "SET plan_cache_mode = force_generic_plan; "
                "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off"
            )


def _set_up_sqlite(connection: Any, _record: object) -> None:
    for pragma in ("busy_timeout=5000", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    _keep_write_ahead_log(connection)


def _keep_write_ahead_log(connection: Any) -> None:
    # The first change to WAL needs the file to itself, and SQLite doesn't wait for that however patient it is told to
    # be: several processes that start on a new file at once take turns here.
    for attempt in range(_WAL_ATTEMPTS):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if attempt == _WAL_ATTEMPTS - 1:
                raise
            time.sleep(_WAL_PAUSE_S)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    # `writing` asks for the write lock at once: a transaction that reads first and writes later would fail with
    # SQLITE_BUSY_SNAPSHOT when another wrote in between.
    options = connection.get_execution_options()
    if not options.get("reading", False):
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writing", False) else "BEGIN")


def _begin_postgresql(connection: Connection) -> None:
    if not connection.get_execution_options().get("reading", False):
        connection.exec_driver_sql("BEGIN")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection for look-ups, each of which sees what is committed as it starts. Raises DependencyUnavailable."""
    # A look-up needs no transaction around it: beginning and ending one costs more than the look-up itself, and in
    # PostgreSQL two more round trips.
    try:
        with engine.connect().execution_options(reading=True) as connection:
            yield connection
    except SQLAlchemyError as exc:
        raise unavailable("the database can't be read", exc) from exc


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction: all of it is stored when this ends, or nothing. Raises DependencyUnavailable."""
    try:
        with engine.connect().execution_options(writing=True) as connection, connection.begin():
            yield connection
    except SQLAlchemyError as exc:
        raise unavailable("the database can't be written", exc) from exc


def in_parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """`values` in parts of at most MOST_PARAMETERS, for a statement that looks for all of them."""
    for start in range(0, len(values), MOST_PARAMETERS):
        yield values[start : start + MOST_PARAMETERS]
