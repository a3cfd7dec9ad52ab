"""A Redis of the tests' own, in memory only."""

import socket

from tests.services.process import Server, accepts_connections, binary, free_port, scratch_folder


class Redis:
    """A running server without persistence."""

    def __init__(self) -> None:
        folder = scratch_folder("redis")
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        argv = [binary("redis-server"), "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(folder)]
        argv += ["--save", "", "--appendonly", "no", "--daemonize", "no"]
        self._server = Server("redis", argv, folder=folder)
        self._server.wait_until(lambda: accepts_connections(self.port))

    def clear(self) -> None:
        """It holds no key."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(b"FLUSHALL\r\n")
            assert connection.recv(64) == b"+OK\r\n"

    def stop(self) -> None:
        """The server has ended."""
        self._server.stop()
