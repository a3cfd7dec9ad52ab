"""Whose data a token reaches, through HTTP: the patient it is bound to, its scopes, its purpose, and nothing else.

T31, T33, T34, T40 and T69a of the security tests. (`test_wide_searches.py` tries to ask for more than one patient.)
"""

import itertools
from collections.abc import Iterator

import pytest
import requests

from tests.facilities.dicomweb import DICOMwebServer
from tests.facilities.rows import a_study_row
from tests.functional.small_exchange import (
    PLANTED_NAME,
    SmallExchange,
    identifier,
    patient_id,
    resources,
    uids,
)
from tests.services.exchange import ASSERTION_TYPE, domain_of

NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def exchange() -> Iterator[SmallExchange]:
    """Two persons, `a` and `b`, with a study in each of three facilities; nobody is in the network of the metrics."""
    made = SmallExchange.of_two_persons("research", "orders", GATEWAY_METRICS_ALLOW="10.0.0.0/8")
    yield made
    made.stop()


def test_a_bound_token_finds_its_own_patient(exchange: SmallExchange, bound: str, a: str) -> None:
    """By id, by reference and by identifier."""
    for query in ({"patient": a}, {"patient": f"Patient/{a}"}, {"patient.identifier": identifier("a", "south")}):
        answer = exchange.get("/ImagingStudy", query, token=bound)
        assert (answer.status_code, uids(answer.json())) == (200, ["2.25.13", "2.25.12", "2.25.11"])


def test_t031_another_patient_is_forbidden_whether_there_is_one_or_not(
    exchange: SmallExchange, bound: str, b: str
) -> None:
    """The same bytes, and no facility hears of it."""
    before = exchange.requests_made
    queries = [
        *({"patient": one} for one in (b, NOBODY, f"Patient/{b}", f"Patient/{NOBODY}")),
        *({"patient.identifier": one} for one in (identifier("b", "north"), f"{domain_of('north')}|nobody", "urn:x|y")),
    ]
    answers = [exchange.get("/ImagingStudy", query, token=bound) for query in queries]

    assert [answer.status_code for answer in answers] == [403] * len(answers)
    assert len({answer.content for answer in answers}) == 1
    assert len({answer.headers.get("WWW-Authenticate") for answer in answers}) == 1
    assert answers[0].json()["issue"][0]["code"] == "forbidden"
    assert exchange.requests_made == before


def test_t031_patient_reads_and_searches_keep_to_the_binding(
    exchange: SmallExchange, bound: str, a: str, b: str
) -> None:
    """Patient is held to the same as ImagingStudy."""
    assert exchange.get(f"/Patient/{a}", token=bound).status_code == 200
    refused = [exchange.get(f"/Patient/{one}", token=bound) for one in (b, NOBODY)]
    refused += [exchange.get("/Patient", {"_id": one}, token=bound) for one in (b, NOBODY)]
    refused += [
        exchange.get("/Patient", {"identifier": one}, token=bound) for one in (identifier("b", "north"), "urn:x|y")
    ]

    assert [answer.status_code for answer in refused] == [403] * 6
    assert len({answer.content for answer in refused}) == 1


def test_t031_consents_and_the_audit_keep_to_the_binding(exchange: SmallExchange, a: str, b: str) -> None:
    """Another patient's are forbidden whether there is one or not, and not found by id; nothing of `b` is told."""
    exchange.file_consent("b", {"type": "permit"})
    exchange.search("b", "north")
    token = exchange.signed_token(scope="patient/*.rs", patient=a, sub=f"Patient/{a}")
    for resource_type in ("Consent", "AuditEvent"):
        assert exchange.get(f"/{resource_type}", {"patient": a}, token=token).status_code == 200
        others = [{"patient": one} for one in (b, NOBODY)]
        others += [{"patient.identifier": one} for one in (identifier("b", "north"), f"{domain_of('north')}|nobody")]
        refused = [exchange.get(f"/{resource_type}", query, token=token) for query in others]
        assert [answer.status_code for answer in refused] == [403] * 4
        assert len({answer.content for answer in refused}) == 1
    theirs = exchange.get("/AuditEvent", {"patient": b}, token=exchange.signed_token(scope="system/AuditEvent.rs"))
    event = resources(theirs.json())[0]["id"]
    for path, absent in ((f"/AuditEvent/{event}", f"/AuditEvent/{NOBODY}-0"), ("/Consent/c-b", "/Consent/c-nobody")):
        hidden = exchange.get(path, token=token)
        assert (hidden.status_code, hidden.content) == (404, exchange.get(absent, token=token).content)
    everything = exchange.get("/AuditEvent", {"_count": "200"}, token=token)
    assert everything.status_code == 200
    assert b not in everything.text
    assert "2.25.2" not in everything.text


