"""Endpoint and Organization on the wire: the directory of the exchange, which any valid token reads."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from gateway.errors import NotFound
from gateway.fhir.bundle import searchset
from gateway.fhir.directory import facilities_found
from gateway.fhir.elements import with_elements, with_summary
from gateway.fhir.endpoint import to_endpoint
from gateway.fhir.organization import to_organization
from gateway.fhir.query_string import Pairs, write_url
from gateway.fhir.search_params import DirectoryType, parse_directory_search
from gateway.model import Facility, Requester
from gateway.rooms import Rooms

Writer = Callable[[Facility], dict[str, Any]]


def writer_for(kind: DirectoryType, requester: Requester) -> Writer:
    """How a facility's entry is written for who asks: where a client fetches images depends on its tokens."""
    if kind == "Organization":
        return to_organization
    return partial(to_endpoint, exchanges=requester.token_exchange)


def search_directory(
    pairs: Pairs,
    kind: DirectoryType,
    rooms: Rooms,
    base: str,
    bundle_id: str,
    now: datetime,
    *,
    requester: Requester,
    strict: bool,
) -> tuple[dict[str, Any], bool]:
    """The searchset Bundle of the facilities found, and whether it is wanted indented. Raises InvalidQuery.

    The directory is small: `_count` cuts it, and there is no further page to ask for.
    """
    search = parse_directory_search(pairs, kind, strict=strict, path_base=base)
    found = facilities_found(search, rooms.facilities.all())
    page = [] if search.summary == "count" else found[: search.count]
    write = writer_for(kind, requester)
    resources = [write(facility) for facility in page]
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


def read_directory(kind: DirectoryType, id_: str, rooms: Rooms, requester: Requester) -> dict[str, Any]:
    """The facility's entry. Raises NotFound."""
    facility = next((facility for facility in rooms.facilities.all() if facility.id == id_), None)
    if facility is None:
        raise NotFound
    return writer_for(kind, requester)(facility)
