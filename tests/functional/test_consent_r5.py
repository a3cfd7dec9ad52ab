"""A Consent that was filed in FHIR R5 is told in R4 to clients of the R4 API, or it is said why it can't be."""

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.consent.fhir_consent import is_r5
from gateway.fhir.xml_form import read_xml_resource
from tests.factories_consent import a_coding, authored_by
from tests.functional.consent_community import explain, load_consents, patient_named
from tests.functional.consent_registry import PERFORMER, XML, Registry, issues
from tests.services.exchange import domain_of

TREAT_BUT_SOUTH = {"purpose": [a_coding("TREAT")], "provision": [{"data": [authored_by("south")]}]}
BORIS = f"patient.identifier={domain_of('north')}|boris"


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    """A gateway with people and no Consents."""
    made = Registry()
    yield made
    made.close()


def an_r5(name: str, *provisions: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A Consent of that person in FHIR R5: everything is denied but what the provisions permit."""
    stated = {
        "resourceType": "Consent",
        "id": f"r5-{name}",
        "status": "active",
        "subject": patient_named(name),
        "date": "2026-01-01",
        "grantor": PERFORMER,
        "controller": [{"reference": "Organization/north"}],
        "decision": "deny",
        "provision": list(provisions),
    }
    return {key: value for key, value in {**stated, **changes}.items() if value}


def test_it_is_read_in_r4_wherever_it_is_read(registry: Registry) -> None:
    """Create, read, vread, history, search, JSON and XML: one and the same R4 Consent, which decides the same."""
    created = registry.send("POST", "/Consent", an_r5("anne", TREAT_BUT_SOUTH))
    assert created.status_code == 201
    told = created.json
    path = f"/Consent/{told['id']}"
    assert not is_r5(told)
    assert told["patient"] == patient_named("anne")
    assert (told["dateTime"], told["performer"]) == ("2026-01-01", PERFORMER)
    assert told["organization"] == [{"reference": "Organization/north"}]
    assert told["scope"]["coding"][0]["code"] == "patient-privacy"
    assert told["policyRule"]["coding"][0]["code"] == "OPTOUT"
    assert told["provision"] == {
        "type": "deny",
        "provision": [
            {"type": "permit", "purpose": [a_coding("TREAT")]},
            {"type": "deny", "data": [authored_by("south")]},
        ],
    }
    assert registry.send("GET", path).json == told
    assert registry.send("GET", f"{path}/_history/1").json == told
    assert registry.send("GET", f"{path}/_history").json["entry"][0]["resource"] == told
    found = registry.send("GET", f"/Consent?patient.identifier={domain_of('north')}|anne").json
    assert [entry["resource"] for entry in found["entry"]] == [told]
    assert read_xml_resource(registry.send("GET", path, Accept=XML).data) == told
    assert explain(registry.shell, "anne")["asked"] == ["north"]

    again = registry.send("PUT", path, told)
    assert (again.status_code, again.json["meta"]["versionId"]) == (200, "1")
    shown = registry.shell.run_json("consents", "show", f"{domain_of('north')}|anne")["consents"]
    assert "decision" in shown[0]["resource"], "on file it stays as it was filed"

    changed = registry.send("PUT", path, {**told, "status": "inactive"})
    assert (changed.json["meta"]["versionId"], changed.json["status"]) == ("2", "inactive")
    history = registry.send("GET", f"{path}/_history").json["entry"]
    assert [entry["resource"]["status"] for entry in history] == ["inactive", "active"]
    assert explain(registry.shell, "anne")["asked"] == []


def test_its_status_is_found_in_the_words_of_r4(registry: Registry) -> None:
    """`not-done` is `rejected`."""
    load_consents(registry.shell, an_r5("chloe", status="not-done", id="r5-status"))
    who = f"patient.identifier={domain_of('north')}|chloe"
    assert registry.ids(f"{who}&status=rejected") == ["r5-status"]
    assert registry.ids(f"{who}&status=not-done") == []
    assert registry.send("GET", "/Consent/r5-status").json["status"] == "rejected"


def test_what_r4_cannot_say_is_refused_and_never_bent(registry: Registry) -> None:
    """Filing 422 by path; one on file from the shell: read 406, an outcome in lists; revoked all the same."""
    several = an_r5("boris", TREAT_BUT_SOUTH, {"purpose": [a_coding("HRESCH")]})
    refused = registry.send("POST", "/Consent", several)
    assert refused.status_code == 422
    assert issues(refused)[0].startswith("Consent.provision[0].provision")
    assert registry.ids(BORIS) == []

    load_consents(registry.shell, several)
    assert explain(registry.shell, "boris")["asked"] == ["north"]
    for path in ("/Consent/r5-boris", "/Consent/r5-boris/_history/1"):
        read = registry.send("GET", path)
        assert (read.status_code, read.json["issue"][0]["code"]) == (406, "not-supported")
        assert "Consent.provision[0].provision" in issues(read)[0]
    found = registry.send("GET", f"/Consent?{BORIS}").json
    assert (found["total"], [entry["search"]["mode"] for entry in found["entry"]]) == (1, ["outcome"])
    assert "Consent/r5-boris" in found["entry"][0]["resource"]["issue"][0]["diagnostics"]
    (entry,) = registry.send("GET", "/Consent/r5-boris/_history").json["entry"]
    assert "resource" not in entry
    assert entry["response"]["outcome"]["resourceType"] == "OperationOutcome"

    revoked = registry.send("POST", "/Consent/r5-boris/$revokeConsent", {"resourceType": "Parameters"})
    assert revoked.status_code == 200
    assert explain(registry.shell, "boris")["asked"] == []
    assert [
        one["state"] for one in registry.shell.run_json("consents", "show", f"{domain_of('north')}|boris")["consents"]
    ] == [
        "superseded",
        "inactive",
    ]


@pytest.mark.parametrize(
    "element",
    [
        *("decision", "provision", "actor", "controller", "manager", "grantee", "policyBasis", "policyText", "meta"),
        *("regulatoryBasis", "sourceReference", "sourceAttachment", "contained", "extension", "category", "period"),
    ],
)
def test_an_element_of_another_type_is_refused_by_its_path(registry: Registry, element: str) -> None:
    """Created, updated or filed with a document: 422 as `consents load` says, never an error of ours."""
    created = registry.send("POST", "/Consent", an_r5("anne", TREAT_BUT_SOUTH)).json
    document = {"resourceType": "DocumentReference", "status": "current", "content": [{"attachment": {"title": "x"}}]}
    for value in (5, "x", [5], {"a": 1}, None, [None], [{"id": []}], [{"resourceType": "X"}]):
        stated = an_r5("anne", {"purpose": [a_coding("TREAT")]})
        (stated["provision"][0] if element == "actor" else stated)[element] = value
        filed = {
            "resourceType": "Parameters",
            "parameter": [{"name": "consent", "resource": stated}, {"name": "document", "resource": document}],
        }
        for method, path, body in (
            ("POST", "/Consent", stated),
            ("PUT", f"/Consent/{created['id']}", {**stated, "id": created["id"]}),
            ("POST", "/Consent/$fileConsent", filed),
        ):
            refused = registry.send(method, path, body)
            assert refused.status_code == 422, (method, path, value)
            assert f".{element}" in issues(refused)[0]
