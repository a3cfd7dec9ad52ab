"""Is the file that SQLite works in still the one at its path? What is stored in a deleted file is lost."""

import os
from typing import Any

from sqlalchemy import Engine, event

from gateway.errors import DependencyUnavailable

_SQLITE_READONLY = 8


def keep_to_file(engine: Engine, path: str) -> None:
    """No connection is given out or made while another file, or none, is at `path`: DependencyUnavailable instead."""
    found = os.stat(path)
    ours = (found.st_dev, found.st_ino)

    def look(*_: object) -> None:
        try:
            now = os.stat(path)
        except OSError as exc:
            raise DependencyUnavailable("the database's file is gone; put it back") from exc
        if (now.st_dev, now.st_ino) != ours:
            raise DependencyUnavailable("the database's file was replaced by another; start the gateway again")

    event.listen(engine, "checkout", look)
    # SQLite would make a new file, which is empty.
    event.listen(engine, "do_connect", look)


def leave_read_only_connections(engine: Engine) -> None:
    """A connection made while the file could not be written to stays so for good: it goes once that shows."""
    dialect = engine.dialect
    disconnected = dialect.is_disconnect

    def is_disconnect(error: Any, connection: Any, cursor: Any) -> bool:
        # An extended code's last byte is its kind.
        read_only = getattr(error, "sqlite_errorcode", 0) & 0xFF == _SQLITE_READONLY
        return read_only or disconnected(error, connection, cursor)

    dialect.is_disconnect = is_disconnect  # type: ignore[method-assign, assignment]
