"""`$fileConsent` and `$revokeConsent` by HL7's FAST Consent Management: Parameters in and out, nothing deleted."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gateway.fhir.xml_form import read_xml_resource, write_xml
from tests.functional.consent_community import explain, patient_named
from tests.functional.consent_registry import XML, Registry, a_consent, consent_told, issues
from tests.services.exchange import domain_of

FORM = {
    "resourceType": "DocumentReference",
    "id": "form-1",
    "status": "current",
    "content": [{"attachment": {"contentType": "application/pdf", "data": "JVBERi0="}}],
}
ANSWERS = {
    "resourceType": "QuestionnaireResponse",
    "status": "completed",
    "item": [
        {"linkId": "1", "text": "May others see it?", "answer": [{"valueBoolean": True}]},
        {"linkId": "2", "text": "For how long?", "answer": [{"valueString": "a year"}]},
    ],
}


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    """A gateway with people and no Consents."""
    made = Registry()
    yield made
    made.close()


def parameters(**resources: Any) -> dict[str, Any]:
    """Parameters, each with a resource or a reference."""
    said = [
        {"name": name, **({"resource": value} if "resourceType" in value else {"valueReference": value})}
        for name, value in resources.items()
    ]
    return {"resourceType": "Parameters", **({"parameter": said} if said else {})}


@pytest.mark.parametrize("name", ["consent", "Consent"])
def test_what_is_filed_is_active(registry: Registry, name: str) -> None:
    """FAST OP4; the answer holds an outcome and the Consent, and says where it is."""
    filed = registry.send("POST", "/Consent/$fileConsent", parameters(**{name: a_consent("chloe", status="draft")}))
    told = consent_told(filed)
    assert (filed.status_code, told["status"]) == (201, "active")
    assert filed.headers["Location"] == f"{registry.base}/Consent/{told['id']}/_history/1"
    assert registry.send("GET", f"/Consent/{told['id']}").json == told


def test_t073_on_whose_behalf_it_was_filed_is_in_the_audit(registry: Registry) -> None:
    """The client that filed it, and whoever had decided: here somebody who acts for the patient."""
    performer = [{"reference": "RelatedPerson/mother", "identifier": {"system": "urn:national", "value": "9"}}]
    created = registry.create("anne", performer=performer)
    kept = [one for one in registry.audit() if f"Consent/{created['id']}" in one.get("resources", ())]
    assert [(one["kind"], one["who"]["client_id"]) for one in kept] == [("consent-create", "ehr")]
    assert kept[0]["details"] == [["performer", "RelatedPerson/mother"], ["performer", "urn:national|9"]]


def test_a_bare_consent_is_answered_with_the_consent(registry: Registry) -> None:
    """As a create is."""
    filed = registry.send("POST", "/Consent/$fileConsent", a_consent("chloe", status="draft"))
    assert (filed.status_code, filed.json["status"]) == (201, "active")


@pytest.mark.parametrize("document", [FORM, ANSWERS], ids=lambda one: str(one["resourceType"]))
def test_a_document_is_kept_with_the_consent(registry: Registry, document: dict[str, Any]) -> None:
    """As its source; a Consent that names a source has both. In JSON and in XML."""
    filed = registry.send("POST", "/Consent/$fileConsent", parameters(consent=a_consent("anne"), document=document))
    told = consent_told(filed)
    assert told["contained"] == [{**document, "id": "document"}]
    assert told["sourceReference"] == {"reference": "#document"}

    has_one = a_consent("anne", sourceAttachment={"title": "another form"})
    both = consent_told(registry.send("POST", "/Consent/$fileConsent", parameters(consent=has_one, document=document)))
    assert both["sourceAttachment"] == {"title": "another form"}
    (further,) = both["extension"]
    assert further["url"].endswith("extension-Consent.sourceReference")
    assert further["valueReference"] == {"reference": "#document"}

    sent = write_xml(parameters(consent=a_consent("anne"), document=document))
    in_xml = registry.send("POST", "/Consent/$fileConsent", sent, Content_Type=XML, Accept=XML)
    assert in_xml.status_code == 201
    (_, consent) = read_xml_resource(in_xml.data)["parameter"]
    assert consent["resource"]["contained"] == [{**document, "id": "document"}]


@pytest.mark.parametrize(
    "body",
    [
        parameters(),
        parameters(document=FORM),
        parameters(consent={"resourceType": "Patient"}),
        parameters(consent={"reference": "Consent/x"}),
        {"resourceType": "Parameters", "parameter": [*parameters(consent=a_consent("anne"))["parameter"]] * 2},
        parameters(consent=a_consent("anne"), document={"resourceType": "Binary"}),
        parameters(consent=a_consent("anne"), document=FORM, questionnaire=ANSWERS),
        parameters(consent=a_consent("anne"), document={**FORM, "contained": [{"resourceType": "Patient"}]}),
        {"resourceType": "Parameters", "parameter": "x"},
        {"resourceType": "Patient"},
    ],
)
def test_parameters_that_say_nothing_clear_are_400(registry: Registry, body: dict[str, Any]) -> None:
    """No Consent, two, another document; nothing is filed."""
    before = len(registry.ids(f"patient.identifier={domain_of('north')}|anne"))
    assert registry.send("POST", "/Consent/$fileConsent", body).status_code == 400
    assert len(registry.ids(f"patient.identifier={domain_of('north')}|anne")) == before


def test_a_document_that_is_none_is_422_by_path(registry: Registry) -> None:
    """It is looked at as the rest of the Consent is."""
    broken = {**FORM, "content": "x", "color": "red"}
    refused = registry.send("POST", "/Consent/$fileConsent", parameters(consent=a_consent("anne"), document=broken))
    assert refused.status_code == 422
    assert any("contained" in words for words in issues(refused))


def test_t074_a_revocation_names_its_patient_and_keeps_its_document(registry: Registry) -> None:
    """The Consent as a whole or by reference; the patient as a whole, by reference or by identifier."""
    anne = registry.shell.run_json("patients", "show", f"{domain_of('north')}|anne")["id"]
    whole = {"resourceType": "Patient", "identifier": [patient_named("anne")["identifier"]]}
    by_id = {"resourceType": "Patient", "id": anne}
    for patient in (whole, by_id, {"reference": f"Patient/{anne}"}, patient_named("anne", "south")):
        created = registry.create("anne")
        for consent in ({"reference": f"Consent/{created['id']}"}, created):
            asked = parameters(Consent=consent, Patient=patient, Document=FORM)
            revoked = consent_told(registry.send("POST", "/Consent/$revokeConsent", asked))
        assert (revoked["status"], revoked["meta"]["versionId"]) == ("inactive", "2")
        assert revoked["contained"] == [{**FORM, "id": "revocation"}]
        versions = registry.send("GET", f"/Consent/{created['id']}/_history").json["entry"]
        assert [entry["resource"]["status"] for entry in versions] == ["inactive", "active"]
        assert "contained" not in versions[1]["resource"]


@pytest.mark.parametrize("patient", [patient_named("boris"), patient_named("nobody"), {"reference": "Patient/nobody"}])
def test_a_revocation_for_another_patient_changes_nothing(registry: Registry, patient: dict[str, Any]) -> None:
    """422, the same whether the other is known."""
    created = registry.create("chloe")
    asked = parameters(consent={"reference": f"Consent/{created['id']}"}, patient=patient)
    refused = registry.send("POST", "/Consent/$revokeConsent", asked)
    assert (refused.status_code, issues(refused)) == (422, ["patient: not the one whose Consent this is"])
    assert registry.send("GET", f"/Consent/{created['id']}").json == created
    unclear = parameters(consent={"reference": f"Consent/{created['id']}"}, patient={"display": "Chloe"})
    assert registry.send("POST", "/Consent/$revokeConsent", unclear).status_code == 400


def test_one_consent_is_revoked_by_its_own_url_without_a_body(registry: Registry) -> None:
    """And obeyed from the next look on; a stale If-Match is 412 and changes nothing."""
    created = registry.create("boris")
    assert explain(registry.shell, "boris")["asked"] == ["north", "south"]
    path = f"/Consent/{created['id']}/$revokeConsent"
    assert registry.send("POST", path, If_Match='W/"7"').status_code == 412
    assert registry.send("GET", f"/Consent/{created['id']}").json["status"] == "active"
    assert registry.send("POST", path, If_Match='W/"1"').json["status"] == "inactive"
    assert explain(registry.shell, "boris")["asked"] == []


@pytest.mark.parametrize("if_match", ['W/"1"', None])
def test_t075_two_browsers_at_once(registry: Registry, if_match: str | None) -> None:
    """Of many that save at the same moment one wins, and every other is told: 412."""
    created = registry.create("anne")
    headers = {} if if_match is None else {"If_Match": if_match}
    bodies = [{**created, "dateTime": f"2026-02-{day:02}"} for day in range(1, 9)]
    path = f"/Consent/{created['id']}"
    with ThreadPoolExecutor(8) as pool:
        saved = list(pool.map(lambda body: registry.send("PUT", path, body, **headers).status_code, bodies))
    won = saved.count(200)
    assert won >= 1
    assert set(saved) <= {200, 412}
    if if_match is not None:
        assert won == 1
    assert registry.send("GET", f"/Consent/{created['id']}/_history").json["total"] == 1 + won
