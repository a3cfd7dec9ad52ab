"""Which address a request comes from, whatever it says of itself."""

import ipaddress

import pytest
from flask import Flask, request

from gateway.proxies import address_behind, believe_proxies

TRUSTED = [ipaddress.ip_network(text) for text in ("127.0.0.1", "10.0.0.0/8", "fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", "192.0.2.1, 10.0.0.5", "192.0.2.1"),
        ("127.0.0.1", "198.51.100.66, 192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", "198.51.100.66, 192.0.2.1, 10.1.1.1", "192.0.2.1"),
        ("127.0.0.1", "10.0.0.6", "10.0.0.6"),
        ("127.0.0.1", "unknown", ""),
        ("127.0.0.1", "192.0.2.1, _hidden", ""),
        ("127.0.0.1", "192.0.2.1,", ""),
        ("127.0.0.1", "192.0.2.1:4711", "192.0.2.1"),
        ("127.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("127.0.0.1", "x, 192.0.2.1", "192.0.2.1"),
        ("::ffff:127.0.0.1", "2001:DB8::1", "2001:db8::1"),
        ("fd00::1", "::ffff:192.0.2.1", "192.0.2.1"),
        ("127.0.0.2", "192.0.2.1", "127.0.0.2"),
        ("192.0.2.9", "127.0.0.1", "192.0.2.9"),
        ("", "192.0.2.1", ""),
    ],
)
def test_t040_only_what_a_trusted_proxy_wrote_is_believed(peer: str, forwarded: str, address: str) -> None:
    """Read from the end; what a client wrote before its first proxy is never reached."""
    assert address_behind(peer, forwarded, TRUSTED) == address


@pytest.mark.parametrize(("trusted", "address"), [(TRUSTED, "192.0.2.1"), ([], "127.0.0.1")])
def test_t040_without_a_trusted_proxy_the_header_is_not_read(
    trusted: list[ipaddress.IPv4Network], address: str
) -> None:
    """As an application sees it."""
    app = Flask("test")
    app.add_url_rule("/", view_func=lambda: str(request.remote_addr))
    believe_proxies(app, trusted)
    assert app.test_client().get("/", headers={"X-Forwarded-For": "192.0.2.1"}).text == address
