"""The feed of AuditEvents to an audit record repository (IHE ATNA): syslog by RFC 5424, over TLS by RFC 5425.

The protocol has no receipt. What was sent last is therefore sent again when a connection turns out to have ended: each
event comes at least once, and is told from its repetition by its id.
"""

import os
import socket
import ssl
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
        self._connection: ssl.SSLSocket | None = None
        self._last: tuple[bytes, ...] = ()

    def before(self, position: int, stored: Stored) -> None:
        """Every event of these records has been sent. Raises RepositoryAway."""
        frames = tuple(frame for _, record in stored for frame in self._frames(record))
        try:
            if self._connection is not None and _has_ended(self._connection):
                self._hang_up()
            if self._connection is None:
                self._connection = self._connected()
                self._send(self._last)  # it may have been under way when the last connection ended
            self._send(frames)
        except OSError as exc:
            self._hang_up()
            raise RepositoryAway("the audit record repository can't be reached") from exc
        self._last = frames

    def take(self, connection: Connection, stored: Stored, now: datetime) -> None:
        """Nothing: that they were sent is the position."""

    def forget(self) -> None:
        """They are sent again, by this process or another."""

    def close(self) -> None:
        """The connection is over."""
        self._hang_up()

    def _frames(self, record: AuditRecord) -> Iterator[bytes]:
        for event in to_audit_events(record, base_url=self._base_url):
            yield frame(event, host=self._host, process=os.getpid())

    def _connected(self) -> ssl.SSLSocket:
        plain = socket.create_connection(self._where, timeout=_WITHIN_S)
        try:
            return self._context.wrap_socket(plain, server_hostname=self._where[0])
        except BaseException:
            plain.close()
            raise

    def _send(self, frames: Sequence[bytes]) -> None:
        assert self._connection is not None  # noqa: S101  # there is one by now
        self._connection.sendall(b"".join(frames))

    def _hang_up(self) -> None:
        if self._connection is not None:
            with suppress(OSError):
                self._connection.close()
            self._connection = None


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


def _has_ended(connection: ssl.SSLSocket) -> bool:
    """Whether the other side has hung up: a log server says nothing else."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except ssl.SSLWantReadError:
        return False
    except OSError:
        return True
    finally:
        with suppress(OSError):
            connection.settimeout(_WITHIN_S)
