"""Why did the database fail, and what mends it? In our words: a driver's may quote a statement's values."""

import sqlite3

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from gateway.errors import DependencyUnavailable

_SQLITE = {
    sqlite3.SQLITE_NOTADB: "its file is damaged or no database; restore it from a backup",
    sqlite3.SQLITE_CORRUPT: "its file is damaged; restore it from a backup",
    sqlite3.SQLITE_BUSY: "another process has held it for too long",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk fails",
    sqlite3.SQLITE_CANTOPEN: "its file can't be opened; look at its folder and owner",
    sqlite3.SQLITE_READONLY: "its file may not be written to; look at its owner",
}
_POSTGRESQL = {
    "53300": "it has no connection left; see its max_connections",
    "53100": "its disk is full",
    "57014": "a statement took too long",
    "57P03": "it is starting or stopping; try again",
    "25006": "it takes no writes: it is a standby",
    "42501": "its user lacks a right on the tables",
    "42P01": "its tables are not there; run `python -m gateway db upgrade`",
}
_UNREACHED = (
    "nothing answers where GATEWAY_DATABASE_URL says, or it doesn't let this user in; "
    "look whether PostgreSQL runs and at address, user, password and database"
)


def unavailable(what: str, exc: Exception) -> DependencyUnavailable:
    """`what` can't be done, with what to mend where the driver's error tells that."""
    why = _why(exc)
    return DependencyUnavailable(f"{what}: {why}" if why else what)


def is_about_a_row(exc: DependencyUnavailable) -> bool:
    """Whether the database refused what it was given, and did not fail by itself."""
    # SQLAlchemy's and either driver's errors, by the names that PEP 249 gives them.
    return not {kind.__name__ for kind in type(exc.__cause__).__mro__}.isdisjoint(("IntegrityError", "DataError"))


def _why(exc: Exception) -> str:
    if isinstance(exc, PoolExhausted):
        return "all its connections are in use"
    cause = exc.orig if isinstance(exc, DBAPIError) else exc
    if isinstance(cause, sqlite3.Error):
        return _SQLITE.get(getattr(cause, "sqlite_errorcode", 0) & 0xFF, "")  # an extended code's last byte is its kind
    # Psycopg's errors, told by what they have: loading it takes long, and SQLite goes without.
    state = getattr(cause, "sqlstate", "")
    if state is None:
        return _UNREACHED if type(cause).__name__ == "OperationalError" else ""
    return _POSTGRESQL.get(state, "")
