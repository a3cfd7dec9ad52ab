"""Running the numbered migrations, by Alembic, on a connection that the caller has locked."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection

from gateway.errors import DependencyUnavailable


def migrate(connection: Connection, migrations: Path) -> None:
    """The schema is at the newest of `migrations`, in the transaction that is open.

    Raises DependencyUnavailable where the database was made by a newer version.
    """
    try:
        command.upgrade(alembic_config(connection, migrations), "head")
    except CommandError as exc:
        raise DependencyUnavailable("the database was made by a newer version of the gateway") from exc


def alembic_config(connection: Connection, migrations: Path) -> Config:
    """What Alembic needs to work on `connection`."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
