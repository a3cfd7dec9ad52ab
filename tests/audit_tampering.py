"""What an owner of the database can do: take the triggers away that keep the audit as it is, and then change it."""

from sqlalchemy import Connection, text

GUARDS = [
    "audit_record_unchanged",
    "audit_record_kept",
    "audit_unlogged_kept",
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
