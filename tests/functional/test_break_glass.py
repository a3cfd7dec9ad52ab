"""Break-glass from the declaration to the privacy officer's list (contract §9), over HTTP and the command line."""

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from joserfc import jwt

from tests.functional.small_exchange import SmallExchange, hold_study, identifier, resources
from tests.services.exchange import ASSERTION_TYPE, Client, add_client

REASON = "unconscious, no relative reached"
NAMED = {"subject_id": "npi|7", "subject_name": "Dr Okafor", "subject_role": "doctor"}


@pytest.fixture(scope="module")
def exchange() -> Iterator[SmallExchange]:
    """Opt-in with break-glass, a declaration holding for one minute; two people, one study each."""
    one = SmallExchange(GATEWAY_CONSENT_POLICY="break-glass-only", GATEWAY_BREAK_GLASS_MINUTES="1")
    archive = one.add_archive("north")
    for number, name in enumerate(("ann", "bob"), start=1):
        one.add_person(name, "north")
        hold_study(archive, name, f"1.2.3.{number}")
    try:
        yield one.start()
    finally:
        one.stop()


@pytest.fixture(scope="module")
def emergency(exchange: SmallExchange) -> Client:
    """A client that is registered for break-glass."""
    return add_client(exchange.gateway, "emergency", purpose="BTG")


def _declare(exchange: SmallExchange, client: Client, patient: str, **changes: Any) -> requests.Response:
    now, url = int(time.time()), f"{exchange.gateway.url}/oauth/token"
    declared = {"patient": f"Patient/{patient}", "reason": REASON}
    extensions = {"hl7-b2b": {"version": "1", "purpose_of_use": ["BTG"], **NAMED}, "break_glass": declared, **changes}
    claims = {"iss": client.id, "sub": client.id, "aud": url, "iat": now, "exp": now + 240, "jti": str(uuid.uuid4())}
    header = {"alg": "ES384", "kid": client.key.kid, "typ": "JWT"}
    assertion = jwt.encode(header, {**claims, "extensions": extensions}, client.key, algorithms=["ES384"])
    form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
    return requests.post(url, data=form, timeout=10)


def _ask(exchange: SmallExchange, name: str, token: str) -> requests.Response:
    return exchange.get("/ImagingStudy", {"patient.identifier": identifier(name, "north")}, token=token)


def test_t047_without_a_person_or_a_reason_there_is_no_token(exchange: SmallExchange, emergency: Client) -> None:
    """Each attempt is refused and recorded."""
    ann = exchange.person_id("ann", "north")
    for changes in (
        {"break_glass": {"patient": f"Patient/{ann}"}},
        {"hl7-b2b": {"version": "1", "purpose_of_use": ["BTG"]}},
    ):
        assert _declare(exchange, emergency, ann, **changes).status_code in (400, 401, 403)
    refused = [one for one in exchange.audit() if one["kind"] == "token-refused"]
    assert len([one for one in refused if one["who"]["client_id"] == "emergency"]) == 2


def test_t048_t050_a_declaration_opens_one_patient_and_is_on_the_list(
    exchange: SmallExchange, emergency: Client
) -> None:
    """The study comes, nobody else's does, and the privacy officer reads who, for whom, why, and marks it."""
    ann = exchange.person_id("ann", "north")
    answer = _declare(exchange, emergency, ann).json()
    assert answer["expires_in"] <= 60
    token = answer["access_token"]

    assert resources(exchange.search("ann", "north")) == []
    assert len(resources(_ask(exchange, "ann", token).json())) == 1
    assert _ask(exchange, "bob", token).status_code == 403

    run = exchange.gateway.run_json
    declared = run("break-glass", "list", "--open")["declarations"][-1]
    assert (declared["patient"], declared["reason"], declared["client"]) == (ann, REASON, "emergency")
    assert declared["subject"] == {"id": "npi|7", "name": "Dr Okafor", "role": "doctor"}
    assert [notice["notify"] for notice in declared["notices"]] == [["privacy-officer", "patient"]]

    assert run("break-glass", "review", declared["id"])["changed"] is True
    assert run("break-glass", "review", declared["id"])["changed"] is False
    assert run("break-glass", "list", "--open")["declarations"] == []
    [reviewed] = run("break-glass", "list")["declarations"]
    assert reviewed["reviewed"]["by"]
    assert "reviewed by" in exchange.gateway.run("break-glass", "list").stdout
    assert "no break-glass" in exchange.gateway.run("break-glass", "review", "unknown", expect=1).stderr
    events = exchange.gateway.run("audit", "export", "--patient", ann).stdout
    assert "110127" in events
    assert REASON in events


def test_t049_a_declaration_that_has_ended_opens_nothing(exchange: SmallExchange, emergency: Client) -> None:
    """It has to be declared anew, and that is another line of the list."""
    ann = exchange.person_id("ann", "north")
    # The end of a minute isn't waited for: such a token, signed with the gateway's key, is past its end.
    now = int(time.time())
    times = {"iat": now - 420, "exp": now - 360}
    ended = exchange.signed_token(patient=ann, sub="emergency", client_id="emergency", purposes=("BTG",), **times)
    assert _ask(exchange, "ann", ended).status_code == 401
    assert _declare(exchange, emergency, ann).status_code == 200
