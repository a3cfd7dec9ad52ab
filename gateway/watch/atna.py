"""The feed of AuditEvents to an audit record repository (IHE ATNA): syslog by RFC 5424, over TLS by RFC 5425.

The protocol has no receipt but its ending (RFC 5425 §4.4): who is told that no more comes has read everything before
that, and ends the connection in turn, while one that goes away with something unread resets it. Only what was followed
by such an ending counts as sent; anything else is sent again. Each event comes at least once, and is told from its
repetition by its id.
"""

import fcntl
import os
import socket
import ssl
import struct
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import orjson
from sqlalchemy import Connection

from gateway.audit.fhir_audit_event import to_audit_events
from gateway.audit.record import AuditRecord
from gateway.errors import GatewayError
from gateway.watch.follow import Stored

NAME = "atna"
MESSAGE_ID = "FHIR+AuditEvent"
_PRIORITY = 10 * 8 + 5
"""RFC 5424 §6.2.1: facility "security/authorization", severity "notice", as ITI-20 asks."""
_WITHIN_S = 10
_MOST = 100_000
"""Events over one connection, until one ends early."""


class RepositoryAway(GatewayError):
    """The audit record repository can't be reached; what it lacks is sent later."""

    code = "repository-away"


class Feed:
    """The follower that sends."""

    name = NAME

    def __init__(
        self, address: str, base_url: str, *, ca: Path | None = None, cert: Path | None = None, key: Path | None = None
    ) -> None:
        """`address` is `tls://host:port`; `cert` and `key` show who we are (ITI-19). Raises ValueError, OSError."""
        where = urlsplit(address)
        self._where = where.hostname or "", where.port or 0
        self._base_url = base_url
        self._host = urlsplit(base_url).hostname or "-"
        self._context = ssl.create_default_context(cafile=ca)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        if cert is not None:
            self._context.load_cert_chain(cert, key)
        self._begun = 0
        """The position that `_read` counts from."""
        self._read = 0
        """How many events after it the repository has read."""
        self._most = _MOST

    def before(self, position: int, stored: Stored) -> None:
        """The repository has read every event of these records. Raises RepositoryAway."""
        frames = [frame for _, record in stored for frame in self._frames(record)]
        if position != self._begun:
            self._begun, self._read = position, 0
        while self._read < len(frames):
            some = frames[self._read : self._read + self._most]
            self._hand_over(some)
            self._read += len(some)
        self._most = min(_MOST, self._most * 2)

    def take(self, connection: Connection, stored: Stored, now: datetime) -> None:
        """Nothing: that they were sent is the position."""

    def forget(self) -> None:
        """Another process sends them again; this one needn't."""

    def close(self) -> None:
        """Nothing: no connection outlasts a step."""

    def _frames(self, record: AuditRecord) -> Iterator[bytes]:
        for event in to_audit_events(record, base_url=self._base_url):
            yield frame(event, host=self._host, process=os.getpid())

    def _hand_over(self, frames: Sequence[bytes]) -> None:
        try:
            connection = self._connected()
        except OSError as exc:
            raise RepositoryAway("the audit record repository can't be reached") from exc
        try:
            with connection:
                connection.sendall(b"".join(frames))
                _end(connection)
        except OSError as exc:
            self._most = max(1, len(frames) // 2)  # one that ends its connections early takes less at a time
            raise RepositoryAway("the audit record repository didn't read everything before it hung up") from exc

    def _connected(self) -> ssl.SSLSocket:
        plain = socket.create_connection(self._where, timeout=_WITHIN_S)
        try:
            return self._context.wrap_socket(plain, server_hostname=self._where[0])
        except BaseException:
            plain.close()
            raise


def frame(event: dict[str, object], *, host: str, process: int) -> bytes:
    """The event as one message: RFC 5424, with its length before it (RFC 5425 §4.3). Its JSON is ASCII alone."""
    said = orjson.dumps(event).decode()
    ascii_only = said if said.isascii() else _escaped(said)
    head = f"<{_PRIORITY}>1 {event['recorded']} {host} imaging-gateway {process} {MESSAGE_ID} - "
    message = (head + ascii_only).encode("ascii")
    return b"%d %s" % (len(message), message)


def _escaped(text: str) -> str:
    # A message that is not ASCII would have to begin with a byte order mark, which JSON must not (RFC 8259 §8.1).
    units = text.encode("utf-16-be")
    pairs = (int.from_bytes(units[n : n + 2], "big") for n in range(0, len(units), 2))
    return "".join(chr(unit) if unit < 0x80 else f"\\u{unit:04x}" for unit in pairs)


def _end(connection: ssl.SSLSocket) -> None:
    """No more comes, and the other side has read what came. Raises OSError where that isn't sure.

    Nothing may have ended before this says so: the other side's ending would then be no answer to it.
    """
    _wait_until_taken(connection)
    connection.setblocking(False)
    try:
        connection.recv(1)
    except ssl.SSLWantReadError:
        connection.settimeout(_WITHIN_S)
    else:
        raise ConnectionResetError("the other side ended first, or said something")
    with suppress(ssl.SSLEOFError, ssl.SSLZeroReturnError):  # many end the connection without a word of TLS
        connection.unwrap()
    with socket.socket(fileno=connection.detach()) as plain:
        plain.settimeout(_WITHIN_S)
        plain.shutdown(socket.SHUT_WR)
        while plain.recv(4096):
            pass
        _wait_until_taken(plain)


def _wait_until_taken(connection: socket.socket) -> None:
    """The other side's machine has everything that was sent. Raises OSError."""
    until = time.monotonic() + _WITHIN_S
    while True:
        if error := connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, os.strerror(error))
        (waiting,) = struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0" * 4))
        if not waiting:
            return
        if time.monotonic() > until:
            raise TimeoutError
        time.sleep(0.001)
