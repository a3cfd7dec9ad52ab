"""Limits through HTTP: identifiers that are tried out (T39), failures at the token endpoint (T30), all requests."""

import json
import time
import uuid
from collections.abc import Iterator

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import ECKey

from tests.functional.small_exchange import SmallExchange, identifier, uids
from tests.services.exchange import ASSERTION_TYPE, add_client, domain_of

LIMITS = "identifiers=20 requests=300 client-failures=20 network-failures=60 matches=5"


@pytest.fixture(scope="module")
def exchange() -> Iterator[SmallExchange]:
    """Two persons; low limits."""
    made = SmallExchange.of_two_persons(GATEWAY_RATE_LIMITS=LIMITS)
    yield made
    made.stop()


def wrong_assertion(exchange: SmallExchange, client: str) -> requests.Response:
    """A token request in the client's name, signed with a key that is not its own."""
    now = int(time.time())
    claims = {"iss": client, "sub": client, "aud": f"{exchange.gateway.url}/oauth/token", "iat": now, "exp": now + 60}
    key = ECKey.generate_key("P-384", {"kid": f"{client}-key"})
    signed = jwt.encode(
        {"alg": "ES384", "kid": key.kid, "typ": "JWT"}, {**claims, "jti": str(uuid.uuid4())}, key, algorithms=["ES384"]
    )
    form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}
    return requests.post(f"{exchange.gateway.url}/oauth/token", data=form, timeout=10)


def test_t039_identifiers_that_are_tried_out_are_refused_after_the_limit(exchange: SmallExchange) -> None:
    """Known and unknown ones count alike; what was asked for before may be asked again; another client goes on."""
    other = add_client(exchange.gateway, "other")
    known = identifier("a", "north")
    asked = [known, *(f"{domain_of('north')}|T-{n}" for n in range(24))]
    answers = [exchange.get("/ImagingStudy", {"patient.identifier": one}) for one in asked]
    assert [answer.status_code for answer in answers] == [200] * 20 + [429] * 5

    refused = [answers[-1], exchange.get("/ImagingStudy", {"patient.identifier": identifier("b", "north")})]
    for answer in refused:
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert answer.json()["issue"][0]["code"] == "throttled"
    assert refused[0].content == refused[1].content
    assert refused[0].headers.keys() == refused[1].headers.keys()

    assert len(uids(exchange.get("/ImagingStudy", {"patient.identifier": known}).json())) == 3
    by_id = exchange.person_id("b", "north")
    assert exchange.get("/ImagingStudy", {"patient": by_id}).status_code == 200
    token = other.token(exchange.gateway)
    answer = exchange.get("/ImagingStudy", {"patient.identifier": identifier("b", "north")}, token=token)
    assert answer.status_code == 200


def test_t039_every_way_that_takes_an_identifier_counts(exchange: SmallExchange) -> None:
    """Patient, Consent, `$ihe-pix` and CDS Hooks are refused with ImagingStudy; one alert tells of it."""
    token = exchange.signed_token(scope="system/*.rs")
    for n in range(24):
        exchange.get("/ImagingStudy", {"patient.identifier": f"{domain_of('north')}|T-{n}"}, token=token)
    new = f"{domain_of('north')}|NEW"
    ways = [
        exchange.get("/Patient", {"identifier": new}, token=token),
        exchange.get("/Patient", {"identifier": "NEW"}, token=token),
        exchange.get("/Consent", {"patient.identifier": new}, token=token),
        exchange.get("/AuditEvent", {"patient.identifier": new}, token=token),
        exchange.get("/Patient/$ihe-pix", {"sourceIdentifier": new}, token=token),
    ]
    hook = {
        "hook": "patient-consent-consult",
        "hookInstance": str(uuid.uuid4()),
        "context": {
            "patientId": [{"system": domain_of("north"), "value": "NEW"}],
            "actor": [{"system": "urn:ietf:rfc:3986", "value": "urn:oid:2.25.99"}],
        },
    }
    ways.append(
        requests.post(
            f"{exchange.gateway.url}/cds-services/patient-consent-consult",
            json=hook,
            headers={"Authorization": f"Bearer {token}"},
            timeout=10,
        )
    )
    assert [answer.status_code for answer in ways] == [429] * 6
    assert all(int(answer.headers["Retry-After"]) for answer in ways)

    alerts = [one for one in exchange.audit() if one["kind"] == "alert" and "different identifiers" in one["reason"]]
    assert 1 <= len(alerts) <= 3, "one a minute, of a dozen refusals"
    assert alerts[0]["who"]["client_id"] == "ehr"
    assert ["limit", "identifiers"] in alerts[0]["details"]
    counted = requests.get(f"{exchange.gateway.url}/metrics", timeout=10).text
    assert 'gateway_throttled_total{kind="identifiers"}' in counted
    assert f'gateway_alerts_total{{kind="identifiers-tried-out"}} {float(len(alerts))}' in counted


def test_t030_wrong_assertions_are_refused_and_nobody_else_is(exchange: SmallExchange) -> None:
    """After the limit 429 with when to come again; the client whose name was used, and others, get their tokens."""
    answers = [wrong_assertion(exchange, "ehr") for _ in range(25)]
    assert [answer.status_code for answer in answers] == [400] * 20 + [429] * 5
    for answer in answers:
        told = answer.json()["error"]
        assert told == ("invalid_client" if answer.status_code == 400 else "temporarily_unavailable")
        assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert exchange.client.token(exchange.gateway)

    unknown = [wrong_assertion(exchange, f"nobody-{n}") for n in range(45)]
    codes = [answer.status_code for answer in unknown]
    assert codes == sorted(codes)
    assert set(codes) == {400, 429}
    assert json.loads(unknown[-1].content) == answers[-1].json()
    assert exchange.client.token(exchange.gateway)
    assert add_client(exchange.gateway, "third").token(exchange.gateway)


def test_a_client_that_asks_too_often_waits(exchange: SmallExchange) -> None:
    """Whatever it asks for, known or not; another client goes on."""
    greedy = add_client(exchange.gateway, "greedy").token(exchange.gateway)
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {greedy}"
    codes = [session.get(f"{exchange.gateway.fhir_url}/Organization/none", timeout=10).status_code for _ in range(310)]
    session.close()
    assert codes == [404] * 300 + [429] * 10
    assert exchange.get("/Organization/north").status_code == 200
