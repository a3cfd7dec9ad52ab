"""Clients are given the address that contract §10 says, and are told of tokens only where one may be sent."""

import json
from typing import Any

import fhirkit
import pytest
from fhir.resources.R4B.endpoint import Endpoint

from gateway.fhir.endpoint import PROFILE, REQUIRES_ACCESS_TOKEN, to_endpoint
from tests.factories import a_facility

LINK = "https://pacs.north.example/dicom-web"
GATE = "https://gate.exchange.example/north"


def written(**changes: Any) -> dict[str, Any]:
    """The Endpoint of a facility, valid by fhir.resources and fhirkit."""
    resource = to_endpoint(a_facility("north", **changes))
    Endpoint.model_validate(resource)
    assert [issue for issue in fhirkit.validate(json.dumps(resource)) if issue.severity == "error"] == []
    return resource


def test_an_endpoint_says_how_and_where_images_are_fetched() -> None:
    """WADO-RS at the facility's own address."""
    assert written() == {
        "resourceType": "Endpoint",
        "id": "north",
        "status": "active",
        "connectionType": {
            "system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type",
            "code": "dicom-wado-rs",
            "display": "DICOM WADO-RS",
        },
        "name": "North Hospital",
        "managingOrganization": {"reference": "Organization/north", "display": "North Hospital"},
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
        "address": LINK,
    }


@pytest.mark.parametrize(
    ("retrieve", "gate_url", "address", "token"),
    [
        ("own", None, LINK, False),
        ("own", GATE, LINK, False),
        ("token", None, LINK, False),
        ("token", GATE, GATE, True),
        ("gate", GATE, GATE, True),
    ],
)
def test_the_address_follows_how_the_facility_checks(
    retrieve: str, gate_url: str | None, address: str, token: bool
) -> None:
    """Contract §10, for clients that don't exchange tokens: a token goes to the gate and nowhere else."""
    endpoint = written(retrieve=retrieve, gate_url=gate_url)

    assert endpoint["address"] == address
    assert endpoint.get("extension") == ([{"url": REQUIRES_ACCESS_TOKEN, "valueBoolean": True}] if token else None)
    assert endpoint.get("meta") == ({"profile": [PROFILE]} if token else None)


@pytest.mark.parametrize("tail", ["", "/", "//", "/studies", "/studies/"])
def test_an_address_is_the_base_alone(tail: str) -> None:
    """FHIR R4 ImagingStudy notes: the client appends `/studies`."""
    assert written(link_url=LINK + tail)["address"] == LINK


def test_without_a_link_address_the_one_that_is_asked_is_given() -> None:
    """Contract §2."""
    assert written(link_url="", query_url="http://127.0.0.1:8042/dicom-web/")["address"] == (
        "http://127.0.0.1:8042/dicom-web"
    )


def test_a_suspended_facility_has_a_suspended_endpoint() -> None:
    """Clients need not try."""
    assert written(suspended=True)["status"] == "suspended"


@pytest.mark.integration
def test_an_independent_validator_finds_nothing_wrong(fhir_validator: Any) -> None:
    """Google's R4 types, with required codes."""
    assert fhir_validator.problems(written()) == []
    assert fhir_validator.problems(written(retrieve="gate", gate_url=GATE)) == []
