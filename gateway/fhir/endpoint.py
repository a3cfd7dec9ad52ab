"""Where a facility's images are fetched: its Endpoint (FHIR R4, SMART Imaging Access smart-wado-endpoint)."""

from typing import Any

from gateway.model import Facility

PROFILE = "http://fhir.org/argonaut/smart-imaging/StructureDefinition/smart-wado-endpoint"
REQUIRES_ACCESS_TOKEN = "http://fhir.org/argonaut/smart-imaging/StructureDefinition/requires-access-token"


def to_endpoint(facility: Facility, *, exchanges: bool = False) -> dict[str, Any]:
    """The WADO-RS Endpoint that a client is given for `facility` (contract §10).

    A gate takes the caller's own access token, and only there is that said. Everywhere else a token that isn't meant
    for the facility must not be sent to it, so the extension is left out, and with it the profile, which requires it:
    the facility has its own way in or, where it verifies tokens itself, a client that `exchanges` its token is given
    the address that it exchanges it for.
    """
    gate = gate_for(facility, exchanges=exchanges)
    resource: dict[str, Any] = {"resourceType": "Endpoint", "id": facility.id}
    if gate:
        resource["meta"] = {"profile": [PROFILE]}
        resource["extension"] = [{"url": REQUIRES_ACCESS_TOKEN, "valueBoolean": True}]
    resource |= {
        "status": "suspended" if facility.suspended else "active",
        "connectionType": {
            "system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type",
            "code": "dicom-wado-rs",
            "display": "DICOM WADO-RS",
        },
        "name": facility.name,
        "managingOrganization": {"reference": f"Organization/{facility.id}", "display": facility.name},
        "payloadType": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/endpoint-payload-type",
                        "code": "any",
                        "display": "Any",
                    }
                ],
                "text": "DICOM",
            }
        ],
        "payloadMimeType": ["application/dicom"],
        "address": _base(gate or facility.link_url or facility.query_url or ""),
    }
    return resource


def gate_for(facility: Facility, *, exchanges: bool) -> str | None:
    """The gate that a client goes to for the images of `facility`; None where it goes to the facility itself."""
    if facility.retrieve == "own" or (facility.retrieve == "token" and exchanges):
        return None
    return facility.gate_url


def _base(address: str) -> str:
    """The base of the service alone: a client appends `/studies/{uid}` (FHIR R4 ImagingStudy notes)."""
    return address.rstrip("/").removesuffix("/studies").rstrip("/")
