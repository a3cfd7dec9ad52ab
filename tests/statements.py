"""Which statements reach the database, by whatever way they were sent."""

from typing import Any

import psycopg
from sqlalchemy import Engine, event


def heard_by(engine: Engine) -> list[str]:
    """A list that grows by each statement that a connection of `engine` is given from now on."""
    heard: list[str] = []

    class Listening(psycopg.Cursor[Any]):
        def execute(self, query: Any, *arguments: Any, **options: Any) -> Any:
            heard.append(str(query))
            return super().execute(query, *arguments, **options)

    @event.listens_for(engine, "checkout")
    def listen(connection: Any, _record: object, _proxy: object) -> None:
        if isinstance(connection, psycopg.Connection):
            connection.cursor_factory = Listening
        else:
            connection.set_trace_callback(heard.append)

    return heard
