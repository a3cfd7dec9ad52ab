"""To which addresses an app may be answered: registered ones, each compared whole (RFC 9700 §2.1, T24). Pure."""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from gateway.web_origin import origin_of

_PRINTABLE = re.compile(r"[!-~]{1,2000}")


def problems_of_redirect_uris(uris: Sequence[str]) -> list[str]:
    """What is wrong with addresses that an app is to be registered with; empty where nothing is."""
    problems = [f"{uri!r:.200} {problem}" for uri in uris if (problem := problem_of_address(uri))]
    return problems if uris else ["an app needs at least one"]


def problem_of_address(uri: str) -> str | None:
    """Why `uri` can't be an app's address; None where it can: https, or http on the machine of whoever uses it."""
    if not _PRINTABLE.fullmatch(uri) or any(character in uri for character in '\\<>"{}|^`'):
        return "has characters that no URI has"
    if origin_of(uri) is None:
        return "is not https (nor http on a loopback address)"
    parts = urlsplit(uri)
    if "#" in uri:
        return "has a fragment"
    if "*" in parts.netloc:
        return "has a wildcard"
    if any(part in (".", "..") for part in parts.path.split("/")):
        return "has a path that leads elsewhere"
    return None


def is_registered(uri: str, registered: Sequence[str]) -> bool:
    """Whether `uri` is one of `registered`, character by character."""
    return uri in registered
