"""What can this server do? Told from the tables that parse the requests, so that it is the truth."""

from collections.abc import Iterable
from typing import Any

from gateway import __version__
from gateway.fhir.audit_parameters import AUDIT_EVENT
from gateway.fhir.negotiation import FHIR_JSON, FHIR_XML
from gateway.fhir.parameters import (
    CONSENT,
    ENDPOINT,
    IMAGING_STUDY,
    ORGANIZATION,
    SearchParameter,
    SearchTable,
)
from gateway.fhir.patient import PDQM_PATIENT
from gateway.fhir.patient_parameters import PATIENT

_CHANGED = "2026-11-24"
_SMART_IMAGING = "http://fhir.org/argonaut/smart-imaging"
_OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_SECURITY_SERVICES = "http://terminology.hl7.org/CodeSystem/restful-security-service"

MATCH = "https://profiles.ihe.net/ITI/PDQm/OperationDefinition/PDQmMatch"
PIX = "https://profiles.ihe.net/ITI/PIXm/OperationDefinition/IHE.PIXm.pix"
_FAST = "http://hl7.org/fhir/us/consent-management"
_PROFILES = {
    "ImagingStudy": (f"{_SMART_IMAGING}/StructureDefinition/smart-imaging-study",),
    "Patient": (PDQM_PATIENT,),
}
_DOCUMENTATION = {
    "ImagingStudy": "The studies of one patient over all facilities; a facility that did not answer is named in an "
    "OperationOutcome entry. What consent withholds is left out, and nothing tells that it was.",
    "Patient": "One person as the facilities that may be shown know them; found by what is known of them (IHE PDQm "
    "ITI-78) and by how alike they are (ITI-119). The feed of a facility says who its patients are by conditional "
    "update and delete, identifier alone (IHE PIXm ITI-104); a patient that was replaced is "
    "active=false with a replaced-by link to the identifier that stays. All of it speaks JSON and XML.",
    "Endpoint": "Where the images of a facility are fetched (DICOMweb WADO-RS).",
    "Organization": "The facilities of the exchange.",
    "AuditEvent": "What was asked, decided and disclosed (IHE BALP, ATNA ITI-81): all of it for auditors, for patients "
    "what concerns them. The total is told where one page is all there is.",
    "Consent": "What patients have decided (IHE PCF), in JSON and XML. A Consent is revoked by its status or by "
    "$revokeConsent and never deleted; a changed one is refused where If-Match names another version.",
}


def capability_statement(*, base: str, token_url: str) -> dict[str, Any]:
    """The CapabilityStatement of this server at the FHIR base `base` (FHIR R4, SMART App Launch 2.2, SMART Imaging)."""
    return {
        "resourceType": "CapabilityStatement",
        "url": f"{base}/metadata",
        "version": __version__,
        "name": "ImagingExchangeGateway",
        "title": "Imaging exchange gateway",
        "status": "active",
        "date": _CHANGED,
        "kind": "instance",
        "instantiates": [f"{_SMART_IMAGING}/CapabilityStatement/smart-imaging-server"],
        "software": {"name": "Imaging exchange gateway", "version": __version__},
        "implementation": {"description": "Federated patient imaging search", "url": base},
        "fhirVersion": "4.0.1",
        "format": [FHIR_JSON, "json", FHIR_XML, "xml"],
        "rest": [
            {
                "mode": "server",
                "documentation": "Searches by GET and by POST to _search. Every read and search needs a token.",
                "security": _security(token_url),
                "resource": [
                    _resource(IMAGING_STUDY),
                    _patient(),
                    *(_resource(table) for table in (ENDPOINT, ORGANIZATION)),
                    _consent(),
                    _resource(AUDIT_EVENT),
                ],
            }
        ],
    }


def _security(token_url: str) -> dict[str, Any]:
    server = token_url.removesuffix("token")
    # SMART App Launch 1.0; apps of today read `.well-known/smart-configuration`, some older ones read this alone.
    addresses = [{"url": name, "valueUri": server + name} for name in ("authorize", "token", "introspect", "revoke")]
    return {
        "extension": [{"url": _OAUTH_URIS, "extension": addresses}],
        "service": [{"coding": [{"system": _SECURITY_SERVICES, "code": "SMART-on-FHIR"}], "text": "SMART on FHIR"}],
        "description": "SMART App Launch and Backend Services; the purpose of use is part of the token.",
    }


def _resource(table: SearchTable) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "type": table.resource_type,
        "documentation": _DOCUMENTATION[table.resource_type],
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "versioning": "no-version",
        "readHistory": False,
    }
    if table.resource_type in _PROFILES:
        resource["supportedProfile"] = list(_PROFILES[table.resource_type])
    if table.includes:
        resource["searchInclude"] = list(table.includes)
    resource["searchParam"] = list(_search_parameters(table.parameters))
    return resource


def _patient() -> dict[str, Any]:
    """IHE PDQm: search (ITI-78) and match (ITI-119). IHE PIXm: the feed (ITI-104) and cross-references (ITI-83)."""
    return _resource(PATIENT) | {
        "interaction": [{"code": code} for code in ("read", "search-type", "update", "delete")],
        "updateCreate": False,
        "conditionalCreate": False,
        "conditionalUpdate": True,
        "conditionalDelete": "single",
        "operation": [{"name": "ihe-pix", "definition": PIX}, {"name": "match", "definition": MATCH}],
    }


def _consent() -> dict[str, Any]:
    """IHE PCF ITI-108: written as well as read, each version kept; JSON and XML; HL7 FAST's operations."""
    interactions = ("create", "read", "vread", "update", "history-instance", "search-type")
    return _resource(CONSENT) | {
        "interaction": [{"code": code} for code in interactions],
        "versioning": "versioned",
        "readHistory": True,
        "updateCreate": False,
        "operation": [
            {"name": "fileConsent", "definition": f"{_FAST}/OperationDefinition/file-consent"},
            {"name": "revokeConsent", "definition": f"{_FAST}/OperationDefinition/revoke-consent"},
        ],
    }


def _search_parameters(parameters: Iterable[SearchParameter]) -> Iterable[dict[str, str]]:
    for parameter in parameters:
        shown = {"name": parameter.name, "type": parameter.type, "documentation": parameter.documentation}
        if parameter.definition:
            shown["definition"] = parameter.definition
        yield shown
