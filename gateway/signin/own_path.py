"""Where somebody goes on after signing in: a path of our own site, or none (T122). Pure."""

import re
from urllib.parse import urlsplit

_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]{0,6000}", re.ASCII)
"""One slash, then visible ASCII without a backslash: what browsers take for another host, or cut out, is not in it."""


def own_path(text: str | None, otherwise: str) -> str:
    """`text` where it is a path (with its query) of this site, `otherwise` where it is anything else."""
    if text is None or not _PATH.fullmatch(text):
        return otherwise
    try:
        parts = urlsplit(text)
    except ValueError:
        return otherwise
    return text if not parts.scheme and not parts.netloc and parts.path.startswith("/") else otherwise
