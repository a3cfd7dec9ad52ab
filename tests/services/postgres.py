"""A PostgreSQL of the tests' own: one server a run, one fresh database a test."""

import itertools
import os
import shutil
import signal
import subprocess
from pathlib import Path

import psycopg
from sqlalchemy import make_url
from sqlalchemy.engine import URL

from gateway.db.session import open_database
from gateway.db.upgrade import upgrade_to_head
from tests.services.process import Server, accepts_connections, binary, free_port, scratch_folder

OWNER = "gateway"
TEMPLATE = "migrated"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "400",
    "shared_buffers": "64MB",
    "autovacuum": "off",
}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""A test's data needn't survive a power cut."""


def _programs() -> list[str]:
    """Debian keeps the server's programs outside PATH, a folder a version; the newest comes first."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    return [str(path) for path in versions]


class Postgres:
    """A running server that trusts loopback. PostgreSQL refuses to run as root, so root starts it as `postgres`."""

    def __init__(self, *, durable: bool = False) -> None:
        """`durable` keeps its word on a commit, as it would in a deployment: for measuring."""
        user = "postgres" if os.geteuid() == 0 else None
        folder = scratch_folder("postgres")
        if user:
            shutil.chown(folder, user)
        data = folder / "data"
        init = [binary("initdb", *_programs()), "-D", str(data), "-A", "trust", "-U", OWNER, "--no-sync"]
        init += ["--encoding=UTF8", "--locale=C.UTF-8"]
        others: list[str] | None = None if user is None else []
        subprocess.run(
            init, cwd=folder, check=True, stdout=subprocess.DEVNULL, user=user, group=user, extra_groups=others
        )
        self.port = free_port()
        settings = {**SETTINGS, "port": str(self.port), "unix_socket_directories": str(folder)}
        settings |= {} if durable else NOT_DURABLE
        options = [f"--{name}={value}" for name, value in settings.items()]
        argv = [binary("postgres", *_programs()), "-D", str(data), *options]
        self._server = Server("postgres", argv, folder=folder, user=user, stop_signal=signal.SIGQUIT)
        self._server.wait_until(self._ready)
        self._names = (f"test_{number}" for number in itertools.count(1))
        self._has_template = False

    def _ready(self) -> bool:
        if not accepts_connections(self.port):
            return False
        try:
            self._run("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def url(self, database: str) -> str:
        """The URL of a database of this server."""
        return f"postgresql://{OWNER}@127.0.0.1:{self.port}/{database}"

    def _copy(self, name: str, template: str) -> str:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            # Three times as fast as writing the copy to the log; before 15 it was the only way.
            strategy = "STRATEGY FILE_COPY" if connection.info.server_version >= 150000 else ""
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} {strategy}")
        return self.url(name)

    def create_empty(self) -> str:
        """The URL of a new database without any table."""
        return self._copy(next(self._names), "template0")

    def create_migrated(self) -> str:
        """The URL of a new database with the gateway's schema, copied from one that was migrated once."""
        if not self._has_template:
            engine = open_database(self._copy(TEMPLATE, "template0"))
            try:
                upgrade_to_head(engine)
            finally:
                engine.dispose()
            self._has_template = True
        return self._copy(next(self._names), TEMPLATE)

    def drop(self, url: str) -> None:
        """The database is gone, whoever was still connected."""
        self._run(f"DROP DATABASE IF EXISTS {_database_of(make_url(url))} WITH (FORCE)")

    def stop(self) -> None:
        """The server has ended."""
        self._server.stop()


def _database_of(url: URL) -> str:
    if url.database is None or not url.database.startswith("test_"):
        msg = "only databases of tests are dropped"
        raise ValueError(msg)
    return url.database
