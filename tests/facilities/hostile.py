"""Facilities that behave badly, each in one way, on real sockets."""

import socket
import struct
import zlib
from collections.abc import Callable
from contextlib import closing

import orjson

from tests.facilities.little_server import LittleServer, Request, response
from tests.facilities.rows import Row, a_study_row

Manner = Callable[["HostileServer", Request, socket.socket], None]

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\n"
ONE_GB = 1024**3


class HostileServer(LittleServer):
    """Answers everything in one manner (a name of `MANNERS`), and closes the connection after it."""

    root = "/dicom-web"

    def __init__(self, manner: str, *, elsewhere: str = "http://127.0.0.1:9/") -> None:
        self.manner = manner
        self.elsewhere = elsewhere
        """Where a redirect leads."""
        self.sent = 0
        """Bytes of body that the peer took in."""
        super().__init__()

    def answer(self, request: Request, connection: socket.socket) -> bool:
        """What the manner has to say."""
        MANNERS[self.manner](self, request, connection)
        return False

    def send(self, connection: socket.socket, data: bytes) -> None:
        """`data` is on its way, and counted."""
        connection.sendall(data)
        self.sent += len(data)


def refused_url() -> str:
    """A URL whose port nobody listens on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    return f"http://127.0.0.1:{port}/dicom-web"


class BlackHole:
    """A port that never accepts: its backlog is full, so that a connection attempt gets no answer at all."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/dicom-web"
        self._fillers: list[socket.socket] = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(self._listener.getsockname())
            self._fillers.append(filler)

    def __enter__(self) -> "BlackHole":
        return self

    def __exit__(self, *_: object) -> None:
        for filler in (*self._fillers, self._listener):
            filler.close()


def json_bytes(rows: list[Row]) -> bytes:
    """`rows` as an archive writes them."""
    return orjson.dumps(rows)


def _hang(server: HostileServer, _request: Request, _connection: socket.socket) -> None:
    server.stopping.wait(60)


def _headers_then_stall(server: HostileServer, _request: Request, connection: socket.socket) -> None:
    server.send(connection, _HEAD + b"Content-Length: 100\r\n\r\n[")
    server.stopping.wait(60)


def _drip(server: HostileServer, _request: Request, connection: socket.socket) -> None:
    server.send(connection, _HEAD + b"Content-Length: 1000\r\n\r\n")
    while not server.stopping.wait(0.05):
        server.send(connection, b" ")


