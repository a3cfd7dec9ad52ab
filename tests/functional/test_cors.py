"""T123: what pages of other origins may read, over HTTP."""

import time
from collections.abc import Iterator

import pytest
import requests

from gateway.auth.clients import FRESH_S
from tests.functional.small_exchange import SmallExchange, hold_study, identifier

APP = "https://app.example"
STRANGERS = (
    "https://evil.example",
    "null",
    "https://app.example.evil.com",
    "https://app.exampl",
    "http://app.example",
    "https://app.example:8443",
    "https://APP.example",
    f"{APP} https://evil.example",
    f"{APP}, https://evil.example",
    "*",
    "",
)
PUBLIC = (
    "/fhir/r4/metadata",
    "/fhir/r4/.well-known/smart-configuration",
    "/.well-known/smart-configuration",
    "/.well-known/oauth-authorization-server",
    "/.well-known/jwks.json",
)


@pytest.fixture(scope="module")
def exchange() -> Iterator[SmallExchange]:
    """One study at one facility, and one origin that a setting names."""
    made = SmallExchange(GATEWAY_CORS_ORIGINS=APP)
    hold_study(made.add_archive("north"), "a", "2.25.1")
    made.add_person("a", "north")
    yield made.start()
    made.stop()


def _search(exchange: SmallExchange, **headers: str) -> requests.Response:
    return exchange.get("/ImagingStudy", {"patient.identifier": identifier("a", "north")}, headers=headers)


def _cors(answer: requests.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("Access-Control-")}


@pytest.mark.parametrize("origin", STRANGERS)
def test_t123_an_origin_that_nobody_registered_reads_nothing(exchange: SmallExchange, origin: str) -> None:
    """Also where the request holds a good token; a preflight is refused as any method that is not there."""
    answer = _search(exchange, Origin=origin, Cookie="session=1")
    preflight = requests.options(
        f"{exchange.gateway.fhir_url}/ImagingStudy",
        headers={"Origin": origin, "Access-Control-Request-Method": "GET"},
        timeout=10,
    )
    token = requests.post(f"{exchange.gateway.url}/oauth/token", headers={"Origin": origin}, timeout=10)

    assert answer.status_code == 200
    assert (_cors(answer), _cors(preflight), _cors(token)) == ({}, {}, {})
    assert preflight.status_code == 405
    assert "Origin" in answer.headers["Vary"]


def test_t123_a_registered_origin_reads_answers_and_refusals(exchange: SmallExchange) -> None:
    """Exactly its origin is named, and credentials are never allowed."""
    for answer in (
        _search(exchange, Origin=APP, Cookie="session=1"),
        requests.get(f"{exchange.gateway.fhir_url}/ImagingStudy", headers={"Origin": APP}, timeout=10),
        requests.post(f"{exchange.gateway.url}/oauth/token", headers={"Origin": APP}, timeout=10),
    ):
        assert answer.headers["Access-Control-Allow-Origin"] == APP
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert "Origin" in answer.headers["Vary"]
        assert "WWW-Authenticate" in answer.headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize(
    ("path", "method"),
    [("/fhir/r4/ImagingStudy", "GET"), ("/fhir/r4/ImagingStudy/_search", "POST"), ("/oauth/token", "POST")],
)
def test_t123_a_registered_origins_preflight_is_answered(exchange: SmallExchange, path: str, method: str) -> None:
    """Without a token, since browsers send none with it; nothing but headers comes back."""
    answer = requests.options(
        exchange.gateway.url + path,
        headers={
            "Origin": APP,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "authorization",
        },
        timeout=10,
    )

    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == APP
    assert method in answer.headers["Access-Control-Allow-Methods"].split(", ")
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("path", PUBLIC)
@pytest.mark.parametrize("origin", [APP, "https://evil.example", "null", None])
def test_t123_public_documents_are_anybodys(exchange: SmallExchange, path: str, origin: str | None) -> None:
    """`*` and no credentials, whoever asks and also where nobody says who asks."""
    answer = requests.get(exchange.gateway.url + path, headers={"Origin": origin} if origin else {}, timeout=10)

    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("path", ["/livez", "/metrics", "/nowhere", "/cds-services"])
def test_t123_other_paths_are_for_our_own_pages(exchange: SmallExchange, path: str) -> None:
    """Not even a registered origin reads them."""
    assert _cors(requests.get(exchange.gateway.url + path, headers={"Origin": APP}, timeout=10)) == {}


def test_t123_a_registered_apps_origin_reads_while_the_app_is_enabled(exchange: SmallExchange) -> None:
    """That of its redirect URI, and no other of its addresses; within a second of being registered or disabled."""
    spa = "https://spa.example"
    exchange.gateway.run(
        *("clients", "add", "spa", "--name", "An app", "--organization", "https://spa.example", "--app", "--public"),
        *("--redirect-uri", f"{spa}/callback", "--launch-url", "https://start.example/", "--purpose", "TREAT"),
        *("--scope", "patient/ImagingStudy.rs"),
    )
    time.sleep(FRESH_S)
    assert _search(exchange, Origin=spa).headers["Access-Control-Allow-Origin"] == spa
    assert _cors(_search(exchange, Origin="https://start.example")) == {}

    exchange.gateway.run("clients", "disable", "spa")
    time.sleep(FRESH_S)
    assert _cors(_search(exchange, Origin=spa)) == {}
