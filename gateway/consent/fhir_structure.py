"""Is this JSON a FHIR R4 or R5 Consent in its structure? Asked once, when it is filed. Pure."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
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

    version = "R5" if is_r5(resource) else "R4"
    try:
        if version == "R5":
            read = ConsentR5.model_validate(dict(resource))
            stated = dict(resource)
        else:
            stated = {**STATED_BY_PCF, **resource, **_with_roles(resource)}
            read = Consent.model_validate(stated)
    except ValidationError as exc:
        raise LoadRefused(
            [f"{_path(one['loc'])}: {_expected(one['type'], one['loc'], one['msg'], version)}" for one in exc.errors()]
        ) from exc
    except LookupError as exc:
        raise LoadRefused([f"Consent.contained: expected resources of types that FHIR {version} has"]) from exc
    except (TypeError, AttributeError, ValueError) as exc:  # how the library tells some texts that are none
        raise LoadRefused([f"Consent: an element is of another type than FHIR {version} says"]) from exc
    problems = list(_read_otherwise(stated, read.model_dump(), "Consent"))
    if version == "R5":
        problems = [one for one in problems if one.partition(": ")[0].rpartition(".")[2] not in _INTEGER64]
    if problems:
        raise LoadRefused(problems)
    require_text(resource)


_INTEGER64 = ("size",)
"""Whole numbers that R5 has as texts (FHIR R5 §datatypes integer64)."""
_MOMENTS = ("dateTime", "date", "start", "end", "creation", "authored")
_OTHERWISE = "expected what FHIR {version} says"
_WORDS = {
    "missing": "is needed",
    "model_field_validation.missing": "is needed",
    "extra_forbidden": "is no element of FHIR {version}",
    "string_type": "expected a text",
    "list_type": "expected a list",
    "json_invalid": "expected an object",
    "json_type": "expected an object",
    "dict_type": "expected an object",
    "model_type": "expected an object",
    "int_parsing": "expected a whole number",
    "int_type": "expected a whole number",
    "bool_parsing": "expected true or false",
    "bool_type": "expected true or false",
    "greater_than_equal": "expected a greater number",
    "string_pattern_mismatch": "expected the characters that FHIR {version} allows there",
}


def _expected(kind: str, location: tuple[int | str, ...], words: str, version: str) -> str:
    if kind == "value_error" and location and location[-1] in _MOMENTS:
        return "expected a FHIR date or dateTime (2026-11-24, or a time with its offset)"
    if kind == "value_error" and "Any of one field value" in words:
        return "expected one of the elements of a choice, not several"
    return _WORDS.get(kind, _OTHERWISE).format(version=version)


def _path(location: tuple[int | str, ...]) -> str:
    named = (step for step in location if step != "root")  # the validator's word for an element as a whole
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in named)
    return "Consent" + "".join(steps)


def _read_otherwise(stated: Any, read: Any, path: str) -> Iterator[str]:
    """Where the JSON is of another kind than what was understood: text for a number, JSON within a text, nothing."""
    if isinstance(stated, dict) and isinstance(read, dict):
        for name, value in stated.items():
            if name in read:
                yield from _read_otherwise(value, read[name], f"{path}.{name}")
            else:
                yield f"{path}.{name}: expected not to be empty"
    elif isinstance(stated, list) and isinstance(read, list) and len(stated) == len(read):
        for index, (value, one) in enumerate(zip(stated, read, strict=True)):
            yield from _read_otherwise(value, one, f"{path}[{index}]")
    elif _kind(stated) != _kind(read):
        yield f"{path}: expected {_kind(read)}"


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float | Decimal):
        return "a number"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list that is not empty"
    return "nothing" if value is None else "a text"


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
