"""Which address does a request come from? The connection's, unless a proxy that is trusted says whose it passes on.

Of `X-Forwarded-For` only what such a proxy wrote is believed: the list is read from its end, as long as each address in
it is again that of a trusted proxy. What a client wrote itself stands before that and is never reached. Limits by
address, the audit and `GATEWAY_METRICS_ALLOW` go by this address.
"""

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from flask import Flask

from gateway.environment import Network

_Start = Callable[..., Any]


def believe_proxies(app: Flask, trusted: Sequence[Network]) -> None:
    """From now on the address of a request that comes from one of `trusted` is the one that it passes on."""
    if not trusted:
        return
    inner = app.wsgi_app

    def behind(environ: dict[str, Any], start_response: _Start) -> Iterable[bytes]:
        peer = environ.get("REMOTE_ADDR", "")
        environ["REMOTE_ADDR"] = address_behind(peer, environ.get("HTTP_X_FORWARDED_FOR", ""), trusted)
        return inner(environ, start_response)

    app.wsgi_app = behind  # type: ignore[method-assign]  # how Flask is wrapped


def address_behind(peer: str, forwarded: str, trusted: Sequence[Network]) -> str:
    """The first address, from the connection outwards, that is no trusted proxy's; empty where one wrote no address.

    (What a proxy says of somebody else must not be taken for the proxy itself.)
    """
    found = peer
    hops = [hop.strip() for hop in forwarded.split(",")] if forwarded else []
    while hops and _is_trusted(found, trusted):
        hop = _address(_without_port(hops.pop()))
        if hop is None:
            return ""
        found = str(hop)
    return found


def _without_port(hop: str) -> str:
    """Some proxies write `192.0.2.1:4711` or `[2001:db8::1]:4711`."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def _is_trusted(text: str, trusted: Sequence[Network]) -> bool:
    address = _address(text)
    return address is not None and any(address in network for network in trusted)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.split("%", 1)[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
