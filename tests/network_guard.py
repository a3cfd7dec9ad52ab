"""No test speaks to another machine: connections beyond loopback are refused before they are made, and told of.

This sees what Python's own sockets do. libcurl and child processes connect on their own; what they are given to connect
to are loopback addresses of servers that tests start.
"""

import ipaddress
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NAMES_FOR_EXAMPLES = (".invalid", ".test", ".example", ".example.com", ".example.org", ".example.net")
"""RFC 2606: nobody's. A look-up fails, as it would on any machine."""

refused: list[str] = []
"""Every attempt so far."""
_on = [False]


class BeyondLoopback(RuntimeError):
    """A test tried to reach another machine."""


def _refuse(what: str) -> None:
    refused.append(what)
    msg = f"tests reach loopback only, not {what}"
    raise BeyondLoopback(msg)


def is_loopback(host: str) -> bool:
    """Whether the host is this machine, by its own names or addresses."""
    if host in ("", "localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _on[0]:
        return
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        if isinstance(address, tuple) and not is_loopback(str(address[0])):
            _refuse(f"{address[0]}:{address[1]}")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        _judge_name(arguments[0])


def _judge_name(host: object) -> None:
    name = host.decode() if isinstance(host, bytes) else str(host or "")
    if is_loopback(name) or _is_address(name) or name == socket.gethostname():
        return
    if name.rstrip(".").endswith(NAMES_FOR_EXAMPLES) or name.startswith("example."):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    _refuse(name)


sys.addaudithook(_audit)


@contextmanager
def loopback_only() -> Iterator[None]:
    """Within, connections and look-ups beyond loopback raise BeyondLoopback."""
    before = _on[0]
    _on[0] = True
    try:
        yield
    finally:
        _on[0] = before
