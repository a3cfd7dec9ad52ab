"""The FHIR Consent API (IHE PCF ITI-108, FAST $fileConsent and $revokeConsent), through the application itself."""

from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import TestResponse

from gateway.fhir.xml_form import read_xml_resource, write_xml
from tests.factories_auth import an_access_token
from tests.factories_consent import a_coding, an_actor, authored_by
from tests.functional.consent_community import explain, patient_named
from tests.functional.consent_registry import SCOPE, XML, Registry, a_consent, consent_told, issues
from tests.services.exchange import domain_of


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    """A gateway with people and no Consents."""
    made = Registry()
    yield made
    made.close()


def test_a_consent_is_created_read_updated_and_every_version_kept(registry: Registry) -> None:
    """Under an id of the server's; with version, time and ETag; the history newest first."""
    answer = registry.send("POST", "/Consent", a_consent("anne", id="ignored"))
    created = answer.json
    path = f"/Consent/{created['id']}"
    assert (answer.status_code, created["id"] == "ignored", created["meta"]["versionId"]) == (201, False, "1")
    assert answer.headers["Location"] == f"{registry.base}{path}/_history/1"
    assert (answer.headers["ETag"], answer.headers["Cache-Control"]) == ('W/"1"', "no-store")
    assert answer.headers["Last-Modified"].endswith("GMT")
    assert registry.send("GET", path).json == created

    changed = {**created, "provision": {"type": "deny"}}
    updated = registry.send("PUT", path, changed, If_Match='W/"1"')
    assert (updated.status_code, updated.json["meta"]["versionId"], updated.headers["ETag"]) == (200, "2", 'W/"2"')
    again = registry.send("PUT", path, updated.json)
    assert again.json["meta"] == updated.json["meta"]

    history = registry.send("GET", f"{path}/_history").json
    assert [entry["resource"]["meta"]["versionId"] for entry in history["entry"]] == ["2", "1"]
    assert history["type"] == "history"
    assert registry.send("GET", f"{path}/_history/1").json == created
    assert registry.send("GET", f"{path}/_history/3").status_code == 404
    assert registry.send("GET", f"{path}/_history/x").status_code == 404


def test_t075_of_two_who_change_it_at_once_one_wins_and_the_other_is_told(registry: Registry) -> None:
    """A stale If-Match is 412, an unreadable one 400 (`*` too: it says nothing of what was read).

    If-None-Match is 412 where it is there. What has ended is not brought back: 409.
    """
    created = registry.create("boris")
    path = f"/Consent/{created['id']}"
    mine = registry.send("PUT", path, {**created, "provision": {"type": "deny"}}, If_Match='W/"1"')
    yours = registry.send("PUT", path, {**created, "status": "inactive"}, If_Match='W/"1"')
    assert (mine.status_code, yours.status_code) == (200, 412)
    for unreadable in ("*", "garbage", 'W/"1", W/"2"', ""):
        refused = registry.send("PUT", path, created, If_Match=unreadable)
        assert (refused.status_code, "expected the ETag" in issues(refused)[0]) == (400, True)
    for another in ('W/"99999999999"', '"abc"', "3"):
        assert registry.send("PUT", path, created, If_Match=another).status_code == 412
    for there in ("*", 'W/"2"'):
        refused = registry.send("PUT", path, created, If_None_Match=there)
        assert (refused.status_code, issues(refused)) == (412, ["If-None-Match: it is on file already"])
    assert registry.send("PUT", path, created, If_None_Match="garbage").status_code == 400
    assert registry.send("GET", path).json["provision"] == {"type": "deny"}

    ended = registry.send("POST", f"{path}/$revokeConsent", {"resourceType": "Parameters"}, If_Match='W/"2"')
    assert (ended.status_code, ended.json["status"]) == (200, "inactive")
    assert registry.send("PUT", path, {**created, "status": "active"}).status_code == 409
    assert registry.send("GET", path).json["meta"]["versionId"] == "3"


def test_t074_a_consent_is_revoked_and_never_deleted(registry: Registry) -> None:
    """Inactive, versions kept; DELETE and PATCH are 405 and say what may be done; revoking twice changes nothing."""
    created = registry.create("anne")
    path = f"/Consent/{created['id']}"
    asked = {"resourceType": "Parameters", "parameter": [{"name": "c", "valueReference": {"reference": path[1:]}}]}
    revoked = registry.send("POST", "/Consent/$revokeConsent", asked)
    told = consent_told(revoked)
    assert (revoked.status_code, told["status"], told["meta"]["versionId"]) == (200, "inactive", "2")
    assert consent_told(registry.send("POST", "/Consent/$revokeConsent", asked))["meta"]["versionId"] == "2"
    assert registry.send("GET", f"{path}/_history").json["total"] == 2
    for method in ("DELETE", "PATCH"):
        refused = registry.send(method, path)
        assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD, PUT")
    assert registry.send("DELETE", "/Consent").status_code == 405
    assert registry.send("GET", "/Consent/$revokeConsent").status_code == 405
    assert registry.send("GET", path).json["status"] == "inactive"