def _drip_headers(server: HostileServer, _request: Request, connection: socket.socket) -> None:
    server.send(connection, b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not server.stopping.wait(0.05):
        server.send(connection, b"a")


def _endless_headers(server: HostileServer, _request: Request, connection: socket.socket) -> None:
    server.send(connection, b"HTTP/1.1 200 OK\r\n")
    while not server.stopping.is_set():
        server.send(connection, b"X-More: " + b"a" * 8000 + b"\r\n")


def _one_gb(server: HostileServer, _request: Request, connection: socket.socket) -> None:
    server.send(connection, _HEAD + b"Connection: close\r\n\r\n[")
    while server.sent < ONE_GB and not server.stopping.is_set():
        server.send(connection, b" " * 1_000_000)


def _declared_gb(server: HostileServer, _request: Request, connection: socket.socket) -> None:
    server.send(connection, _HEAD + b"Content-Length: %d\r\n\r\n[" % ONE_GB)
    while server.sent < ONE_GB and not server.stopping.is_set():
        server.send(connection, b" " * 1_000_000)


def _gzip_bomb(server: HostileServer, _request: Request, connection: socket.socket) -> None:
    server.send(connection, _HEAD + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n")
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    for _ in range(1000):
        server.send(connection, packer.compress(b" " * 1_000_000))
    server.send(connection, packer.flush())


def _gzip_garbage(server: HostileServer, _request: Request, connection: socket.socket) -> None:
    server.send(connection, response(200, b"this is not gzip", headers=(("Content-Encoding", "gzip"),)))


def _garbage(server: HostileServer, _request: Request, connection: socket.socket) -> None:
    server.send(connection, bytes(range(256)) * 40)


def _garbage_body(server: HostileServer, _request: Request, connection: socket.socket) -> None:
    server.send(connection, response(200, bytes(range(1, 256)) * 40))


def _html(server: HostileServer, _request: Request, connection: socket.socket) -> None:
    page = b"<!doctype html><html><title>Log in</title><form>...</form></html>"
    server.send(connection, response(200, page, content_type="text/html"))


def _truncated_chunk(server: HostileServer, _request: Request, connection: socket.socket) -> None:
    server.send(connection, _HEAD + b'Transfer-Encoding: chunked\r\n\r\n1000\r\n[{"0020000D"')


def _short_body(server: HostileServer, _request: Request, connection: socket.socket) -> None:
    server.send(connection, _HEAD + b"Content-Length: 5000\r\n\r\n[]")


def _reset_in_body(server: HostileServer, _request: Request, connection: socket.socket) -> None:
    server.send(connection, _HEAD + b"Content-Length: 5000\r\n\r\n[")
    server.stopping.wait(0.05)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _no_answer(_server: HostileServer, _request: Request, _connection: socket.socket) -> None:
    return


def _redirect(server: HostileServer, _request: Request, connection: socket.socket) -> None:
    server.send(connection, response(302, headers=(("Location", server.elsewhere),)))


def _status(status: int) -> Manner:
    def manner(server: HostileServer, _request: Request, connection: socket.socket) -> None:
        server.send(connection, response(status, b'{"message":"no"}', headers=(("Retry-After", "1"),)))

    return manner


def _body(make: Callable[[Request], bytes]) -> Manner:
    def manner(server: HostileServer, request: Request, connection: socket.socket) -> None:
        server.send(connection, response(200, make(request)))

    return manner


def _patient_of(request: Request) -> str:
    return dict(request.parameters).get("PatientID", "")


def _other_patients(_request: Request) -> bytes:
    return json_bytes([a_study_row(f"OTHER-{n}", f"2.25.9{n}") for n in range(5)])


def _ten_thousand(request: Request) -> bytes:
    return json_bytes([a_study_row(_patient_of(request), f"2.25.8{n:05}") for n in range(10_000)])


def _deep(_request: Request) -> bytes:
    return b"[" * 100_000 + b"]" * 100_000


def _not_a_number(request: Request) -> bytes:
    row = json_bytes([a_study_row(_patient_of(request), "2.25.7")])
    return row[:-2] + b',"00201208":{"vr":"IS","Value":[NaN]}}]'


def _twice(request: Request) -> bytes:
    row = json_bytes([a_study_row(_patient_of(request), "2.25.6")])
    return row[:-2] + b',"00100020":{"vr":"LO","Value":["OTHER"]}}]'


def _invalid_utf8(request: Request) -> bytes:
    return json_bytes([a_study_row(_patient_of(request), "2.25.5", description="X")]).replace(b'"X"', b'"\xff\xfe"')


def _many_empty_lists(_request: Request) -> bytes:
    return b"[" + b"[]," * 8_000_000 + b"[]]"


MANNERS: dict[str, Manner] = {
    "hang": _hang,
    "headers-then-stall": _headers_then_stall,
    "drip": _drip,
    "drip-headers": _drip_headers,
    "endless-headers": _endless_headers,
    "one-gb": _one_gb,
    "declared-gb": _declared_gb,
    "gzip-bomb": _gzip_bomb,
    "gzip-garbage": _gzip_garbage,
    "garbage": _garbage,
    "garbage-body": _garbage_body,
    "html": _html,
    "truncated-chunk": _truncated_chunk,
    "short-body": _short_body,
    "reset-in-body": _reset_in_body,
    "no-answer": _no_answer,
    "redirect": _redirect,
    **{str(status): _status(status) for status in (400, 401, 403, 404, 429, 500, 502, 503)},
    "other-patients": _body(_other_patients),
    "ten-thousand": _body(_ten_thousand),
    "deep": _body(_deep),
    "nan": _body(_not_a_number),
    "duplicate-keys": _body(_twice),
    "invalid-utf8": _body(_invalid_utf8),
    "many-empty-lists": _body(_many_empty_lists),
    "object": _body(lambda _request: b'{"studies":[]}'),
    "strings": _body(lambda _request: b'["a","b"]'),
}
"""`drip` sends a byte every 50 ms: to a deadline of one second that is what a byte a second is to one of twenty."""
