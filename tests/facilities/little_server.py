"""A little HTTP/1.1 server on a loopback port: a thread a connection, keep-alive, every request remembered.

It works on bare sockets so that a subclass can be as rude as a facility can be.
"""

import socket
import threading
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qsl


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as it came over the wire; `path` and `query` are not decoded."""

    method: str
    path: str
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def target(self) -> str:
        """Path and query as they were written."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """The query's names and values, percent-decoded."""
        return parse_qsl(self.query, keep_blank_values=True)


class LittleServer:
    """Listens as soon as it is made; `with` (or `stop`) closes every socket and ends every thread."""

    root = ""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.stopping = threading.Event()
        """Set when the server stops: wait on it in place of sleeping."""
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    @property
    def url(self) -> str:
        """The base URL, `root` included."""
        return f"http://127.0.0.1:{self.port}{self.root}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """No socket and no thread of the server is left; its port refuses connections."""
        self.stopping.set()
        _close(self._listener)
        self._accepting.join(5)
        with self._lock:
            left = list(self._open)
        for connection in left:
            _close(connection)
        for thread in self._threads:
            thread.join(5)

    def answer(self, request: Request, connection: socket.socket) -> bool:
        """Write the answer; True where the connection may be used again."""
        raise NotImplementedError

    def wrap(self, connection: socket.socket) -> socket.socket:
        """The connection that is spoken over: another one where a subclass speaks TLS."""
        return connection

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.connections += 1
                self._open.add(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket) -> None:
        connection = plain
        try:
            connection = self.wrap(plain)
            with self._lock:
                self._open.discard(plain)
                self._open.add(connection)
            with connection.makefile("rb") as reader:
                while not self.stopping.is_set():
                    request = read_request(reader)
                    if request is None:
                        return
                    with self._lock:
                        self.requests.append(request)
                    if not self.answer(request, connection):
                        return
        except (OSError, ValueError):
            return  # the peer went away, which is its right
        finally:
            with self._lock:
                self._open -= {plain, connection}
            _close(connection)
            _close(plain)


def read_request(reader: object) -> Request | None:
    """The next request of a connection, or None where the peer closed it."""
    line = reader.readline(65536)  # type: ignore[attr-defined]
    if not line.strip():
        return None
    method, target, _version = line.decode("latin-1").split(" ", 2)
    headers: dict[str, str] = {}
    while (header := reader.readline(65536).decode("latin-1").rstrip("\r\n")) != "":  # type: ignore[attr-defined]
        name, _, value = header.partition(":")
        headers[name.strip().lower()] = value.strip()
    body_length = int(headers.get("content-length", "0"))
    if body_length:
        reader.read(body_length)  # type: ignore[attr-defined]
    path, _, query = target.partition("?")
    return Request(method=method, path=path, query=query, headers=headers)


def response(
    status: int,
    body: bytes = b"",
    *,
    content_type: str = "application/dicom+json",
    headers: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """A whole HTTP/1.1 response."""
    lines = [f"HTTP/1.1 {status} Answer", f"Content-Length: {len(body)}"]
    if body:
        lines.append(f"Content-Type: {content_type}")
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def _close(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # already gone
    finally:
        connection.close()
