"""A connection for the statements of every query (`gateway/db/prepared.py`), without SQLAlchemy around it."""

import threading
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


_held = threading.local()


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
    held: Looking | None = getattr(_held, "session", None)
    if held is not None and _held.engine is engine:
        yield held
        return
    with _connected(engine) as session:
        yield session


@contextmanager
def _connected(engine: Engine) -> Iterator[Looking]:
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
def looking_on(engine: Engine) -> Iterator[None]:
    """While this lasts, this thread's look-ups share one connection. Raises DependencyUnavailable.

    Only for look-ups that follow one another at once: nothing is waited for meanwhile.
    """
    with _connected(engine) as session:
        before = getattr(_held, "session", None), getattr(_held, "engine", None)
        _held.session, _held.engine = session, engine
        try:
            yield
        finally:
            _held.session, _held.engine = before


@contextmanager
def storing(engine: Engine) -> Iterator[Looking]:
    """One transaction: all of it is stored when this ends, or nothing. Raises DependencyUnavailable."""
    with _connected(engine) as session:
        _BEGIN[session.dialect.name].all(session)
        # What isn't committed is rolled back as the connection returns to its pool.
        yield session
        _COMMIT.all(session)
