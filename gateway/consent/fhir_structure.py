"""Is this JSON a FHIR R4 or R5 Consent in its structure? Asked once, when it is filed. Pure."""

from collections.abc import Mapping
from typing import Any

from gateway.consent.fhir_consent import is_r5
from gateway.consent.fhir_text import require_text
from gateway.errors import LoadRefused

STATED_BY_PCF: Mapping[str, Any] = {
    "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
    "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
}
RECIPIENT = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]}


def require_structure(resource: Mapping[str, Any]) -> None:
    """Every element is one of FHIR R4's, or of R5's, of its type and cardinality, and text. Raises LoadRefused by path.

    Scope, category and `actor.role` have one value in IHE PCF, so that leaving them out leaves nothing open: real
    feeds do, and are let through.
    """
    # Half a second and tens of megabytes that only a process which files consents should spend.
    from fhir.resources.consent import Consent as ConsentR5
    from fhir.resources.R4B.consent import Consent
    from pydantic import ValidationError

    try:
        if is_r5(resource):
            ConsentR5.model_validate(dict(resource))
        else:
            Consent.model_validate({**STATED_BY_PCF, **resource, **_with_roles(resource)})
    except ValidationError as exc:
        raise LoadRefused(
            [f"{_path(problem['loc'])}: {_WORDS.get(problem['type'], _OTHERWISE)}" for problem in exc.errors()]
        ) from exc
    require_text(resource)


_OTHERWISE = "not as FHIR R4 says"
_WORDS = {"missing": "is needed", "extra_forbidden": "is no element of FHIR R4"}


def _path(location: tuple[int | str, ...]) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return "Consent" + "".join(steps)


def _with_roles(resource: Mapping[str, Any]) -> dict[str, Any]:
    provision = resource.get("provision")
    return {"provision": _rule_with_roles(provision)} if isinstance(provision, dict) else {}


def _rule_with_roles(rule: dict[str, Any]) -> dict[str, Any]:
    complete = dict(rule)
    if isinstance(rule.get("actor"), list):
        complete["actor"] = [
            {"role": RECIPIENT, **actor} if isinstance(actor, dict) else actor for actor in rule["actor"]
        ]
    if isinstance(rule.get("provision"), list):
        complete["provision"] = [
            _rule_with_roles(item) if isinstance(item, dict) else item for item in rule["provision"]
        ]
    return complete
