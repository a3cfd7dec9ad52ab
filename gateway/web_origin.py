"""What an origin is (RFC 6454 §4), as browsers write it in `Origin`."""

import ipaddress
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"https": 443, "http": 80}


def origin_of(url: str) -> str | None:
    """The origin of an https URL, or an http URL of this machine, as browsers write it; None for anything else."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return None
    if not host or parts.username is not None or parts.password is not None or "\\" in url or not host.isascii():
        return None
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_this_machine(host)):
        return None
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{port}" if port not in (None, _DEFAULT_PORTS[parts.scheme]) else "")


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
