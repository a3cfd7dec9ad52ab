"""A facility is an Organization of the directory, and nothing of its set-up shows."""

import json
from typing import Any

import fhirkit
import pytest
from fhir.resources.R4B.organization import Organization

from gateway.fhir.organization import to_organization
from gateway.model import FacilityAuth
from tests.factories import a_facility

FACILITY = a_facility("north", auth=FacilityAuth(type="basic", username="gw", password="gwpass"))


def test_an_organization_names_the_facility_and_its_endpoint() -> None:
    """Its domain of patient numbers is no identifier of it, and how it is asked is nobody's business."""
    resource = to_organization(FACILITY)

    assert resource == {
        "resourceType": "Organization",
        "id": "north",
        "active": True,
        "name": "North Hospital",
        "endpoint": [{"reference": "Endpoint/north"}],
    }
    Organization.model_validate(resource)
    assert [issue for issue in fhirkit.validate(json.dumps(resource)) if issue.severity == "error"] == []


@pytest.mark.integration
def test_an_independent_validator_finds_nothing_wrong(fhir_validator: Any) -> None:
    """Google's R4 types."""
    assert fhir_validator.problems(to_organization(FACILITY)) == []
