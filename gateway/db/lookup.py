"""A connection for the statements of every query (`gateway/db/prepared.py`), without SQLAlchemy around it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, PoolProxiedConnection, text
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import SQLAlchemyError

from gateway.db.mishap import unavailable
from gateway.db.prepared import Prepared
from gateway.errors import DependencyUnavailable

_BEGIN = {"sqlite": Prepared(text("BEGIN IMMEDIATE")), "postgresql": Prepared(text("BEGIN"))}
_COMMIT = Prepared(text("COMMIT"))


@dataclass(frozen=True, slots=True)
class Looking:
    """A pooled connection for statements of `gateway/db/prepared.py`; each is a transaction of its own."""

    dialect: Dialect
    connection: PoolProxiedConnection


@contextmanager
def looking(engine: Engine) -> Iterator[Looking]:
    """A connection for look-ups, each of which sees what is committed as it starts. Raises DependencyUnavailable.

    After the database has gone away and come back, no connection of before is used again.
    """
    dialect = engine.dialect
    driver_error: Any = dialect.loaded_dbapi.Error
    try:
        connection = engine.raw_connection()
    except (SQLAlchemyError, driver_error) as exc:
        raise unavailable("the database can't be read", exc) from exc
    try:
        yield Looking(dialect, connection)
    except DependencyUnavailable as exc:
        if isinstance(exc.__cause__, driver_error) and dialect.is_disconnect(exc.__cause__, connection, None):
            connection.invalidate(exc.__cause__)
            engine.dispose()
        raise
    finally:
        connection.close()


@contextmanager
def storing(engine: Engine) -> Iterator[Looking]:
    """One transaction: all of it is stored when this ends, or nothing. Raises DependencyUnavailable."""
    with looking(engine) as session:
        _BEGIN[session.dialect.name].all(session)
        # What isn't committed is rolled back as the connection returns to its pool.
        yield session
        _COMMIT.all(session)
