"""Reads a client's JWK Set from the address it registered: once, within three seconds, and from nowhere else.

libcurl because it has one limit on the whole exchange (a server that drips a byte a second holds nobody up) and lets
us see the very address it is about to connect to, so that no name can change its mind in between (DNS rebinding).
"""

import email.utils
import ipaddress
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from socket import socket
from typing import Any
from urllib.parse import urlsplit

import certifi
import pycurl

from gateway.errors import GatewayError

MOST_BYTES = 64 * 1024
MOST_HEADER_BYTES = 16 * 1024
TOTAL_MS = 3000
MOST_FRESH_S = 300.0
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_TRANSLATED = tuple(ipaddress.ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16"))
"""IPv6 ranges that stand for an IPv4 address: `ipaddress` calls them global whatever they stand for."""


class JWKSUnavailable(GatewayError):
    """The set could not be read; `reason` is ours and quotes nothing that came back."""

    code = "jwks-unavailable"


@dataclass(frozen=True, slots=True)
class FetchedJWKS:
    """What was answered, and for how many seconds it may be used."""

    body: bytes
    fresh_s: float


FetchJWKS = Callable[[str], FetchedJWKS]


def is_public(address: _Address) -> bool:
    """Whether `address` is on the public internet, and can't reach our own machine or network by another name."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if any(address in network for network in _TRANSLATED):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def problems_of_jwks_uri(uri: str, *, production: bool) -> list[str]:
    """What is wrong with an address to read keys from; empty where nothing is."""
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ["the JWKS address is not a URL"]
    # A backslash, a space or a control character makes two parsers see two hosts in one URL.
    plain = all("!" <= character <= "~" and character != "\\" for character in uri)
    if not plain or not host or port == 0 or parts.fragment or "@" in parts.netloc:
        return ["the JWKS address needs a host, in ASCII, and no user name or fragment"]
    if parts.scheme not in (("https",) if production else ("https", "http")):
        return ["the JWKS address must be https" + ("" if production else " (or http in development)")]
    return []


class JWKSFetcher:
    """Fetches JWK Sets. In production over https and from public addresses only; never from a link-local one."""

    def __init__(self, *, production: bool, total_ms: int = TOTAL_MS, ca_file: str | None = None) -> None:
        self._production = production
        self._total_ms = total_ms
        self._ca_file = ca_file

    def __call__(self, uri: str) -> FetchedJWKS:
        """The answer of `uri`: 200, JSON-sized, no redirect followed. Raises JWKSUnavailable for everything else."""
        if problems := problems_of_jwks_uri(uri, production=self._production):
            raise JWKSUnavailable(problems[0])
        body, headers = _Capped(MOST_BYTES), _Capped(MOST_HEADER_BYTES)
        curl, sockets = pycurl.Curl(), _Sockets(self._production)
        try:
            self._set_up(curl, uri)
            curl.setopt(pycurl.OPENSOCKETFUNCTION, sockets.open)
            curl.setopt(pycurl.WRITEFUNCTION, body.write)
            curl.setopt(pycurl.HEADERFUNCTION, headers.write)
            curl.perform()
            status = curl.getinfo(pycurl.RESPONSE_CODE)
        except pycurl.error as exc:
            raise JWKSUnavailable(_why(int(exc.args[0]), body)) from exc
        finally:
            curl.close()
            sockets.close()
        if status != 200:
            raise JWKSUnavailable("the answer was not 200")
        return FetchedJWKS(bytes(body.held), freshness_s(bytes(headers.held), time.time()))

    def _set_up(self, curl: Any, uri: str) -> None:
        curl.setopt(pycurl.URL, uri)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTPS | (0 if self._production else pycurl.PROTO_HTTP))
        curl.setopt(pycurl.FOLLOWLOCATION, 0)
        curl.setopt(pycurl.TIMEOUT_MS, self._total_ms)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, self._total_ms)
        curl.setopt(pycurl.MAXFILESIZE, MOST_BYTES)
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.PROXY, "")
        curl.setopt(pycurl.NETRC, pycurl.NETRC_IGNORED)
        curl.setopt(pycurl.HTTPHEADER, ["Accept: application/jwk-set+json, application/json"])
        curl.setopt(pycurl.USERAGENT, "imaging-exchange-gateway")
        curl.setopt(pycurl.FRESH_CONNECT, 1)
        curl.setopt(pycurl.FORBID_REUSE, 1)
        curl.setopt(pycurl.CAINFO, self._ca_file or ssl.get_default_verify_paths().cafile or certifi.where())


class _Sockets:
    """Opens a socket for each address libcurl is about to connect to, or refuses it."""

    def __init__(self, production: bool) -> None:
        self._production = production
        self._opened: list[socket] = []

    def open(self, _purpose: int, target: Any) -> Any:
        family, kind, protocol, address = target
        ip = ipaddress.ip_address(str(address[0]).split("%", 1)[0])
        mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
        if (mapped or ip).is_link_local or (self._production and not is_public(ip)):
            return pycurl.SOCKET_BAD
        # pycurl takes a duplicate; ours is closed with the rest.
        self._opened.append(socket(family, kind, protocol))
        return self._opened[-1]

    def close(self) -> None:
        for opened in self._opened:
            opened.close()


class _Capped:
    """Holds what arrives and stops the transfer once it is too much."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.held = bytearray()
        self.overflowed = False

    def write(self, chunk: bytes) -> int:
        if len(self.held) + len(chunk) > self._most:
            self.overflowed = True
            return -1
        self.held += chunk
        return len(chunk)


def freshness_s(header_lines: bytes, now: float) -> float:
    """For how many seconds an answer with these header lines may be used (RFC 9111 §4.2), five minutes at most."""
    headers: dict[str, list[str]] = {}
    for line in header_lines.decode("latin-1").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), []).append(value.strip())
    directives = dict(_directive(text) for value in headers.get("cache-control", []) for text in value.split(","))
    if "no-store" in directives or "no-cache" in directives:
        return 0.0
    age = _seconds(headers.get("age", ["0"])[0])
    if "max-age" in directives:
        return min(MOST_FRESH_S, max(0.0, _seconds(directives["max-age"]) - age))
    if "expires" in headers:
        return min(MOST_FRESH_S, max(0.0, _until(headers["expires"][0], now) - age))
    return MOST_FRESH_S


def _directive(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip().lower(), value.strip().strip('"')


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0.0


def _until(text: str, now: float) -> float:
    try:
        return email.utils.parsedate_to_datetime(text).astimezone(UTC).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _why(number: int, body: _Capped) -> str:
    if body.overflowed or number == pycurl.E_FILESIZE_EXCEEDED:
        return "the answer is too large"
    if number == pycurl.E_OPERATION_TIMEDOUT:
        return "no answer in time"
    return "it could not be reached"
