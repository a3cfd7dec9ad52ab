"""Runs migrations in the transaction that `gateway.db.upgrade` opened. Alembic loads this file itself."""

from alembic import context
from sqlalchemy import text

_LOCK_TIMEOUT = "5s"
_STATEMENT_TIMEOUT = "120s"

connection = context.config.attributes["connection"]
if connection.dialect.name == "postgresql":
    # A migration that can't get its lock gives up and leaves everything as it was: waiting in line for an exclusive
    # lock would stop every query that comes after it.
    connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'"))
    connection.execute(text(f"SET LOCAL statement_timeout = '{_STATEMENT_TIMEOUT}'"))
context.configure(connection=connection, transactional_ddl=True)
context.run_migrations()
