"""Where a request came from, as the audit keeps it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request without what it says: bodies of the authorization server hold credentials."""

    request: str
    """Method and path."""
    request_id: str
    network: str | None
