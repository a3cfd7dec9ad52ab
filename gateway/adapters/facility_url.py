"""Is this an address that a facility may have? What is written is what is asked: nothing is guessed or followed."""

import ipaddress
import re
from urllib.parse import urlsplit

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_PATH = re.compile(r"[A-Za-z0-9._~!$&'()+,;=:@%/-]*")
_NUMERIC = re.compile(r"(0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)


class BadURL(ValueError):
    """The text is no usable address; the message says what is wrong, and never quotes it."""


def base_url(text: str, *, https_only: bool) -> str:
    """`text` as a base URL without a slash at its end. Raises BadURL.

    With `https_only`, plain HTTP is for this machine alone.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise BadURL("is not a URL") from None
    if parts.scheme not in ("http", "https") or not text.startswith(("http://", "https://")):
        raise BadURL("must begin with http:// or https://")
    if "@" in parts.netloc:
        raise BadURL("must not hold a user or password; use [facility.auth]")
    if not _is_host(parts.hostname or "") or port == 0:
        raise BadURL("does not name a host")
    if "?" in text or "#" in text:
        raise BadURL("must have no query and no fragment")
    if not _PATH.fullmatch(parts.path) or ".." in parts.path.split("/"):
        raise BadURL("has a character or a step in its path that a base URL can't have")
    if https_only and parts.scheme != "https" and not _is_this_machine(parts.hostname or ""):
        raise BadURL("must be https in production")
    return text.rstrip("/")


def origin(text: str, *, https_only: bool) -> str:
    """`text` as an origin: scheme, host and port alone. Raises BadURL."""
    url = base_url(text, https_only=https_only)
    if urlsplit(url).path:
        raise BadURL("must be scheme://host[:port] without a path")
    return url


def _is_host(host: str) -> bool:
    if ":" in host:
        try:
            return ipaddress.IPv6Address(host).scope_id is None
        except ValueError:
            return False
    labels = host.rstrip(".").split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        # `127.1`, `0x7f.1` and `2130706433` are read as addresses by some resolvers and as names by none.
        try:
            return ipaddress.IPv4Address(host) is not None
        except ValueError:
            return False
    return bool(_HOST.fullmatch(host))


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
