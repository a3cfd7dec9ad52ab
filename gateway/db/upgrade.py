"""The schema of the database: whether it is behind, and bringing it up to date.

Migrations are numbered files under `migrations/versions`; `migrations/.current-head` names the last of them, so that a
serving process can tell whether its database is behind without loading the migration tool.
"""

from pathlib import Path

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from gateway.db.mishap import unavailable
from gateway.db.session import reading

MIGRATIONS = Path(__file__).with_name("migrations")
_UPGRADE_LOCK = 0x6D69677261746500
_WAIT_MS = 60_000


def current_head() -> str:
    """The revision this program is made for."""
    return (MIGRATIONS / ".current-head").read_text().strip()


def revision(engine: Engine) -> str | None:
    """The revision the database is at; None where it holds no schema. Raises DependencyUnavailable."""
    with reading(engine) as connection:
        return _revision(connection)


def _revision(connection: Connection) -> str | None:
    if not connection.dialect.has_table(connection, "alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def pending(engine: Engine) -> bool:
    """Whether the database's schema is not the one this program is made for. Raises DependencyUnavailable."""
    return revision(engine) != current_head()


def upgrade_to_head(engine: Engine) -> tuple[str | None, str]:
    """The schema is up to date; the revisions before and after. All of it is done, or nothing.

    Safe when several processes start at once: one upgrades, the others wait and find it done. Raises
    DependencyUnavailable where the database fails, or was made by a newer version of the gateway.
    """
    head = current_head()
    before = revision(engine)
    if before == head:
        return before, head
    # Loads Alembic and all it needs, which a process that only serves or looks something up can do without.
    from gateway.db.migrate import migrate

    try:
        with engine.connect().execution_options(writing=True) as connection:
            _wait_patiently(connection)
            with connection.begin():
                _lock(connection)
                before = _revision(connection)
                migrate(connection, MIGRATIONS)
    except SQLAlchemyError as exc:
        raise unavailable("the database's schema can't be upgraded", exc) from exc
    return before, head


def _wait_patiently(connection: Connection) -> None:
    # SQLite's BEGIN IMMEDIATE waits for another process's upgrade this long. Only here: the connection is detached
    # from the pool, so that no query inherits the patience.
    if connection.dialect.name == "sqlite":
        connection.detach()
        raw = connection.connection.driver_connection
        if raw is not None:
            raw.execute(f"PRAGMA busy_timeout={_WAIT_MS}")


def _lock(connection: Connection) -> None:
    # The lock ends with the transaction, so it also holds behind PgBouncer's transaction pooling.
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL lock_timeout = {_WAIT_MS}"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
