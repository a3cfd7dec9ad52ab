"""What the Consent API tells is valid FHIR R4, by an independent validator: R5 told in R4, operations, Bundles."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.factories_consent import a_coding, authored_by
from tests.functional.consent_community import load_consents, patient_named
from tests.functional.consent_registry import PERFORMER, Registry, a_consent
from tests.services.exchange import domain_of
from tests.services.fhir_validator import FHIRValidator

pytestmark = pytest.mark.integration

R5: dict[str, Any] = {
    "resourceType": "Consent",
    "id": "r5",
    "status": "active",
    "category": [{"text": "imaging"}],
    "subject": patient_named("anne"),
    "date": "2026-01-01",
    "period": {"end": "2099-12-31"},
    "grantor": PERFORMER,
    "grantee": [{"reference": "Organization/north"}],
    "manager": [{"reference": "Organization/north"}],
    "controller": [{"reference": "Organization/south"}],
    "sourceAttachment": [{"title": "form", "size": "12", "pages": 2}, {"title": "another"}],
    "sourceReference": [{"display": "a document"}],
    "regulatoryBasis": [{"text": "the law"}],
    "policyBasis": {"reference": {"display": "the policy"}},
    "policyText": [{"display": "a leaflet"}],
    "decision": "deny",
    "provision": [
        {
            "purpose": [a_coding("TREAT")],
            "actor": [{"reference": {"reference": "Organization/north"}}],
            "provision": [{"data": [authored_by("south")]}],
        }
    ],
}
UNSAYABLE = {**R5, "id": "r5-unsayable", "provision": [*R5["provision"], {"purpose": [a_coding("HRESCH")]}]}


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    """Consents of both versions on file, one of which R4 can't say."""
    made = Registry()
    load_consents(
        made.shell, R5, {**R5, "id": "r5-draft", "status": "not-done", "decision": "permit", "provision": [{}]}
    )
    load_consents(made.shell, UNSAYABLE)
    yield made
    made.close()


@pytest.mark.parametrize(
    "path", ["/Consent/r5", "/Consent/r5-draft", "/Consent/r5/_history", "/Consent/r5-unsayable/_history", "/Consent?"]
)
def test_what_is_read_is_valid(registry: Registry, fhir_validator: FHIRValidator, path: str) -> None:
    """Each by itself and in Bundles."""
    query = f"patient.identifier={domain_of('north')}|anne&_count=2" if path.endswith("?") else ""
    answer = registry.send("GET", f"{path}{query}")
    assert answer.status_code == 200
    assert fhir_validator.problems(answer.json) == []


def test_what_operations_answer_is_valid(registry: Registry, fhir_validator: FHIRValidator) -> None:
    """Parameters with an outcome and the Consent, its document inside."""
    document = {
        "resourceType": "DocumentReference",
        "status": "current",
        "content": [{"attachment": {"contentType": "application/pdf", "data": "JVBERi0="}}],
    }
    said = [{"name": "consent", "resource": a_consent("boris")}, {"name": "document", "resource": document}]
    filed = registry.send("POST", "/Consent/$fileConsent", {"resourceType": "Parameters", "parameter": said})
    assert filed.status_code == 201
    assert [fhir_validator.problems(one["resource"]) for one in filed.json["parameter"]] == [[], []]
