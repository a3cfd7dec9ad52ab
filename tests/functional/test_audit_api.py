"""The audit by HTTP: auditors read all of it, patients their own history, others nothing; nobody changes it.

T81 (the data of a patient's access history), T83, T84 and T91 of the security tests.
"""

import time
import uuid
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from fhir.resources.R4B.auditevent import AuditEvent
from joserfc import jwt

from tests import canary
from tests.functional.small_exchange import SmallExchange, identifier, resources
from tests.services.exchange import ASSERTION_TYPE, NATIONAL_IDS, add_client

AUDITOR = "system/AuditEvent.rs"
OWN = "patient/AuditEvent.rs patient/ImagingStudy.rs"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def exchange() -> Iterator[SmallExchange]:
    """`a` bars south; both persons have been asked for."""
    made = SmallExchange.of_two_persons()
    made.bar("a", "south")
    made.search("a", "north")
    made.search("b", "north", modality="CT")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def auditor(exchange: SmallExchange) -> str:
    """A token of a client that may read the audit."""
    return exchange.signed_token(scope=AUDITOR)


@pytest.fixture(scope="module")
def own(exchange: SmallExchange, a: str) -> str:
    """A token with which `a` reads their own history."""
    return exchange.signed_token(patient=a, scope=OWN, sub=f"Patient/{a}", purposes=("PATRQT",))


def _search(exchange: SmallExchange, token: str, **params: Any) -> list[dict[str, Any]]:
    """All events over all pages."""
    answer = exchange.get("/AuditEvent", params, token=token)
    found: list[dict[str, Any]] = []
    while True:
        assert answer.status_code == 200, answer.text
        bundle = answer.json()
        found += resources(bundle)
        following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
        if not following:
            return found
        answer = requests.get(following[0], headers={"Authorization": f"Bearer {token}"}, timeout=10)


def _profiles(events: list[dict[str, Any]]) -> set[str]:
    return {profile.rpartition(".")[2] for event in events for profile in event.get("meta", {}).get("profile", [])}


def test_an_auditor_reads_what_was_asked_decided_and_disclosed(exchange: SmallExchange, auditor: str, a: str) -> None:
    """Every event of a search about a patient, the last first, each valid FHIR, by GET and by POST alike."""
    events = _search(exchange, auditor, patient=f"Patient/{a}")

    assert {"PatientQuery", "AuthZconsent", "Source"} <= _profiles(events)
    moments = [event["recorded"] for event in events]
    assert moments == sorted(moments, reverse=True)
    for event in events:
        AuditEvent.model_validate(event)
        assert f"Patient/{a}" in str(event)
    posted = exchange.request("POST", "/AuditEvent/_search", token=auditor, data={"patient": a, "subtype": "disclose"})
    assert [one["id"] for one in resources(posted.json())] == [
        event["id"] for event in events if "disclose" in str(event.get("subtype"))
    ]


def test_pages_of_any_length_tell_the_same_events(exchange: SmallExchange, auditor: str) -> None:
    """Cursors name the event, so that a record is told whole wherever a page ends."""
    params = {
        "date": "lt2100-01-01",
        "type": f"{DCM}|110112,{DCM}|110106,rest",
        "patient": exchange.person_id("b", "north"),
    }
    in_one = _search(exchange, auditor, **params, subtype="search-type,disclose")
    in_many = _search(exchange, auditor, **params, subtype="search-type,disclose", _count="1")

    assert len(in_one) >= 4
    assert [event["id"] for event in in_many] == [event["id"] for event in in_one]


def test_t084_the_query_of_an_event_is_the_request_as_it_came(exchange: SmallExchange, auditor: str, b: str) -> None:
    """Also where it was posted; the token is nowhere in the event."""
    body = f"patient.identifier={identifier('b', 'east').replace('|', '%7C')}&modality=MR"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    exchange.request("POST", "/ImagingStudy/_search", data=body, headers=headers).raise_for_status()

    queries = _search(exchange, auditor, patient=b, subtype="search-type", type="rest")
    raw = [b64decode(one["query"]).decode() for event in queries for one in event["entity"] if "query" in one]
    assert f"POST /fhir/r4/ImagingStudy/_search\n\n{body}" in raw
    assert exchange.token not in str(queries)
    assert "Bearer" not in str(queries)


