"""Endpoint and Organization on the wire: the directory of the exchange, which any valid token reads."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from gateway.errors import NotFound
from gateway.fhir.bundle import searchset
from gateway.fhir.directory import facilities_found
from gateway.fhir.elements import with_elements, with_summary
from gateway.fhir.endpoint import to_endpoint
from gateway.fhir.organization import to_organization
from gateway.fhir.query_string import Pairs, write_url
from gateway.fhir.search_params import DirectoryType, parse_directory_search
from gateway.model import Facility
from gateway.rooms import Rooms

WRITERS: dict[DirectoryType, Callable[[Facility], dict[str, Any]]] = {
    "Endpoint": to_endpoint,
    "Organization": to_organization,
}


def search_directory(
    pairs: Pairs, kind: DirectoryType, rooms: Rooms, base: str, bundle_id: str, now: datetime, *, strict: bool
) -> tuple[dict[str, Any], bool]:
    """The searchset Bundle of the facilities found, and whether it is wanted indented. Raises InvalidQuery.

    The directory is small: `_count` cuts it, and there is no further page to ask for.
    """
    search = parse_directory_search(pairs, kind, strict=strict, path_base=base)
    found = facilities_found(search, rooms.facilities.all())
    page = [] if search.summary == "count" else found[: search.count]
    resources = [WRITERS[kind](facility) for facility in page]
    cut = with_elements if search.elements else None
    bundle = searchset(
        bundle_id=bundle_id,
        now=now,
        base=base,
        self_url=write_url(f"{base}/{kind}", search.self_pairs),
        next_url=None,
        total=len(found),
        matches=[cut(r, search.elements) if cut else with_summary(r, search.summary) for r in resources],
    )
    return bundle, search.pretty


def read_directory(kind: DirectoryType, id_: str, rooms: Rooms) -> dict[str, Any]:
    """The facility's entry. Raises NotFound."""
    facility = next((facility for facility in rooms.facilities.all() if facility.id == id_), None)
    if facility is None:
        raise NotFound
    return WRITERS[kind](facility)
