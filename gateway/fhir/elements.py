"""Which elements of a resource are returned: `_elements` and `_summary` (FHIR R4 search §3.1.1.5.8–9)."""

from collections.abc import Sequence
from typing import Any, Literal

from gateway.fhir.meta import SUBSETTED

_ALWAYS = frozenset(("resourceType", "id", "meta"))
_MANDATORY = {
    "ImagingStudy": frozenset(("status", "subject")),
    "Endpoint": frozenset(("status", "connectionType", "payloadType", "address")),
    "Organization": frozenset(("name",)),
    "Patient": frozenset[str](),
}
"""Those without which the resource isn't valid R4."""

Resource = dict[str, Any]


def with_elements(resource: Resource, elements: Sequence[str]) -> Resource:
    """The resource with `elements` and what is mandatory alone, tagged as a part; all of it where none are named."""
    if not elements:
        return resource
    kept = _ALWAYS | _MANDATORY[resource["resourceType"]] | set(elements)
    return _subsetted({name: value for name, value in resource.items() if name in kept})


def with_summary(resource: Resource, summary: Literal["false", "true", "text", "data", "count"]) -> Resource:
    """The resource as `_summary` asks for it, tagged as a part where it is one.

    Every element the gateway gives out is a summary element in R4 and none has a narrative, so `true` and `data` leave
    nothing out but what R4 doesn't count as summary; `text` is what is mandatory.
    """
    if summary == "false":
        return resource
    if summary == "text":
        kept = _ALWAYS | _MANDATORY[resource["resourceType"]]
        return _subsetted({name: value for name, value in resource.items() if name in kept})
    return _subsetted(dict(resource))


def _subsetted(resource: Resource) -> Resource:
    meta = resource.get("meta", {})
    return resource | {"meta": meta | {"tag": [*meta.get("tag", ()), SUBSETTED]}}