def test_t081_a_patient_reads_their_own_history_permits_and_denials(
    exchange: SmallExchange, own: str, a: str, b: str
) -> None:
    """With no parameter at all; nothing of anybody else, and no secret."""
    events = _search(exchange, own)

    decisions = [event for event in events if "AuthZconsent" in _profiles([event])]
    assert {event["outcome"] for event in decisions} == {"0", "8"}
    assert any("south" in event["outcomeDesc"] for event in decisions if event["outcome"] == "8")
    for event in events:
        assert f"Patient/{a}" in str(event)
        assert b not in str(event)
    assert exchange.token not in str(events)
    assert _search(exchange, own, patient=a, subtype="disclose") == [
        event for event in events if "disclose" in str(event.get("subtype"))
    ]


def _break_glass(exchange: SmallExchange, patient: str) -> str:
    """A token got by a declaration for that patient."""
    client = add_client(exchange.gateway, "emergency", purpose="BTG")
    now, url = int(time.time()), f"{exchange.gateway.url}/oauth/token"
    extensions = {
        "hl7-b2b": {"version": "1", "purpose_of_use": ["BTG"], "subject_id": "npi|7", "subject_role": "doctor"},
        "break_glass": {"patient": f"Patient/{patient}", "reason": "unconscious"},
    }
    claims = {"iss": client.id, "sub": client.id, "aud": url, "iat": now, "exp": now + 240, "jti": str(uuid.uuid4())}
    header = {"alg": "ES384", "kid": client.key.kid, "typ": "JWT"}
    assertion = jwt.encode(header, {**claims, "extensions": extensions}, client.key, algorithms=["ES384"])
    form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
    token: str = requests.post(url, data=form, timeout=10).json()["access_token"]
    return token


def test_t081_a_break_glass_stands_in_the_patients_history(exchange: SmallExchange, own: str, a: str) -> None:
    """Who declared it and why (DCM 110127), and what was asked under it."""
    token = _break_glass(exchange, a)
    exchange.get("/ImagingStudy", {"patient": a}, token=token)

    (started,) = _search(exchange, own, subtype="110127")
    assert "npi|7" in str(started)
    assert any("unconscious" in str(event) for event in _search(exchange, own, subtype="ITI-71"))
    assert [event for event in _search(exchange, own, type="rest") if "BTG" in str(event.get("purposeOfEvent"))]
    assert token not in str(_search(exchange, own))


def test_t081_another_patients_history_is_forbidden_whether_there_is_one_or_not(
    exchange: SmallExchange, own: str, auditor: str, a: str, b: str
) -> None:
    """By search 403, in the same bytes; by read 404."""
    answers = [exchange.get("/AuditEvent", {"patient": one}, token=own) for one in (b, NOBODY)]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert answers[0].content == answers[1].content

    theirs = _search(exchange, auditor, patient=b)[0]["id"]
    mine = _search(exchange, own)[0]["id"]
    assert exchange.get(f"/AuditEvent/{mine}", token=own).json()["id"] == mine
    answers = [exchange.get(f"/AuditEvent/{one}", token=own) for one in (theirs, f"{NOBODY}-1")]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].content == answers[1].content


def test_t091_only_who_is_registered_for_it_reads_the_audit(exchange: SmallExchange, auditor: str, a: str) -> None:
    """An EHR's token 403, none 401; so does a patient scope without a patient, or a patient's token without it."""
    event = _search(exchange, auditor, patient=a)[0]["id"]
    for path in ("/AuditEvent", f"/AuditEvent/{event}"):
        assert exchange.get(path, token=auditor).status_code == 200
        assert exchange.get(path).status_code == 403
        assert exchange.get(path, token=None).status_code == 401
        assert exchange.get(path, token=exchange.signed_token(scope="patient/AuditEvent.rs")).status_code == 403
        assert exchange.get(path, token=exchange.signed_token(scope="patient/Patient.rs", patient=a)).status_code == 403


