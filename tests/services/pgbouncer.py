"""PgBouncer in transaction mode before the tests' PostgreSQL, as in production."""

import os

from sqlalchemy import make_url

from tests.services.postgres import OWNER, Postgres
from tests.services.process import Server, accepts_connections, binary, free_port, scratch_folder


class PgBouncer:
    """A running pooler for every database of one PostgreSQL. It refuses to run as root, as PostgreSQL does."""

    def __init__(self, postgres: Postgres, *, pool_size: int = 4) -> None:
        folder = scratch_folder("pgbouncer")
        self.port = free_port()
        (folder / "users.txt").write_text(f'"{OWNER}" ""\n')
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "trust",
            "auth_file": folder / "users.txt",
            "pool_mode": "transaction",
            "default_pool_size": pool_size,
            "max_client_conn": 500,
            "admin_users": OWNER,
        }
        lines = ["[databases]", f"* = host=127.0.0.1 port={postgres.port}", "[pgbouncer]"]
        lines += [f"{name} = {value}" for name, value in settings.items()]
        file = folder / "pgbouncer.ini"
        file.write_text("\n".join(lines) + "\n")
        user = "postgres" if os.geteuid() == 0 else None
        self._server = Server("pgbouncer", [binary("pgbouncer"), str(file)], folder=folder, user=user)
        self._server.wait_until(lambda: accepts_connections(self.port))

    def url(self, postgres_url: str) -> str:
        """The URL of the same database, through the pooler."""
        return make_url(postgres_url).set(port=self.port).render_as_string(hide_password=False)

    def stop(self) -> None:
        """The pooler has ended."""
        self._server.stop()