def test_consents_are_found_by_patient_status_actor_and_time(registry: Registry) -> None:
    """GET and POST alike; an unknown patient has none; without a patient nothing is searched."""
    who = f"patient.identifier={domain_of('north')}|boris"
    to_north = registry.create("boris", {"type": "permit", "actor": [an_actor(reference="Organization/north")]})["id"]
    draft = registry.create("boris", status="draft")["id"]
    assert {to_north, draft} <= set(registry.ids(who))
    assert to_north in registry.ids(f"{who}&status=active")
    assert registry.ids(f"{who}&status=draft") == [draft]
    assert registry.ids(f"{who}&actor=Organization/north") == [to_north]
    assert registry.ids(f"{who}&actor={registry.base}/Organization/north") == [to_north]
    assert registry.ids(f"{who}&actor=Organization/south") == []
    assert registry.ids(f"{who}&_id={draft}") == [draft]
    assert registry.ids(f"{who}&_lastUpdated=gt2100-01-01") == []
    assert draft in registry.ids(f"{who}&_lastUpdated=ge2020-01-01")
    assert registry.ids(f"patient.identifier={domain_of('north')}|nobody") == []
    found = registry.send("GET", f"/Consent?{who}").json["entry"][0]["resource"]["id"]
    person = registry.shell.run_json("patients", "show", f"{domain_of('north')}|boris")["id"]
    assert found in registry.ids(f"patient=Patient/{person}")
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    posted = registry.send("POST", "/Consent/_search", f"{who}&status=draft", **form)
    assert [entry["resource"]["id"] for entry in posted.json["entry"]] == [draft]
    for query in ("status=active", f"{who}&patient=x", f"{who}&_include=Consent:patient", f"{who}&patient.name=x"):
        assert registry.send("GET", f"/Consent?{query}").status_code == 400, query
    assert registry.send("GET", f"/Consent?{who}&_summary=count").json["total"] >= 2


def test_it_speaks_xml_as_it_speaks_json(registry: Registry) -> None:
    """By Content-Type, Accept and _format; a Consent read as XML is the one that was written as JSON."""
    narrative = '<div xmlns="http://www.w3.org/1999/xhtml"><p>May &amp; may not<br></br></p></div>'
    rule = {
        "type": "permit",
        "purpose": [a_coding("TREAT"), a_coding("HPAYMT")],
        "provision": [{"type": "deny", "data": [authored_by("south")]}],
    }
    sent = a_consent("anne", rule, text={"status": "generated", "div": narrative})
    answer = registry.send("POST", "/Consent", write_xml(sent), Content_Type=XML, Accept=XML)
    assert (answer.status_code, answer.headers["Content-Type"]) == (201, f"{XML}; charset=utf-8")
    created = read_xml_resource(answer.data)
    stored = registry.send("GET", f"/Consent/{created['id']}").json
    assert created == stored
    assert {name: stored[name] for name in sent if name not in ("id", "meta")} == {
        name: value for name, value in sent.items() if name != "id"
    }
    who = f"patient.identifier={domain_of('north')}|anne"
    for path in (f"/Consent?{who}&_format=xml", f"/Consent/{created['id']}/_history?_format=application/fhir%2Bxml"):
        told = registry.send("GET", path)
        assert told.data.startswith(b'<?xml version="1.0" encoding="UTF-8"?><Bundle xmlns="http://hl7.org/fhir"')
    assert registry.send("GET", f"/Consent/{created['id']}", Accept="text/html").status_code == 406
    assert registry.send("POST", "/Consent", b"x", Content_Type="text/plain").status_code == 415


