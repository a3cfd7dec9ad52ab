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
    """Opt-in with break-glass, a declaration holding for one minute; three people, one study each.

    The third has said no to everything.
    """
    one = SmallExchange(GATEWAY_CONSENT_POLICY="break-glass-only", GATEWAY_BREAK_GLASS_MINUTES="1")
    archive = one.add_archive("north")
    for number, name in enumerate(("ann", "bob", "cleo"), start=1):
        one.add_person(name, "north")
        hold_study(archive, name, f"1.2.3.{number}")
    one.file_consent("cleo", {"type": "deny"})
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
    assert "nobody broke the glass without review" in exchange.gateway.run("break-glass", "list", "--open").stdout
    [reviewed] = run("break-glass", "list")["declarations"]
    assert reviewed["reviewed"]["by"]
    assert "reviewed by" in exchange.gateway.run("break-glass", "list").stdout
    assert "no break-glass" in exchange.gateway.run("break-glass", "review", "unknown", expect=1).stderr
    events = exchange.gateway.run("audit", "export", "--patient", ann).stdout
    assert "110127" in events
    assert REASON in events


def test_t048_further_tokens_of_one_declaration_are_one_line_of_the_list(
    exchange: SmallExchange, emergency: Client
) -> None:
    """The same statement again is the same declaration, started once in the audit; another reason is another."""
    bob = exchange.person_id("bob", "north")
    for _ in range(2):
        assert resources(_ask(exchange, "bob", _declare(exchange, emergency, bob).json()["access_token"]).json())
    other = {"patient": f"Patient/{bob}", "reason": "taken to another ward"}
    assert _declare(exchange, emergency, bob, break_glass=other).status_code == 200

    first, second = (
        one for one in exchange.gateway.run_json("break-glass", "list")["declarations"] if one["patient"] == bob
    )
    assert (first["tokens"], len(first["notices"]), first["reason"]) == (2, 2, REASON)
    assert (second["tokens"], second["reason"]) == (1, other["reason"])
    events = exchange.gateway.run("audit", "export", "--patient", bob).stdout
    assert events.count('"110127"') == 2


def test_t051_not_even_in_an_emergency(exchange: SmallExchange, emergency: Client) -> None:
    """403 to who may not, the same for a patient nobody knows; a study's id is not found; all of it recorded."""
    cleo = exchange.person_id("cleo", "north")
    token = _declare(exchange, emergency, cleo).json()["access_token"]
    refused = _ask(exchange, "cleo", token)
    assert refused.status_code == 403
    assert refused.json()["issue"][0]["code"] == "forbidden"

    nobody = _declare(exchange, emergency, "nobody").json()["access_token"]
    unknown = exchange.get("/ImagingStudy", {"patient": "nobody"}, token=nobody)
    assert (unknown.status_code, unknown.json()) == (403, refused.json())
    assert exchange.get("/ImagingStudy/absent", token=token).status_code == 404

    kept = [one for one in exchange.audit() if one.get("patient") == cleo]
    assert {"token-issued", "imaging-search"} <= {one["kind"] for one in kept}
    (searched,) = [one for one in kept if one["kind"] == "imaging-search"]
    assert [one["decision"] for one in searched["decided"]] == ["deny"]
    assert "access-refused" in {one["kind"] for one in exchange.audit()}


def test_t047_a_token_without_a_declaration_opens_nothing(exchange: SmallExchange, emergency: Client) -> None:
    """Whatever it says: it is looked up for this client, this person and this patient."""
    ann = exchange.person_id("ann", "north")
    whole = {"patient": ann, "sub": "emergency", "client_id": "emergency", "purposes": ("BTG",)}
    assert _ask(exchange, "ann", exchange.signed_token(**whole)).status_code == 403
    declared = _declare(exchange, emergency, ann).json()["access_token"]
    declaration = exchange.gateway.run_json("break-glass", "list")["declarations"][-1]["id"]
    btg = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "BTG"}
    for b2b in ({}, {**NAMED, "subject_id": "npi|8"}):
        extensions = {
            "ihe_iua": {"purpose_of_use": [btg]},
            "hl7-b2b": b2b,
            "break_glass": {"declaration": declaration},
        }
        assert _ask(exchange, "ann", exchange.signed_token(**whole, extensions=extensions)).status_code == 403
    assert _ask(exchange, "ann", declared).status_code == 200


def test_t050_patients_are_told_once_and_by_whom_is_kept(exchange: SmallExchange, emergency: Client) -> None:
    """A notice waits for each declaration, in words that can be sent; marking it is in the patient's audit."""
    run = exchange.gateway.run_json
    ann = exchange.person_id("ann", "north")
    _declare(exchange, emergency, ann, break_glass={"patient": f"Patient/{ann}", "reason": "found unconscious"})
    who = identifier("ann", "north")
    notice = run("consents", "notices", "--patient", who)["notices"][-1]
    assert (notice["patient"], notice["reason"], notice["delivered"]) == (ann, "found unconscious", None)
    assert notice["who"] == {**_named(), "client": "Lakeside EHR", "organization": notice["who"]["organization"]}
    words = exchange.gateway.run("consents", "notices").stdout
    assert "Dr Okafor (doctor)" in words
    assert "found unconscious" in words

    (told,) = run("consents", "notices", "--delivered", notice["id"])["notices"]
    assert told["changed"] is True
    assert told["delivered"]["by"]
    assert run("consents", "notices", "--delivered", notice["id"])["notices"][0]["changed"] is False
    assert notice["id"] not in [one["id"] for one in run("consents", "notices")["notices"]]
    assert notice["id"] in [one["id"] for one in run("consents", "notices", "--all")["notices"]]
    declared = {one["id"]: one for one in run("break-glass", "list")["declarations"]}
    assert declared[notice["declaration"]]["patient_told"] == told["delivered"]["at"]
    assert "no notice has the id" in exchange.gateway.run("consents", "notices", "--delivered", "x", expect=1).stderr
    assert "patient not known" in exchange.gateway.run("consents", "notices", "--patient", "x", expect=1).stderr
    records = exchange.gateway.run("audit", "export", "--patient", ann, "--format", "records").stdout
    assert "patient told of break-glass" in records


def _named() -> dict[str, str]:
    return {name: NAMED[f"subject_{name}"] for name in ("id", "name", "role")}


def test_t049_a_token_past_its_own_end_is_401(exchange: SmallExchange, emergency: Client) -> None:
    """As any other."""
    ann = exchange.person_id("ann", "north")
    now = int(time.time())
    times = {"iat": now - 420, "exp": now - 360}
    ended = exchange.signed_token(patient=ann, sub="emergency", client_id="emergency", purposes=("BTG",), **times)
    assert _ask(exchange, "ann", ended).status_code == 401
