"""Which elements of a resource are returned: `_elements` and `_summary` (FHIR R4 search §3.1.1.5.8–9)."""

from collections.abc import Sequence
from typing import Any, Literal

from gateway.fhir.meta import SUBSETTED

_ALWAYS = frozenset(("resourceType", "id", "meta"))
_MANDATORY = {
    "ImagingStudy": frozenset(("status", "subject")),
    "Endpoint": frozenset(("status", "connectionType", "payloadType", "address", "extension")),
    "Organization": frozenset(("active", "name")),
    "Patient": frozenset(("identifier", "active", "deceasedBoolean", "deceasedDateTime")),
    "AuditEvent": frozenset(("type", "recorded", "agent", "source", "outcome")),
    "Consent": frozenset(
        ("status", "scope", "category", "patient", "policy", "policyRule", "provision", "subject", "period", "decision")
    ),
}
"""Those without which the resource isn't valid R4, those that change what the rest means, and what an Endpoint says of
tokens: left out, it would mean something else."""

_NOT_SUMMARY = {
    "AuditEvent": frozenset(("entity",)),
    "Organization": frozenset(("endpoint",)),
    "Patient": frozenset(("maritalStatus", "multipleBirthBoolean", "multipleBirthInteger", "communication")),
}
"""Of the elements that the gateway gives out, those that R4 doesn't mark as summary."""

_CHOICES = {"multipleBirthBoolean": "multipleBirth", "multipleBirthInteger": "multipleBirth"}

Resource = dict[str, Any]


def with_elements(resource: Resource, elements: Sequence[str]) -> Resource:
    """The resource with `elements` and what is mandatory alone, tagged as a part; all of it where none are named."""
    if not elements:
        return resource
    kept = _ALWAYS | _MANDATORY[resource["resourceType"]] | set(elements)
    return _subsetted({name: value for name, value in resource.items() if _CHOICES.get(name, name) in kept})


def with_summary(resource: Resource, summary: Literal["false", "true", "text", "data", "count"]) -> Resource:
    """The resource as `_summary` asks for it, tagged as a part.

    No resource has a narrative, so `text` is what is mandatory, and `data` leaves nothing out.
    """
    if summary == "false":
        return resource
    type_ = resource["resourceType"]
    if summary == "text":
        kept = _ALWAYS | _MANDATORY[type_]
        return _subsetted({name: value for name, value in resource.items() if name in kept})
    left_out = _NOT_SUMMARY.get(type_, frozenset()) if summary == "true" else frozenset()
    return _subsetted({name: value for name, value in resource.items() if name not in left_out})


def _subsetted(resource: Resource) -> Resource:
    meta = resource.get("meta", {})
    return resource | {"meta": meta | {"tag": [*meta.get("tag", ()), SUBSETTED]}}
