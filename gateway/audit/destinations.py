"""Places outside that keep the log's checkpoints: a folder, another facility or a witness over HTTP, a log server.

What is sent is signed and names nobody, so it may lie anywhere. A place may get one checkpoint twice.
"""

import http.client
import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from gateway.audit.checkpoint import add_checkpoint_request
from gateway.audit.checkpoints import Checkpoint, Checkpoints
from gateway.errors import GatewayError

_WITHIN_S = 10
_MOST_ANSWERED_BYTES = 4096
_PRIORITY = 13 * 8 + 5
"""RFC 5424 §6.2.1: facility "log audit", severity "notice"."""


class NotDelivered(GatewayError):
    """A place outside did not take a checkpoint; it is tried again."""

    code = "checkpoint-not-delivered"


class Destination(Protocol):
    """A place outside."""

    name: str
    kind: str
    """`folder`, `http` or `syslog`, for the counts."""

    def deliver(self, made: Checkpoint, before: int) -> None:
        """The place has `made`; `before` is the size of the last that it has. Raises NotDelivered."""
        ...


class Folder:
    """Checkpoints as files; none is ever overwritten, not even by another log's of the same size."""

    kind = "folder"

    def __init__(self, path: Path) -> None:
        self.name = f"folder {path}"
        self._path = path

    def deliver(self, made: Checkpoint, before: int) -> None:
        """A complete file with the note is there."""
        path = self._path / f"{made.size:012d}-{made.root[:4].hex()}.txt"
        draft = self._path / f".{path.name}.{os.getpid()}"
        try:
            with draft.open("x", encoding="utf-8") as file:  # through no link that somebody else has put there
                file.write(made.note)
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(draft, path)
            if path.read_text(encoding="utf-8") != made.note:
                raise NotDelivered("another checkpoint has its file's name")
        except (OSError, UnicodeDecodeError) as exc:
            raise NotDelivered("the folder can't be written to") from exc
        finally:
            with suppress(OSError):
                draft.unlink()


class Posted:
    """Another facility, or whoever takes a POST."""

    kind = "http"

    def __init__(self, url: str) -> None:
        self.name = url.partition("?")[0]  # what follows may be a secret
        self._url = urlsplit(url)

    def deliver(self, made: Checkpoint, before: int) -> None:
        """It has answered 2xx to the note."""
        status, _ = _post(self._url, made.note)
        if not 200 <= status < 300:
            raise NotDelivered(f"it answered {status}")


class Witness:
    """A witness (C2SP tlog-witness): it sees for itself that each checkpoint continues the one before."""

    kind = "http"

    def __init__(self, url: str, proof: Callable[[int, int], list[bytes]]) -> None:
        """`proof` shows that the log of one size begins with that of another."""
        self.name = url
        self._url = urlsplit(url)
        self._proof = proof

    def deliver(self, made: Checkpoint, before: int) -> None:
        """It has signed this checkpoint, or a later one."""
        status, said = self._ask(made, before)
        if status == 409:  # it has seen another one last, and says which
            seen = _size_in(said)
            if seen > made.size:
                return
            status, said = self._ask(made, seen)
        if status != 200:
            raise NotDelivered(f"the witness answered {status}")

    def _ask(self, made: Checkpoint, old: int) -> tuple[int, bytes]:
        proof = self._proof(old, made.size) if old else []
        return _post(self._url, add_checkpoint_request(old, proof, made.note))


class Syslog:
    """A log server: RFC 5424 messages by TLS (RFC 5425), TCP (RFC 6587, octet counting) or UDP (RFC 5426)."""

    kind = "syslog"

    def __init__(self, address: str, origin: str) -> None:
        self.name = address
        self._address = urlsplit(address)
        self._host = origin.partition(":")[0]

    def deliver(self, made: Checkpoint, before: int) -> None:
        """The message has been handed to the network; TCP and TLS say whether somebody was there to take it."""
        time = made.made_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        said = json.dumps({"checkpoint": made.note})
        message = f"<{_PRIORITY}>1 {time} {self._host} gateway - audit-checkpoint - {said}".encode()
        try:
            self._send(message)
        except (OSError, ValueError) as exc:
            raise NotDelivered("the log server can't be reached") from exc

    def _send(self, message: bytes) -> None:
        host, port = self._address.hostname or "", self._address.port or 0
        if self._address.scheme == "udp":
            ((family, kind, _, _, where), *_) = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
            with socket.socket(family, kind) as sender:
                sender.sendto(message, where)
            return
        with socket.create_connection((host, port), timeout=_WITHIN_S) as plain:
            if self._address.scheme == "tcp":
                plain.sendall(b"%d %s" % (len(message), message))
                return
            with ssl.create_default_context().wrap_socket(plain, server_hostname=host) as secret:
                secret.sendall(b"%d %s" % (len(message), message))


def destinations(
    *, folder: Path | None, urls: tuple[str, ...], syslog: str, origin: str, checkpoints: Checkpoints
) -> list[Destination]:
    """The places that the settings name."""
    found: list[Destination] = [Folder(folder)] if folder else []
    for url in urls:
        is_witness = urlsplit(url).path.endswith("/add-checkpoint")
        found.append(Witness(url, checkpoints.consistency) if is_witness else Posted(url))
    return [*found, Syslog(syslog, origin)] if syslog else found


def _post(url: SplitResult, body: str) -> tuple[int, bytes]:
    # http.client follows no redirect and heeds no proxy of the environment.
    host, port = url.hostname or "", url.port
    if url.scheme == "https":
        context = ssl.create_default_context()
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, port, timeout=_WITHIN_S, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_WITHIN_S)
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    try:
        connection.connect()
        with _cut_off_in_time(connection.sock):
            connection.request("POST", target, body.encode(), {"Content-Type": "text/plain; charset=utf-8"})
            answer = connection.getresponse()
            return answer.status, answer.read(_MOST_ANSWERED_BYTES)
    except (OSError, http.client.HTTPException, ValueError) as exc:
        raise NotDelivered("it can't be reached, or doesn't answer in time") from exc
    finally:
        connection.close()


@contextmanager
def _cut_off_in_time(connected: socket.socket) -> Iterator[None]:
    # A socket's timeout is for each byte: a place that sends one now and then would hold up all others for hours.
    cut = threading.Event()

    def cut_off() -> None:
        cut.set()
        with suppress(OSError):
            connected.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(_WITHIN_S, cut_off)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    if cut.is_set():  # what was read looks like the end of an answer
        raise TimeoutError


def _size_in(said: bytes) -> int:
    text = said.strip()
    if not text.isdigit() or len(text) > 18:
        raise NotDelivered("the witness answered 409 without a size")
    return int(text)
