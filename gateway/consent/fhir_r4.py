"""How does a Consent that was filed in FHIR R5 read in R4? Pure.

The same answer to every question comes from both: what R4 can't say without changing it is refused, never bent. What R4
has no element for is kept as an extension that names the R5 element (FHIR §versions, cross-version extensions).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.consent.fhir_consent import is_r5
from gateway.consent.fhir_rule import RULE
from gateway.consent.fhir_structure import RECIPIENT, STATED_BY_PCF, require_structure
from gateway.errors import LoadRefused

_AS_IT_IS = ("id", "language", "text", "identifier")
_STATUS = {"not-done": "rejected"}
EXTENSION = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Consent."
"""What R4 has no element for is told as an extension of this URL and R5's name for it."""
_DATA_ABSENT = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
_OPT = {"permit": "OPTIN", "deny": "OPTOUT"}
_ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_ATTACHMENT = ("id", "extension", "contentType", "language", "data", "url", "hash", "title", "creation")
_OPPOSITE = {"permit": "deny", "deny": "permit"}

Resource = dict[str, Any]


def to_r4(resource: Mapping[str, Any]) -> Resource:
    """The Consent in FHIR R4, in which it decides the same; one of R4 as it is.

    Raises LoadRefused with the path of what can't be said there.
    """
    if not is_r5(resource):
        return dict(resource)
    told: Resource = {"resourceType": "Consent"}
    told |= {name: resource[name] for name in _AS_IT_IS if name in resource}
    if meta := {name: value for name, value in resource.get("meta", {}).items() if name != "profile"}:
        told["meta"] = meta
    if extensions := [*resource.get("extension", ()), *_extensions(resource)]:
        told["extension"] = extensions
    told["status"] = status_in_r4(resource)
    told["scope"] = STATED_BY_PCF["scope"]
    told["category"] = resource.get("category", STATED_BY_PCF["category"])
    told["patient"] = resource["subject"]
    told |= {r4: resource[r5] for r5, r4 in (("date", "dateTime"), ("grantor", "performer")) if r5 in resource}
    if organizations := [*resource.get("manager", ()), *resource.get("controller", ())]:
        told["organization"] = [one for n, one in enumerate(organizations) if one not in organizations[:n]]
    told |= _source(resource) | _policy(resource)
    if "decision" in resource:
        told["provision"] = _rule(resource)
    if "contained" in resource:
        told["contained"] = [_contained(one) for one in resource["contained"]]
        require_structure(told)  # resources of other types may have changed between the versions as well
    return told


def status_in_r4(resource: Mapping[str, Any]) -> Any:
    """The status in the words of R4."""
    status = resource.get("status")
    return _STATUS.get(str(status), status)


def _rule(resource: Mapping[str, Any]) -> Resource:
    """R5's decision with its exceptions as R4's rule with nested ones, which have a type each and are one level deep.

    Exceptions from an exception can stand beside it only where nothing else is beside it, and denying is what is left:
    R4 lets a nested deny win over every nested permit.
    """
    kind = resource["decision"]
    nested: list[Resource] = []
    stated = resource.get("provision", ())
    for index, one in enumerate(stated):
        nested.append(_nested(one, _OPPOSITE[kind]))
        deeper = one.get("provision", ())
        if deeper and (kind == "permit" or len(stated) > 1):
            raise LoadRefused([f"Consent.provision[{index}].provision: an exception from one of several can't be said"])
        nested += [_nested(inner, kind) for inner in deeper]
    period = {"period": resource["period"]} if "period" in resource else {}
    return {"type": kind, **period, **({"provision": nested} if nested else {})}


def _nested(provision: Mapping[str, Any], kind: str) -> Resource:
    told: Resource = {"type": kind}
    told |= {name: value for name, value in provision.items() if name in RULE or name in ("id", "extension")}
    if "actor" in told:
        told["actor"] = [{"role": RECIPIENT, **actor} for actor in told["actor"]]
    return told


def _source(resource: Mapping[str, Any]) -> Resource:
    """R4 has one source, of one kind."""
    attachments, references = resource.get("sourceAttachment", ()), resource.get("sourceReference", ())
    if attachments:
        return {"sourceAttachment": _attachment(attachments[0])}
    return {"sourceReference": references[0]} if references else {}


def _attachment(attachment: Mapping[str, Any]) -> Resource:
    return {name: attachment[name] for name in _ATTACHMENT if name in attachment}


def _policy(resource: Mapping[str, Any]) -> Resource:
    """R4 asks for a policy or a rule (ppc-1): the decision itself, where R5 names no policy."""
    basis = resource.get("policyBasis", {})
    if "url" in basis:
        return {"policy": [{"uri": basis["url"]}]}
    if "decision" not in resource:
        return {"policyRule": {"extension": [_DATA_ABSENT]}}
    return {"policyRule": {"coding": [{"system": _ACT_CODE, "code": _OPT[resource["decision"]]}]}}


def _extensions(resource: Mapping[str, Any]) -> Iterator[Resource]:
    for element, value in (
        *(("grantee", "valueReference"), ("manager", "valueReference"), ("controller", "valueReference")),
        *(("regulatoryBasis", "valueCodeableConcept"), ("policyText", "valueReference")),
    ):
        yield from ({"url": f"{EXTENSION}{element}", value: one} for one in resource.get(element, ()))
    if "reference" in (basis := resource.get("policyBasis", {})):
        inner = {"url": "reference", "valueReference": basis["reference"]}
        yield {"url": f"{EXTENSION}policyBasis", "extension": [inner]}
    attachments: Sequence[Any] = resource.get("sourceAttachment", ())
    references: Sequence[Any] = resource.get("sourceReference", ())
    yield from ({"url": f"{EXTENSION}sourceAttachment", "valueAttachment": _attachment(one)} for one in attachments[1:])
    beside = references if attachments else references[1:]
    yield from ({"url": f"{EXTENSION}sourceReference", "valueReference": one} for one in beside)


def _contained(resource: Mapping[str, Any]) -> Resource:
    """A Group by R4's `actual`; any other as it is."""
    if resource.get("resourceType") != "Group" or "membership" not in resource:
        return dict(resource)
    told = {name: value for name, value in resource.items() if name != "membership"}
    return {**told, "actual": resource["membership"] == "enumerated"}
