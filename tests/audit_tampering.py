"""What an owner of the database can do: take the triggers away that keep the audit as it is, and then change it."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text

from gateway.db.session import open_database

GUARDS = [
    "audit_record_unchanged",
    "audit_record_kept",
    "audit_unlogged_kept",
    "audit_term_unchanged",
    "audit_term_kept",
    "audit_retention_within",
    *(
        f"audit_{table}_{word}"
        for table in ("leaf", "node", "checkpoint", "retention")
        for word in ("unchanged", "kept")
    ),
]
"""The triggers that refuse; `audit_record_added`, which notes what waits for its place in the log, stays."""


def take_guards_away(connection: Connection) -> None:
    """Rows of the audit's tables can be changed and deleted."""
    for name in GUARDS:
        table = name.rpartition("_")[0]
        on = f" ON {table}" if connection.dialect.name == "postgresql" else ""
        connection.execute(text(f"DROP TRIGGER {name}{on}"))


@contextmanager
def owning(engine: Engine) -> Iterator[Connection]:
    """A transaction of the owner's, from elsewhere, in which and after which anything can be changed and deleted."""
    other = open_database(engine.url.render_as_string(hide_password=False))
    with other.begin() as connection:
        if not _is_unguarded(connection):
            take_guards_away(connection)
        yield connection
    other.dispose()


def _is_unguarded(connection: Connection) -> bool:
    triggers = {"sqlite": "SELECT name FROM sqlite_master", "postgresql": "SELECT tgname FROM pg_trigger"}
    return GUARDS[0] not in connection.execute(text(triggers[connection.dialect.name])).scalars().all()
