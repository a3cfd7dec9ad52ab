"""A JSON body of a request: an object, and not too long (RFC 8259)."""

from typing import Any

from gateway.errors import InvalidQuery, PayloadTooLarge
from gateway.strict_json import UnreadableJSON, read_strict_json

MOST_BYTES = 1_000_000


def read_json_object(body: bytes, *, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """The JSON object in `body`, read the one way it can be meant.

    Raises PayloadTooLarge, and InvalidQuery for everything that parsers disagree on or choke on (`strict_json`).
    """
    if len(body) > most_bytes:
        raise PayloadTooLarge(f"the JSON is longer than {most_bytes} bytes")
    try:
        value = read_strict_json(body)
    except UnreadableJSON as exc:
        raise InvalidQuery(f"the JSON {exc.reason}") from exc
    if not isinstance(value, dict):
        raise InvalidQuery("the JSON is not an object")
    return value
