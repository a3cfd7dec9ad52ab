"""Where notices and events arrive: a mail server, a webhook, an audit record repository; all on loopback."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self


class _Sink:
    """Accepts one connection after another, each in a thread, until it is stopped."""

    def __init__(self, port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Nothing of it is left."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        for thread in self._threads:
            thread.join(5)

    def hang_up(self) -> None:
        """Every connection ends."""
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            spoken = self.wrap(connection)
        except (OSError, ssl.SSLError):
            connection.close()
            return
        self._open.add(spoken)
        try:
            self.speak(spoken)
        except OSError:
            pass
        finally:
            self._open.discard(spoken)
            spoken.close()

    def wrap(self, connection: socket.socket) -> socket.socket:
        """What is spoken over."""
        return connection

    def speak(self, connection: socket.socket) -> None:
        """One connection from its beginning to its end."""
        raise NotImplementedError


class MailSink(_Sink):
    """A mail server (RFC 5321) that keeps what it is given; `refuses` names an address that it takes nothing for."""

    def __init__(self, *, refuses: str = "") -> None:
        self.mails: list[tuple[list[str], str]] = []
        self._refuses = refuses
        super().__init__()

    @property
    def url(self) -> str:
        """As the settings have it."""
        return f"smtp://127.0.0.1:{self.port}"

    def speak(self, connection: socket.socket) -> None:
        """EHLO, MAIL, RCPT, DATA, QUIT."""
        lines = connection.makefile("rb")
        connection.sendall(b"220 sink\r\n")
        to: list[str] = []
        for line in lines:
            word = line.strip().upper()
            if word.startswith(b"RCPT"):
                address = line.decode().partition("<")[2].partition(">")[0]
                taken = address != self._refuses
                if taken:
                    to.append(address)
                connection.sendall(b"250 ok\r\n" if taken else b"550 no such\r\n")
            elif word == b"DATA":
                connection.sendall(b"354 go on\r\n")
                body = b"".join(iter(lines.readline, b".\r\n"))
                self.mails.append((to, body.decode()))
                to = []
                connection.sendall(b"250 taken\r\n")
            elif word == b"QUIT":
                connection.sendall(b"221 bye\r\n")
                return
            else:
                connection.sendall(b"250 ok\r\n")


class RepositorySink(_Sink):
    """An audit record repository: syslog over TLS, messages counted in octets (RFC 5425)."""

    def __init__(self, certificate: tuple[Path, Path], *, port: int = 0, clients: Path | None = None) -> None:
        """`clients` vouches for those who may send; without it anyone may."""
        self.messages: list[bytes] = []
        self.arrived = threading.Condition()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*certificate)
        if clients is not None:
            self._context.load_verify_locations(clients)
            self._context.verify_mode = ssl.CERT_REQUIRED
        super().__init__(port)

    @property
    def url(self) -> str:
        """As the settings have it."""
        return f"tls://localhost:{self.port}"

    def wrap(self, connection: socket.socket) -> socket.socket:
        """TLS."""
        return self._context.wrap_socket(connection, server_side=True)

    def speak(self, connection: socket.socket) -> None:
        """Message after message."""
        stream = connection.makefile("rb")
        while True:
            length = bytearray()
            while (octet := stream.read(1)) not in (b" ", b""):
                length += octet
            if not length:
                return
            message = stream.read(int(length))
            with self.arrived:
                self.messages.append(message)
                self.arrived.notify_all()

    def wait_for(self, count: int) -> list[bytes]:
        """The messages, once there are so many."""
        with self.arrived:
            self.arrived.wait_for(lambda: len(self.messages) >= count, timeout=20)
            return list(self.messages)


class WebhookSink:
    """A webhook that remembers what is posted to it and answers with `status`."""

    def __init__(self) -> None:
        self.posted: list[tuple[dict[str, str], bytes]] = []
        self.status = 204
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sink.posted.append((dict(self.headers), body))
                self.send_response(sink.status)
                self.send_header("Content-Length", "0")
                if sink.status == 302:
                    self.send_header("Location", sink.url)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    def stop(self) -> None:
        """Nothing of it is left."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def webhook() -> Iterator[WebhookSink]:
    """A webhook for as long as a fixture lasts."""
    sink = WebhookSink()
    yield sink
    sink.stop()