@pytest.mark.parametrize("scope", [AUDITOR, "system/AuditEvent.cruds", "system/*.cruds"])
def test_t091_nobody_writes_changes_or_removes_an_event(exchange: SmallExchange, auditor: str, scope: str) -> None:
    """405, whatever the token; the event is what it was."""
    event = resources(exchange.get("/AuditEvent", {"_count": "1"}, token=auditor).json())[0]
    token = exchange.signed_token(scope=scope)
    for method, path in (
        ("PUT", f"/AuditEvent/{event['id']}"),
        ("PATCH", f"/AuditEvent/{event['id']}"),
        ("DELETE", f"/AuditEvent/{event['id']}"),
        ("POST", "/AuditEvent"),
        ("DELETE", "/AuditEvent?patient=x"),
    ):
        answer = exchange.request(method, path, token=token, json={**event, "outcome": "0"})
        assert answer.status_code == 405, (method, path)
        assert answer.json()["resourceType"] == "OperationOutcome"
    assert exchange.get(f"/AuditEvent/{event['id']}", token=auditor).json() == event


def test_every_reading_of_the_audit_is_in_the_audit(exchange: SmallExchange, auditor: str, own: str, a: str) -> None:
    """Who looked at whose history stands in that history (DCM 110101)."""
    _search(exchange, auditor, patient=a, outcome="12")
    exchange.get(f"/AuditEvent/{NOBODY}-1", token=auditor)

    used = _search(exchange, own, type=f"{DCM}|110101")
    asked = [b64decode(one["query"]).decode() for event in used for one in event["entity"] if "query" in one]
    assert any("outcome=12" in one and a in one for one in asked)
    kinds = [record["kind"] for record in exchange.audit() if "AuditEvent" in record.get("request", "")]
    assert {"audit-search", "audit-read"} <= set(kinds)


def test_an_auditor_finds_a_person_by_an_identifier_and_a_client_by_its_id(
    exchange: SmallExchange, auditor: str, a: str
) -> None:
    """`patient.identifier`, `agent:identifier`, `entity.identifier` and a facility as agent."""
    by_id = _search(exchange, auditor, patient=a, subtype="disclose")
    by_identifier = {"patient.identifier": f"{NATIONAL_IDS}|{canary.NATIONAL_ID}-a", "subtype": "disclose"}

    assert _search(exchange, auditor, **by_identifier) == by_id
    assert _search(exchange, auditor, patient=a, subtype="disclose", **{"agent:identifier": "ehr"}) == by_id
    of_east = _search(exchange, auditor, patient=a, subtype="disclose", agent="Organization/east")
    assert of_east == [event for event in by_id if "Organization/east" in str(event["agent"])]
    one_study = _search(exchange, auditor, **{"entity:identifier": "urn:oid:2.25.11"}, subtype="disclose")
    assert one_study == of_east


def test_a_search_that_can_not_be_understood_is_refused(exchange: SmallExchange, auditor: str) -> None:
    """400 for what would mean something else, and for a page link that was changed."""
    for params in (
        {"patient": "a b"},
        {"date": "yesterday"},
        {"_sort": "agent"},
        {"patient:missing": "true"},
        {"_cursor": "AAAA"},
        {"patient.identifier": "without-a-system"},
    ):
        assert exchange.get("/AuditEvent", params, token=auditor).status_code == 400, params
    strictly = {"Prefer": "handling=strict"}
    assert exchange.get("/AuditEvent", {"x": "y"}, token=auditor, headers=strictly).status_code == 400


def test_the_total_and_the_count_are_exact_where_they_are_told(exchange: SmallExchange, auditor: str, b: str) -> None:
    """On a page that is all there is, and by `_summary=count`."""
    params = {"patient": b, "subtype": "disclose"}
    whole = exchange.get("/AuditEvent", params, token=auditor).json()
    first = exchange.get("/AuditEvent", {**params, "_count": "1"}, token=auditor).json()
    counted = exchange.get("/AuditEvent", {**params, "_summary": "count"}, token=auditor).json()

    assert whole["total"] == len(whole["entry"]) == counted["total"]
    assert "entry" not in counted
    assert "total" not in first


def test_t130_a_page_link_is_its_callers_alone(exchange: SmallExchange, auditor: str, own: str, a: str) -> None:
    """Another caller gets 404, and a changed link 400."""
    bundle = exchange.get("/AuditEvent", {"patient": a, "_count": "1"}, token=auditor).json()
    (link,) = [one["url"] for one in bundle["link"] if one["relation"] == "next"]
    assert a not in link

    assert exchange.get(link.partition("/fhir/r4")[2], token=own).status_code == 404
    assert exchange.get(link.partition("/fhir/r4")[2][:-2] + "AA", token=auditor).status_code == 400