@pytest.mark.parametrize(
    "document",
    [
        '<!DOCTYPE Consent [<!ENTITY x "y">]><Consent xmlns="http://hl7.org/fhir"><status value="&x;"/></Consent>',
        '<!DOCTYPE Consent SYSTEM "http://127.0.0.1:9/x.dtd"><Consent xmlns="http://hl7.org/fhir"/>',
        '<?go away?><Consent xmlns="http://hl7.org/fhir"/>',
        "<Consent/>",
        '<Consent xmlns="http://hl7.org/fhir"><status value="active"/><status value="draft"/></Consent>',
        '<Consent xmlns="http://hl7.org/fhir">words</Consent>',
        '<Consent xmlns="http://hl7.org/fhir"><status value="active" unless="tuesday"/></Consent>',
        '<Consent xmlns="http://hl7.org/fhir"><x:status xmlns:x="urn:x" value="active"/></Consent>',
        '<Consent xmlns="http://hl7.org/fhir"><status value="active"></Consent>',
        '<Consent xmlns="http://hl7.org/fhir">' + "<provision>" * 70 + "</provision>" * 70 + "</Consent>",
        "",
        "\x00",
    ],
)
def test_xml_that_defines_anything_or_is_no_fhir_is_refused(registry: Registry, document: str) -> None:
    """Any DOCTYPE is 400, whatever is in it; nothing of the document is in the answer."""
    refused = registry.send("POST", "/Consent", document.encode(), Content_Type=XML)
    assert refused.status_code == 400
    assert issues(refused)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"status": "valid"}, "Consent.status"),
        ({"provision": {"type": "permit", "purpose": [a_coding("FooBar")]}}, "Consent.provision.purpose[0].code"),
        ({"provision": {"type": "deny", "data": [authored_by("nowhere")]}}, "Consent.provision.data[0].reference"),
        (
            {"provision": {"type": "permit", "period": {"start": "2026-02", "end": "2026-01"}}},
            "Consent.provision.period",
        ),
        ({"provision": {"type": "permit", "action": [{}]}}, "Consent.provision.action"),
        ({"dateTime": "yesterday"}, "Consent.dateTime: expected"),
        ({"dateTime": 5}, "Consent.dateTime: expected"),
        ({"category": ['{"text": "x"}']}, "Consent.category[0]: expected an object"),
        ({"performer": []}, "Consent.performer: expected"),
        ({"language": None, "organization": {}}, "Consent.organization: expected a list"),
        ({"contained": [{"resourceType": "Nope"}]}, "Consent.contained: expected"),
        ({"color": "red"}, "Consent.color: not evaluated"),
        (
            {"provision": {"type": "permit", "actor": [an_actor(reference=[])]}},
            "Consent.provision.actor[0].reference",
        ),
        ({"performer": None}, "Consent.performer"),
        ({"patient": {"reference": "Patient/nobody"}}, "patient not known"),
        ({"modifierExtension": [{"url": "urn:x"}]}, "Consent.modifierExtension"),
    ],
)
def test_t076_a_malformed_consent_is_refused_by_path_and_not_stored(
    registry: Registry, changes: dict[str, Any], path: str
) -> None:
    """422, with what is expected; nothing is on file."""
    who = f"patient.identifier={domain_of('north')}|chloe"
    before = registry.ids(who)
    resource = {name: value for name, value in {**a_consent("chloe"), **changes}.items() if value is not None}
    refused = registry.send("POST", "/Consent", resource)
    assert refused.status_code == 422
    assert any(words.startswith(path) for words in issues(refused))
    assert registry.ids(who) == before


@pytest.mark.parametrize("scope", ["system/Consent.rs", "system/ImagingStudy.rs", "patient/Consent.cruds"])
def test_t072_without_the_scope_nothing_is_filed(registry: Registry, scope: str) -> None:
    """403, before the body is looked at."""
    assert registry.send("POST", "/Consent", {"nonsense": 1}, _scope=scope).status_code == 403


def test_t071_a_token_of_one_patient_files_and_sees_nothing_of_another(registry: Registry) -> None:
    """403 for a Consent of another; 404 for another's by id, to read, change or revoke."""
    person = registry.shell.run_json("patients", "show", f"{domain_of('north')}|anne")["id"]
    other = registry.create("boris")
    bound = {"_scope": "patient/Consent.cruds", "_patient": person}
    assert registry.send("POST", "/Consent", a_consent("boris"), **bound).status_code == 403
    assert registry.send("POST", "/Consent", a_consent("anne"), **bound).status_code == 201
    path = f"/Consent/{other['id']}"
    answers = [
        registry.send("GET", path, **bound),
        registry.send("GET", f"{path}/_history", **bound),
        registry.send("PUT", path, other, **bound),
        registry.send("POST", f"{path}/$revokeConsent", {"resourceType": "Parameters"}, **bound),
        registry.send("GET", "/Consent/no-such-consent", **bound),
    ]
    assert [answer.status_code for answer in answers] == [404] * 5
    assert len({answer.data for answer in answers}) == 1
    assert registry.send("GET", path).json == other
    who = f"patient.identifier={domain_of('north')}|boris"
    assert registry.send("GET", f"/Consent?{who}", **bound).status_code == 403


