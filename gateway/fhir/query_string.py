"""A search as the text of a URL or a form: read into pairs, written from pairs."""

from collections.abc import Iterable
from urllib.parse import parse_qsl, quote

from gateway.errors import InvalidQuery

MOST_PARAMETERS = 100
_UNRESERVED = ":/,"

Pairs = tuple[tuple[str, str], ...]


def read_pairs(text: str | bytes) -> Pairs:
    """The names and values of a query string or an `application/x-www-form-urlencoded` body, in order, blanks kept.

    Raises InvalidQuery where it is not UTF-8 or has more parameters than the gateway reads.
    """
    try:
        raw = text if isinstance(text, str) else text.decode()
        return tuple(parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS))
    except UnicodeDecodeError as exc:
        raise InvalidQuery("the parameters are not percent-encoded UTF-8") from exc
    except ValueError as exc:
        raise InvalidQuery(f"a search has at most {MOST_PARAMETERS} parameters") from exc


def write_url(base: str, pairs: Iterable[tuple[str, str]]) -> str:
    """`base` with `pairs` as its query string, percent-encoded (RFC 3986)."""
    query = "&".join(f"{quote(name, safe=':')}={quote(value, safe=_UNRESERVED)}" for name, value in pairs)
    return f"{base}?{query}" if query else base
