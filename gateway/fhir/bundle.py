"""What does the answer to a search look like? A FHIR R4 searchset, its entries marked with why they are there."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import NAMESPACE_URL, uuid5

from gateway.fhir.meta import to_instant

Resource = Mapping[str, Any]


def searchset(
    *,
    bundle_id: str,
    now: datetime,
    base: str,
    self_url: str,
    next_url: str | None,
    total: int | None,
    matches: Sequence[Resource],
    includes: Sequence[Resource] = (),
    outcomes: Sequence[Resource] = (),
) -> dict[str, Any]:
    """The Bundle of one page (FHIR R4 search §3.1.1.7): matches in order, then what they refer to, then what is amiss.

    `total` is None where it is not known. `bundle_id` is a FHIR id of this answer; the `fullUrl` of outcomes, which
    live nowhere, follow from it.
    """
    link = [{"relation": "self", "url": self_url}]
    if next_url is not None:
        link.append({"relation": "next", "url": next_url})
    bundle: dict[str, Any] = {
        "resourceType": "Bundle",
        "id": bundle_id,
        "meta": {"lastUpdated": to_instant(now)},
        "type": "searchset",
        **({} if total is None else {"total": total}),
        "link": link,
    }
    entries = [_entry(resource, "match", base) for resource in matches]
    entries += [_entry(resource, "include", base) for resource in includes]
    entries += [_outcome_entry(resource, f"{bundle_id}/{number}") for number, resource in enumerate(outcomes)]
    if entries:  # FHIR JSON knows no empty arrays
        bundle["entry"] = entries
    return bundle


def _entry(resource: Resource, mode: Literal["match", "include"], base: str) -> dict[str, Any]:
    return {
        "fullUrl": f"{base}/{resource['resourceType']}/{resource['id']}",
        "resource": resource,
        "search": {"mode": mode},
    }


def _outcome_entry(resource: Resource, name: str) -> dict[str, Any]:
    return {"fullUrl": f"urn:uuid:{uuid5(NAMESPACE_URL, name)}", "resource": resource, "search": {"mode": "outcome"}}
