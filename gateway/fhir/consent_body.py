"""What a client sends about a Consent: the resource itself, Parameters of an operation, the version it has seen."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.consent.fhir_consent import is_r5
from gateway.consent.fhir_reference import names_in, patients_in
from gateway.errors import AlreadyThere, InvalidQuery, LoadRefused, StaleVersion
from gateway.model import PatientRef

TYPE = "Consent"
_OURS = ("versionId", "lastUpdated")
Resource = dict[str, Any]


def performers_of(resource: Mapping[str, Any]) -> tuple[str, ...]:
    """Who has decided, by every name: a system files on somebody's behalf only (IHE PCF: `performer` 1..*).

    Raises LoadRefused where nobody is named.
    """
    element = "grantor" if is_r5(resource) else "performer"
    performers = resource.get(element)
    stated = [one for one in performers if isinstance(one, dict)] if isinstance(performers, list) else []
    named = tuple(name for one in stated for name in names_in(one))
    if not named:
        raise LoadRefused([f"Consent.{element}: expected who has decided: the patient, or who acts for them"])
    return named


def patient_in(resource: Mapping[str, Any], base: str) -> PatientRef:
    """The one patient that the parameter `patient` names, by reference or identifier. Raises InvalidQuery."""
    stated = [one.get("valueReference") for one in parameters_in(resource) if one.get("name") == "patient"]
    refs = patients_in(stated[0], base) if len(stated) == 1 and isinstance(stated[0], dict) else ()
    if not refs:
        raise InvalidQuery("expected Parameters with one patient, by reference or identifier")
    return refs[-1]


def consent_in(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    """The Consent that an operation is about: the body itself, or the one in its Parameters. Raises InvalidQuery."""
    if resource.get("resourceType") == TYPE:
        return resource
    inside = [one["resource"] for one in parameters_in(resource) if isinstance(one.get("resource"), dict)]
    found = [one for one in inside if one.get("resourceType") == TYPE]
    if len(found) != 1:
        raise InvalidQuery("expected a Consent, or Parameters with one")
    consent: Mapping[str, Any] = found[0]
    return consent


def consent_id_in(resource: Mapping[str, Any], base: str) -> str:
    """The id of the Consent that an operation is about, by reference or as a whole. Raises InvalidQuery."""
    for one in parameters_in(resource):
        reference = one.get("valueReference")
        if isinstance(reference, dict) and isinstance(reference.get("reference"), str):
            kind, _, id_ = reference["reference"].removeprefix(f"{base}/").partition("/_history")[0].partition("/")
            if kind == TYPE and id_:
                return str(id_)
    id_ = str(consent_in(resource).get("id") or "")
    if not id_:
        raise InvalidQuery("expected the reference of a Consent")
    return id_


def parameters_in(resource: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Each parameter, where the body is Parameters."""
    parameters = resource.get("parameter") if resource.get("resourceType") == "Parameters" else None
    return [one for one in (parameters if isinstance(parameters, list) else ()) if isinstance(one, dict)]


def as_the_client_says(resource: Mapping[str, Any]) -> Resource:
    """The resource without what only the server says of a version."""
    meta = resource.get("meta")
    if not isinstance(meta, dict):
        return dict(resource)
    stated = {name: value for name, value in meta.items() if name not in _OURS}
    return {
        **{name: value for name, value in resource.items() if name != "meta"},
        **({"meta": stated} if stated else {}),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """On which a Consent is changed: the headers as they came (FHIR R4 http §managing resource contention)."""

    if_match: str | None = None
    if_none_match: str | None = None

    def require(self, version: int) -> None:
        """It holds for that current version. Raises StaleVersion, AlreadyThere, InvalidQuery where it can't be read."""
        if self.if_match is not None and _version_in(self.if_match, "If-Match") != str(version):
            raise StaleVersion
        stated = (self.if_none_match or "").strip()
        if stated == "*" or (stated and _version_in(stated, "If-None-Match") == str(version)):
            raise AlreadyThere


_ETAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e]*)"|([0-9]+)')


def _version_in(header: str, name: str) -> str:
    found = _ETAG.fullmatch(header.strip())
    if found is None:
        raise InvalidQuery(f'{name}: expected the ETag of one version, W/"1" for the first')
    return found[1] or found[2] or ""
