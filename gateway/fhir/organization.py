"""A facility as an Organization of the directory."""

from typing import Any

from gateway.model import Facility


def to_organization(facility: Facility) -> dict[str, Any]:
    """The R4 Organization that `facility` is, with the Endpoint its images are fetched from.

    Its `identifier_system` is no identifier of it: facilities may share one.
    """
    return {
        "resourceType": "Organization",
        "id": facility.id,
        "active": True,
        "name": facility.name,
        "endpoint": [{"reference": f"Endpoint/{facility.id}"}],
    }
