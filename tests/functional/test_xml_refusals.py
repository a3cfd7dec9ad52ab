"""What is refused is told in XML to whoever asks for XML, on every route that has XML; elsewhere in JSON."""

from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import TestResponse

from gateway.fhir.xml_form import read_xml_resource
from tests.functional.consent_registry import XML, Registry, a_consent
from tests.services.exchange import domain_of

FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    """A gateway with people and no Consents."""
    made = Registry()
    yield made
    made.close()


def outcome_in_xml(answer: TestResponse) -> dict[str, Any]:
    """The OperationOutcome of an answer that is XML."""
    assert answer.headers["Content-Type"] == f"{XML}; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    outcome = read_xml_resource(answer.data)
    assert outcome["resourceType"] == "OperationOutcome"
    return outcome


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/Consent", None, 400),
        ("GET", "/Consent/absent", None, 404),
        ("GET", "/Consent/absent/_history", None, 404),
        ("GET", "/Consent/absent/_history/1", None, 404),
        ("POST", "/Consent", {"resourceType": "Consent"}, 422),
        ("POST", "/Consent", b"{", 400),
        ("PUT", "/Consent/absent", {"resourceType": "Consent"}, 404),
        ("DELETE", "/Consent/absent", None, 405),
        ("POST", "/Consent/$fileConsent", {"resourceType": "Parameters"}, 400),
        ("POST", "/Consent/$revokeConsent", {"resourceType": "Parameters"}, 400),
        ("POST", "/Consent/absent/$revokeConsent", {"resourceType": "Parameters"}, 404),
        ("POST", "/Consent/$who-may-answer", {"resourceType": "Parameters"}, 400),
        ("GET", "/Patient/$ihe-pix", None, 403),
        ("POST", "/Patient/$match", {"resourceType": "Patient"}, 403),
        ("PUT", "/Patient?identifier=x", {"resourceType": "Patient"}, 403),
        ("DELETE", "/Patient?identifier=x", None, 403),
    ],
)
def test_a_refusal_is_in_the_form_asked_for(registry: Registry, method: str, path: str, body: Any, status: int) -> None:
    """By Accept, by _format, and in JSON to whoever asks for neither."""
    kind = {"Content_Type": "application/fhir+json"} if body is not None else {}
    by_header = registry.send(method, path, body, Accept=XML, **kind)
    by_format = registry.send(method, f"{path}{'&' if '?' in path else '?'}_format=xml", body, **kind)
    in_json = registry.send(method, path, body, **kind)

    assert (by_header.status_code, by_format.status_code, in_json.status_code) == (status,) * 3
    assert outcome_in_xml(by_header)["issue"]
    assert outcome_in_xml(by_format)["issue"]
    assert in_json.json["resourceType"] == "OperationOutcome"
    assert in_json.headers["Content-Type"].startswith("application/fhir+json")


@pytest.mark.parametrize("path", ["/Consent/x", "/Patient/$ihe-pix?_format=xml", "/Consent?_format=application/xml"])
@pytest.mark.parametrize("token", [None, "Bearer nonsense"])
def test_the_guard_refuses_in_xml_too(registry: Registry, path: str, token: str | None) -> None:
    """401 with its challenge; nothing of the token in it."""
    headers = {"Accept": XML, **({"Authorization": token} if token else {})}
    answer = registry.client.get(f"/fhir/r4{path}", headers=headers)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert outcome_in_xml(answer)["issue"][0]["code"] == "login"


def test_a_posted_search_states_its_format_in_its_form(registry: Registry) -> None:
    """What is found and what is refused alike; a word that is no format is 406, in JSON."""
    who = f"patient.identifier={domain_of('north')}|anne"
    form = {"Content_Type": FORM}
    found = registry.send("POST", "/Consent/_search", f"{who}&_format=xml", **form)
    assert read_xml_resource(found.data)["resourceType"] == "Bundle"
    refused = registry.send("POST", "/Consent/_search", "status=active&_format=xml", **form)
    assert (refused.status_code, outcome_in_xml(refused)["issue"][0]["code"]) == (400, "invalid")
    unknown = registry.send("POST", "/Consent/_search", f"{who}&_format=turtle", **form)
    assert (unknown.status_code, unknown.json["issue"][0]["code"]) == (406, "not-supported")


@pytest.mark.parametrize(
    "accept",
    [
        "application/fhir+xml",
        "text/xml",
        "application/xml; q=0.9, application/json; q=0.1",
        "text/html, application/fhir+xml; q=0.5",
        "application/fhir+xml; fhirVersion=4.0",
    ],
)
def test_xml_is_taken_wherever_accept_names_it(registry: Registry, accept: str) -> None:
    """The best of those that there are (RFC 9110 §12.5.1)."""
    outcome_in_xml(registry.send("GET", "/Consent/absent", Accept=accept))


@pytest.mark.parametrize("accept", ["application/fhir+xml; fhirVersion=5.0", "application/fhir+xml;q=0", "text/html"])
def test_t118_what_cannot_be_had_is_406_in_json(registry: Registry, accept: str) -> None:
    """Another FHIR version; XML that is not wanted."""
    refused = registry.send("GET", "/Consent/absent", Accept=accept)
    assert (refused.status_code, refused.json["issue"][0]["code"]) == (406, "not-supported")


def test_a_route_without_xml_refuses_in_json(registry: Registry) -> None:
    """ImagingStudy is told in JSON only, and so is that."""
    refused = registry.send("GET", "/ImagingStudy?patient=x", Accept=XML)
    assert (refused.status_code, refused.json["resourceType"]) == (406, "OperationOutcome")


@pytest.mark.parametrize("kind", ["application/fhir+xml; fhirVersion=5.0", "application/fhir+xml; charset=latin-1"])
def test_a_body_in_another_version_or_charset_is_415(registry: Registry, kind: str) -> None:
    """Before it is read."""
    assert registry.send("POST", "/Consent", b"<Consent/>", Content_Type=kind).status_code == 415


def test_a_number_beyond_64_bits_is_no_error_of_ours(registry: Registry) -> None:
    """400, as every JSON that can't be kept as it came."""
    body = '{"resourceType": "Consent", "extension": [{"url": "urn:x", "valueDecimal": 1%s}]}' % ("0" * 30)
    refused = registry.send("POST", "/Consent", body.encode(), Content_Type="application/fhir+json")
    assert (refused.status_code, refused.json["issue"][0]["code"]) == (400, "invalid")
    assert "64 bits" in refused.json["issue"][0]["diagnostics"]


def test_t076_a_narrative_that_breaks_out_is_refused_by_its_path(registry: Registry) -> None:
    """And nothing is on file."""
    text = {"status": "generated", "div": "</div></text><status value='inactive'/>"}
    refused = registry.send("POST", "/Consent", a_consent("anne", text=text))
    assert refused.status_code == 422
    assert refused.json["issue"][0]["diagnostics"].startswith("Consent.text.div")