def test_t031_the_id_and_the_identifier_of_two_persons_find_nobody(
    exchange: SmallExchange, bound: str, a: str, b: str
) -> None:
    """Both must hold: one's own identifier does not open another's id, nor the other way round."""
    for own, other in ((identifier("a", "north"), b), (identifier("a", "north"), NOBODY)):
        answer = exchange.get("/Patient", {"identifier": own, "_id": other}, token=bound)
        assert answer.status_code == 403 or answer.json()["total"] == 0
    answer = exchange.get("/Patient", {"identifier": identifier("b", "north"), "_id": a}, token=bound)
    assert answer.status_code == 403


def test_t033_another_patients_study_is_not_found(exchange: SmallExchange, bound: str, b: str) -> None:
    """Nor its history, its versions, or everything of it; with the bytes of a study that never was."""
    (study, *_) = [one["id"] for one in resources(exchange.search("b", "north"))]
    assert exchange.get(f"/ImagingStudy/{study}").status_code == 200
    absent = exchange.get(f"/ImagingStudy/{'0' * 32}", token=bound)
    paths = [f"/ImagingStudy/{study}{rest}" for rest in ("", "/_history", "/_history/1", "/$everything", "/series")]
    paths += [f"/Patient/{b}/$everything", "/ImagingStudy/_history", "/_history"]
    answers = [exchange.get(path, token=bound) for path in paths]

    assert [answer.status_code for answer in answers] == [404] * len(paths)
    assert {answer.content for answer in answers} == {absent.content}


@pytest.mark.parametrize(
    "scope",
    [
        "system/ImagingStudy.r",
        "system/Patient.rs",
        "patient/ImagingStudy.rs",
        "user/ImagingStudy.rs",
        "system/ImagingStudy.sr",
        "system/ImagingStudy.rsx",
        "system/ImagingStudy.rs?accession=7",
        "openid",
    ],
)
def test_t034_a_scope_that_does_not_reach_a_search(exchange: SmallExchange, a: str, scope: str) -> None:
    """403 `insufficient_scope`, with a challenge that says so."""
    answers = [
        exchange.get("/ImagingStudy", {"patient": one}, token=exchange.signed_token(scope=scope)) for one in (a, NOBODY)
    ]
    for answer in answers:
        assert answer.status_code == 403
        assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
    assert answers[0].content == answers[1].content


def test_t034_search_and_read_are_two_scopes_and_include_needs_patient(exchange: SmallExchange, a: str) -> None:
    """`.s` does not read, `.r` does not search, and ImagingStudy alone does not bring a Patient along."""
    (study, *_) = [one["id"] for one in resources(exchange.search("a", "north"))]
    search_only, read_only = (exchange.signed_token(scope=f"system/ImagingStudy.{letter}") for letter in "sr")

    assert exchange.get(f"/ImagingStudy/{study}", token=search_only).status_code == 403
    assert exchange.get(f"/ImagingStudy/{study}", token=read_only).status_code == 200
    assert exchange.get("/ImagingStudy", {"patient": a}, token=search_only).status_code == 200
    include = {"patient": a, "_include": "ImagingStudy:patient"}
    assert exchange.get("/ImagingStudy", include, token=search_only).status_code == 403
    assert exchange.get(f"/Patient/{a}", token=search_only).status_code == 403


