"""What can't be understood is refused in clear words of our own: never a 500, never an echo, never half an answer.

T111, T117, T118 and T121 of the security tests, through HTTP.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator

import pytest
import requests

from tests import canary
from tests.functional.small_exchange import SmallExchange, hold_study, identifier, uids
from tests.services.exchange import ASSERTION_TYPE

DEEP = b"[" * 100_000 + b"]" * 100_000
JSON: dict[str, bytes] = {
    "deep list": DEEP,
    "deep object": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "NaN": b'{"a":NaN}',
    "infinity": b'{"a":-Infinity}',
    "duplicate keys": b'{"resourceType":"Bundle","resourceType":"Patient"}',
    "byte order mark": b'\xef\xbb\xbf{"resourceType":"Bundle"}',
    "UTF-16": '{"resourceType":"Bundle"}'.encode("utf-16"),
    "empty": b"",
    "null": b"null",
    "array": b"[]",
    "number": b"1" * 5000,
    "long integer": b'{"a":' + b"9" * 5000 + b"}",
    "lone surrogate": b'{"a":"\\ud800"}',
    "NUL": b'{"a":"\\u0000"}',
    "invalid UTF-8": b'{"a":"\xff"}',
    "cut off": b'{"resourceType":"Bundle","entry":[{',
    "not JSON": b"<html>",
}
TEN_MB = b'{"a":"' + b"x" * 10_000_000 + b'"}'
POSTED_TO = (
    "",
    "/",
    "/ImagingStudy",
    "/ImagingStudy/_search",
    "/Patient",
    "/Patient/_search",
    "/Endpoint/_search",
    "/Organization/_search",
    "/Consent",
    "/Patient/$match",
)
REFUSED = {400, 404, 405, 413, 415}
"""404 and 405 where nothing is posted to, 413 and 415 where a form is."""


@pytest.fixture(scope="module")
def exchange() -> Iterator[SmallExchange]:
    """One facility, one person with one study."""
    made = SmallExchange()
    hold_study(made.add_archive("north"), "a", "2.25.1")
    made.add_person("a", "north")
    yield made.start()
    made.stop()


def require_clear_refusal(answer: requests.Response, *statuses: int) -> None:
    """An OperationOutcome of one of these statuses, short, and in our words."""
    assert answer.status_code in statuses, (answer.status_code, answer.text[:300])
    assert len(answer.content) <= 2048
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert {issue["severity"] for issue in outcome["issue"]} == {"error"}
    assert all(issue["code"] and issue.get("diagnostics") for issue in outcome["issue"])
    for word in ("Traceback", "sqlite", "psycopg", "SELECT", "/gateway/", "werkzeug", "127.0.0.1"):
        assert word not in answer.text
    assert answer.headers["Content-Type"].startswith("application/fhir+json")
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("name", JSON)
@pytest.mark.parametrize("path", POSTED_TO)
def test_t111_bad_json_is_refused_at_every_post_route(exchange: SmallExchange, name: str, path: str) -> None:
    """As the route refuses all it does not take: never a 500, never by hanging."""
    for content_type in ("application/fhir+json", "application/json"):
        answer = exchange.request("POST", path, data=JSON[name], headers={"Content-Type": content_type})
        require_clear_refusal(answer, *REFUSED)


@pytest.mark.parametrize("path", POSTED_TO)
def test_t111_ten_megabytes_are_too_large(exchange: SmallExchange, path: str) -> None:
    """413, or refused before they are read; the worker does not keep them."""
    try:
        answer = exchange.request("POST", path, data=TEN_MB, headers={"Content-Type": "application/fhir+json"})
    except requests.ConnectionError:
        return  # closed while we were still sending, which is how a server refuses to read on
    require_clear_refusal(answer, *REFUSED)


def test_t111_a_form_that_is_too_large_is_413(exchange: SmallExchange) -> None:
    """Whether it says its length or comes in chunks."""
    form = b"patient.identifier=" + b"x" * 70_000
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    require_clear_refusal(exchange.request("POST", "/ImagingStudy/_search", data=form, headers=headers), 413)
    chunked = exchange.request("POST", "/ImagingStudy/_search", data=iter([form]), headers=headers)
    require_clear_refusal(chunked, 413)


@pytest.mark.parametrize("name", JSON)
def test_t111_bad_json_at_the_token_endpoint(exchange: SmallExchange, name: str) -> None:
    """An OAuth error, as a client library expects it."""
    for content_type in ("application/json", "application/x-www-form-urlencoded"):
        answer = requests.post(
            f"{exchange.gateway.url}/oauth/token", data=JSON[name], headers={"Content-Type": content_type}, timeout=10
        )
        assert answer.status_code in (400, 413)
        assert answer.json()["error"] in ("invalid_request", "unsupported_grant_type")
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("name", JSON)
def test_t111_bad_json_inside_an_assertion(exchange: SmallExchange, name: str) -> None:
    """Header and claims of a client assertion are JSON too."""
    part = urlsafe_b64encode(JSON[name][:6000]).decode().rstrip("=")
    good = exchange.client.assertion(exchange.gateway).split(".")
    for assertion in (f"{part}.{good[1]}.{good[2]}", f"{good[0]}.{part}.{good[2]}"):
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion,
            "scope": "system/ImagingStudy.rs",
        }
        answer = requests.post(f"{exchange.gateway.url}/oauth/token", data=form, timeout=10)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client")
        access = exchange.get("/ImagingStudy", {"patient": "x"}, token=assertion)
        assert access.status_code == 401


VALUES = {
    "a quote": ("patient", "'"),
    "SQL": ("patient", "x' OR '1'='1"),
    "a NUL": ("patient", "%00"),
    "a NUL in an identifier": ("patient.identifier", "urn:x|%00"),
    "a line break": ("patient.identifier", "urn:x|a%0d%0ab"),
    "invalid UTF-8": ("patient.identifier", "urn:x|%ff%fe"),
    "half a surrogate": ("patient.identifier", "urn:x|%ed%a0%80"),
    "a script": ("patient", "<script>alert(1)</script>"),
    "another server": ("patient", "https://evil.example/fhir/Patient/1"),
    "another type": ("patient", "Group/1"),
    "a version": ("patient", "Patient/1/_history/1"),
    "a fragment": ("patient", "#x"),
    "65 characters": ("patient", "x" * 65),
    "5 KB": ("patient.identifier", "urn:x|" + "x" * 5000),
    "no value": ("patient", "Patient/"),
    "two bars": ("patient.identifier", "urn:x|a|b"),
}
FILTERS = {
    "no such month": ("started", "ge9999-99-99"),
    "no such day": ("started", "2023-02-30"),
    "an unknown prefix": ("started", "xx2024"),
    "no date": ("started", "yesterday"),
    "an empty alternative": ("started", "2024,,2025"),
    "a negative count": ("_count", "-1"),
    "a count in words": ("_count", "many"),
    "a count with an exponent": ("_count", "1e9"),
    "a count in other digits": ("_count", "\u0661\u0662"),
    "an unknown summary": ("_summary", "everything"),
    "an unknown total": ("_total", "all"),
    "an unknown order": ("_sort", "patient"),
    "elements and a summary": ("_elements", "id&_summary=true"),
    "a modifier": ("modality:not", "CT"),
    "missing": ("started:missing", "true"),
    "a chain": ("endpoint.name", "north"),
    "a token of three": ("modality", "a|b|c"),
    "an id that is none": ("_id", "a/b"),
    "a made-up page": ("_cursor", "AAAA"),
    "too many alternatives": ("modality", ",".join(["CT"] * 51)),
}


@pytest.mark.parametrize("name", VALUES)
def test_t117_a_patient_that_can_not_be_meant_is_refused(exchange: SmallExchange, name: str) -> None:
    """400, and what was sent is not repeated."""
    parameter, value = VALUES[name]
    answer = exchange.get(f"/ImagingStudy?{parameter}={value}")
    require_clear_refusal(answer, 400)
    assert value not in answer.text or len(value) < 4


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_t117_a_filter_that_can_not_be_read_is_refused(exchange: SmallExchange, name: str, method: str) -> None:
    """400 by GET and by POST alike; an unreadable filter is never left out, since that would widen the answer."""
    parameter, value = FILTERS[name]
    query = f"patient.identifier={identifier('a', 'north')}&{parameter}={value}"
    if method == "GET":
        answer = exchange.get(f"/ImagingStudy?{query}")
    else:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = exchange.request("POST", "/ImagingStudy/_search", data=query.encode(), headers=headers)
    require_clear_refusal(answer, 400)


def test_t117_more_than_a_request_line_holds_is_refused(exchange: SmallExchange) -> None:
    """100 KB in a URL: by the server, before anything of ours sees it."""
    answer = requests.get(f"{exchange.gateway.fhir_url}/ImagingStudy?patient={'x' * 100_000}", timeout=10)
    assert answer.status_code in (400, 414)
    assert len(answer.content) < 2048


def test_t117_a_count_beyond_the_most_is_clamped(exchange: SmallExchange) -> None:
    """And `self` says so."""
    bundle = exchange.search("a", "north", _count="1000000000")
    assert bundle["total"] == 1
    assert "_count=200" in bundle["link"][0]["url"]


def test_t117_an_unknown_parameter_is_left_out_or_with_strict_refused(exchange: SmallExchange) -> None:
    """`self` shows what was honoured."""
    asked = {"patient.identifier": identifier("a", "north"), "colour": "blue", "_count": "5"}
    lenient = exchange.get("/ImagingStudy", asked)
    assert lenient.json()["total"] == 1
    assert "colour" not in lenient.text
    strict = exchange.get("/ImagingStudy", asked, headers={"Prefer": "handling=strict"})
    require_clear_refusal(strict, 400)
    assert strict.json()["issue"][0]["code"] == "not-supported"


def test_t117_too_many_parameters_are_refused(exchange: SmallExchange) -> None:
    """Hundreds of them are no search."""
    query = "&".join(f"modality=CT{n}" for n in range(200))
    require_clear_refusal(exchange.get(f"/ImagingStudy?patient=x&{query}"), 400)


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "application/fhir+xml",
        "application/xml",
        "image/png",
        "application/fhir+json;fhirVersion=5.0",
        "nonsense",
        "*/*;q=0",
    ],
)
def test_t118_an_answer_in_another_form_is_406(exchange: SmallExchange, accept: str) -> None:
    """The refusal itself is JSON."""
    asked = {"patient.identifier": identifier("a", "north")}
    require_clear_refusal(exchange.get("/ImagingStudy", asked, headers={"Accept": accept}), 406)


@pytest.mark.parametrize("format_", ["html", "xml", "application/fhir+xml", "text/turtle", "<script>"])
def test_t118_another_format_is_406(exchange: SmallExchange, format_: str) -> None:
    """`_format` overrides `Accept`, and is held to the same."""
    for path in ("/ImagingStudy", "/metadata", "/Endpoint"):
        require_clear_refusal(exchange.get(path, {"_format": format_}), 406)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/fhir+json",
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded; charset=utf-16",
        "",
        "nonsense",
    ],
)
def test_t118_a_search_that_is_not_a_form_is_415(exchange: SmallExchange, content_type: str) -> None:
    """Its parameters are not looked for elsewhere."""
    body = f"patient.identifier={identifier('a', 'north')}".encode()
    answer = exchange.request("POST", "/ImagingStudy/_search", data=body, headers={"Content-Type": content_type})
    require_clear_refusal(answer, 415)


def test_t121_what_a_browser_is_shown_runs_nothing(exchange: SmallExchange) -> None:
    """A JSON type, `nosniff`, and the script is not there."""
    script = "<script>alert(1)</script>"
    for path in (
        f"/ImagingStudy?patient={script}",
        f"/{script}",
        f"/ImagingStudy/{script}",
        f"/ImagingStudy?{script}=1&patient=x&a.b={script}",
    ):
        answer = exchange.get(path, headers={"Accept": "text/html,*/*"})
        assert answer.status_code in (400, 404)
        assert "json" in answer.headers["Content-Type"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "<script" not in answer.text


def test_after_all_that_the_gateway_answers_as_before(exchange: SmallExchange) -> None:
    """And its log holds no word of what was sent."""
    assert uids(exchange.search("a", "north")) == ["2.25.1"]
    log = exchange.gateway.log()
    assert canary.found_in(log, "log") == []
    assert "alert(1)" not in log
    assert [json.loads(line)["event"] for line in log.splitlines() if '"unexpected-error"' in line] == []


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("OPTIONS", "/ImagingStudy", "GET, HEAD"),
        ("TRACE", "/ImagingStudy/x", "GET, HEAD"),
        ("FOO", "/ImagingStudy", "GET, HEAD"),
        ("DELETE", "/ImagingStudy", "GET, HEAD"),
        ("OPTIONS", "/ImagingStudy/_search", "POST"),
    ],
)
def test_a_method_that_is_not_done_is_told_those_that_are(
    exchange: SmallExchange, method: str, path: str, allowed: str
) -> None:
    """RFC 9110 §15.5.6: `Allow` names what may be used here, and nothing that would be refused as well."""
    answer = exchange.request(method, path)

    assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)


def test_a_post_search_without_a_body_asks_by_its_url(exchange: SmallExchange) -> None:
    """FHIR R4 search §3.1.1: parameters may stand in the URL; then there is no form, and no type of one."""
    answer = exchange.request("POST", "/ImagingStudy/_search", params={"patient.identifier": identifier("a", "north")})

    assert answer.status_code == 200