def test_every_change_is_in_the_audit_before_and_after(registry: Registry) -> None:
    """That it is asked for, and which version it made; who did it; refused ones too."""
    created = registry.create("anne")
    reference = f"Consent/{created['id']}"
    registry.send("PUT", f"/{reference}", {**created, "status": "inactive"}, If_Match='W/"1"')
    told = [
        (one["kind"], one["outcome"], one["reason"], tuple(one["resources"]))
        for one in registry.audit()
        if any(name.startswith(reference) for name in one.get("resources", ()))
    ]
    assert told == [
        ("consent-create", "success", "consent change asked for", (reference,)),
        ("consent-create", "success", "consent change loaded", (f"{reference}/_history/1",)),
        ("consent-update", "success", "consent change asked for", (reference,)),
        ("consent-update", "success", "consent change updated", (f"{reference}/_history/2",)),
    ]


def test_t133_a_change_counts_from_the_very_next_question(registry: Registry) -> None:
    """Granted, then revoked, by the API; looked at from another process's side."""
    created = registry.create("chloe", {"type": "permit", "purpose": [a_coding("TREAT")]})
    name = f"Consent/{created['id']}/_history/1"
    assert any(name in one["consents"] for one in explain(registry.shell, "chloe")["decisions"])
    registry.send("POST", f"/Consent/{created['id']}/$revokeConsent", {"resourceType": "Parameters"})
    assert not any(name in one["consents"] for one in explain(registry.shell, "chloe")["decisions"])


def question(name: str) -> dict[str, Any]:
    """Parameters that name a patient."""
    return {"resourceType": "Parameters", "parameter": [{"name": "patient", "valueReference": patient_named(name)}]}


def test_who_may_answer_names_those_that_may_and_nobody_else(registry: Registry) -> None:
    """The open question: a barred facility is not in the answer, and an unknown patient's looks like it."""
    registry.create("boris", {"type": "permit", "provision": [{"type": "deny", "data": [authored_by("south")]}]})
    answer = registry.send("POST", "/Consent/$who-may-answer", question("boris"))
    assert [one["valueReference"]["reference"] for one in answer.json["parameter"]] == ["Organization/north"]
    assert "south" not in answer.text
    nobody = registry.send("POST", "/Consent/$who-may-answer", question("nobody"))
    assert (nobody.status_code, nobody.json) == (200, {"resourceType": "Parameters"})
    assert registry.send("POST", "/Consent/$who-may-answer", {"resourceType": "Parameters"}).status_code == 400
    assert (
        registry.send("POST", "/Consent/$who-may-answer", question("boris"), _scope="system/Patient.rs").status_code
        == 403
    )


def test_the_consent_service_answers_in_cards(registry: Registry) -> None:
    """CDS Hooks: discovery without a token; a permit with what it rests on; malformed 400; no token 401."""
    services = registry.client.get("/cds-services").json["services"]
    assert [one["id"] for one in services] == ["patient-consent-consult"]
    permit = {"type": "permit", "purpose": [a_coding("HRESCH")], "actor": [an_actor(reference="Practitioner/res")]}
    created = registry.create("chloe", permit)
    token = an_access_token(registry.keys, registry.base.removesuffix("/fhir/r4"), scope=SCOPE)
    context = {
        "patientId": [{"system": domain_of("north"), "value": "chloe"}],
        "actor": [{"value": "Practitioner/res"}],
        "purposeOfUse": "HRESCH",
    }

    def consult(**changes: Any) -> TestResponse:
        body = {"hook": "patient-consent-consult", "hookInstance": "1", "context": {**context, **changes}}
        headers = {"Authorization": f"Bearer {token}"}
        return registry.client.post("/cds-services/patient-consent-consult", json=body, headers=headers)

    (card,) = consult().json["cards"]
    assert card["summary"] == "CONSENT_PERMIT"
    assert {"reference": f"{registry.base}/Consent/{created['id']}/_history/1"} in card["extension"]["basedOn"]
    (card,) = consult(actor=[{"value": "Practitioner/other"}]).json["cards"]
    assert (card["summary"], card["extension"]["permitted"]) == ("CONSENT_DENY", False)
    (card,) = consult(patientId=[{"system": domain_of("north"), "value": "nobody"}]).json["cards"]
    assert card["summary"] == "NO_CONSENT"
    systems = [{name: [{"system": system, "value": "5"}]} for name in ("patientId", "actor") for system in (5, None)]
    for changes in ({"actor": []}, {"patientId": "x"}, {"purposeOfUse": "FooBar"}, {"purposeOfUse": "BTG"}, *systems):
        refused = consult(**changes)
        assert (refused.status_code, refused.json) == (400, {"error": "bad_request"})
    assert registry.client.post("/cds-services/patient-consent-consult", json={}).status_code == 401