def test_t041_a_purpose_wider_than_the_clients_is_refused_and_both_are_in_the_audit(exchange: SmallExchange) -> None:
    """At the token endpoint; a request that claims another is answered, and recorded, by its token's."""
    form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE}
    for purpose in ("HRESCH", "BTG", "ETREAT"):
        assertion = exchange.client.assertion(exchange.gateway, purpose)
        answer = requests.post(
            f"{exchange.gateway.url}/oauth/token", data={**form, "client_assertion": assertion}, timeout=10
        )
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    headers = {"X-Purpose-Of-Use": "HRESCH", "X-Request-Id": "t041"}
    assert exchange.get("/ImagingStudy", {"patient.identifier": "urn:x|t041"}, headers=headers).status_code == 200

    records = exchange.audit()
    refused = [one for one in records if one["kind"] == "token-refused"]
    assert [one["who"]["purposes"] for one in refused] == [["HRESCH"], ["BTG"], ["ETREAT"]]
    assert all(["registered_purposes", "TREAT"] in one["details"] for one in refused)
    (answered,) = [one for one in records if "t041" in one.get("request", "")]
    assert answered["who"]["purposes"] == ["TREAT"]


def test_t040_headers_from_outside_change_neither_purpose_nor_address(exchange: SmallExchange) -> None:
    """Purpose and caller are the token's, the address is the connection's, whatever headers claim."""
    exchange.file_consent("research", {"type": "permit", "purpose": [{"system": PURPOSES, "code": "TREAT"}]})
    claims = {
        "X-Forwarded-User": "admin",
        "X-User-ID": "admin",
        "X-Purpose-Of-Use": "TREAT",
        "X-Original-URI": "/fhir/r4/metadata",
        "X-Original-URL": "/fhir/r4/metadata",
        "X-Rewrite-URL": "/fhir/r4/metadata",
        "X-Forwarded-For": "10.1.2.3",
        "X-Real-IP": "10.1.2.3",
        "Forwarded": "for=10.1.2.3",
        "X-Forwarded-Prefix": "/livez",
        "X-Script-Name": "/livez",
        "X-HTTP-Method-Override": "DELETE",
        "X-Request-Id": "t040-from-outside",
    }
    asked = {"patient.identifier": identifier("research", "north")}
    other_purpose = exchange.signed_token(purposes=["HRESCH"])

    assert exchange.get("/ImagingStudy", asked, token=other_purpose, headers=claims).json()["total"] == 0
    assert exchange.request("GET", "/ImagingStudy", params=asked, token=None, headers=claims).status_code == 401
    metrics = requests.get(f"{exchange.gateway.url}/metrics", headers=claims, timeout=10)
    assert metrics.status_code == 403
    told = [one for one in exchange.audit() if one.get("request_id") == "t040-from-outside"]
    (record,) = [one for one in told if one["kind"] == "imaging-search"]
    assert record["who"]["purposes"] == ["HRESCH"]
    assert record["who"]["network"] == "127.0.0.1"
    assert record["who"]["client_id"] == "ehr"


PURPOSES = "http://terminology.hl7.org/CodeSystem/v3-ActReason"


def test_t069a_the_order_of_facilities_and_rows_changes_nothing(exchange: SmallExchange) -> None:
    """Rows of nobody, of somebody else and twice the same, at every place; facilities that answer in any order."""
    north, south, east = (exchange.servers[id_] for id_ in ("north", "south", "east"))
    assert isinstance(north, DICOMwebServer)
    own = a_study_row(patient_id("orders"), "2.25.31", person=PLANTED_NAME)
    nobodys = a_study_row("x", "2.25.32")
    del nobodys["00100020"]
    rows = [own, nobodys, a_study_row("OTHER", "2.25.33"), dict(own), a_study_row(patient_id("orders"), "2.25.34")]
    kept = north.archive.studies
    north.manners.ignores_patient = True
    found = set()
    try:
        for turn, order in enumerate(itertools.permutations(rows)):
            north.archive.studies = list(order)
            delays = (0.0, 0.005, 0.01)
            for server, delay in zip((north, south, east), list(itertools.permutations(delays))[turn % 6], strict=True):
                assert isinstance(server, DICOMwebServer)
                server.manners.delay_s = delay
            studies = resources(exchange.search("orders", "north"))
            found.add(tuple(sorted(study["id"] for study in studies)))
            assert sorted(uids({"entry": [{"resource": one, "search": {"mode": "match"}} for one in studies]})) == [
                "2.25.31",
                "2.25.34",
            ]
    finally:
        north.archive.studies = kept
        north.manners.ignores_patient = False
    assert len(found) == 1
