"""A server that publishes a client's keys, well and in every way it should not."""

import gzip
import socket
import ssl

import trustme

from tests.facilities.little_server import LittleServer, Request
from tests.factories_auth import a_jwks


class KeyServer(LittleServer):
    """Answers by path: well, and in every way a key server should not."""

    def answer(self, request: Request, connection: socket.socket) -> bool:
        getattr(self, "_" + request.path.strip("/"), self._nothing)(connection)
        return False

    def _jwks(self, connection: socket.socket) -> None:
        self._send(connection, "200 OK", a_jwks().encode(), "Cache-Control: public, max-age=60\r\n")

    def _redirect(self, connection: socket.socket) -> None:
        self._send(connection, "302 Found", b"", f"Location: {self.url}/jwks\r\n")

    def _metadata(self, connection: socket.socket) -> None:
        self._send(connection, "307 Temporary Redirect", b"", "Location: http://169.254.169.254/latest\r\n")

    def _large(self, connection: socket.socket) -> None:
        self._send(connection, "200 OK", b" " * 65_537, "")

    def _endless(self, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while not self.stopping.is_set():
            connection.sendall(b" " * 4096)

    def _bomb(self, connection: socket.socket) -> None:
        self._send(connection, "200 OK", gzip.compress(b" " * 10_000_000), "Content-Encoding: gzip\r\n")

    def _headers(self, connection: socket.socket) -> None:
        many = "".join(f"X-{number}: {'y' * 1000}\r\n" for number in range(40))
        self._send(connection, "200 OK", a_jwks().encode(), many)

    def _hang(self, connection: socket.socket) -> None:
        self.stopping.wait(10)

    def _drip(self, connection: socket.socket) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b" " * 1000:
            if self.stopping.wait(0.02):
                return
            connection.sendall(bytes([byte]))

    def _cut(self, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")

    def _garbage(self, connection: socket.socket) -> None:
        connection.sendall(b"\x00\x01\x02\r\n\r\n")

    def _nothing(self, connection: socket.socket) -> None:
        self._send(connection, "404 Not Found", b"{}", "")

    def _send(self, connection: socket.socket, status: str, body: bytes, headers: str) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n"
        connection.sendall(head.encode() + body)


class TLSKeyServer(KeyServer):
    """The same behind TLS."""

    def __init__(self, certificate: trustme.LeafCert) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(self._context)
        super().__init__()

    def _serve(self, connection: socket.socket) -> None:
        try:
            secured = self._context.wrap_socket(connection, server_side=True)
        except (ssl.SSLError, OSError):
            connection.close()
            return
        super()._serve(secured)
