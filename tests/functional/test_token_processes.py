"""What several worker processes have to agree on: which assertions were used, and with which keys tokens are signed."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.factories_auth import a_client_key, a_token_form, an_assertion, header_of
from tests.services.gateway import Gateway


@pytest.fixture(scope="module")
def gateway(redis_server: Any) -> Iterator[Gateway]:
    """Two worker processes."""
    running = Gateway({"GATEWAY_WORKERS": "2", "GATEWAY_REDIS_URL": redis_server.url})
    key = a_client_key()
    public = running.write("public.jwks", json.dumps({"keys": [key.as_dict(private=False)]}))
    added = ("--name", "EHR", "--organization", "urn:oid:1.2.3", "--jwks", str(public), "--purpose", "TREAT")
    running.run("clients", "add", "ehr", *added, "--scope", "system/ImagingStudy.rs")
    running.start()
    yield running
    running.stop()


def _token(gateway: Gateway) -> str:
    form = a_token_form(an_assertion(aud=f"{gateway.url}/oauth/token"), scope="system/ImagingStudy.rs")
    return str(requests.post(f"{gateway.url}/oauth/token", data=form, timeout=20).json()["access_token"])


def _published(gateway: Gateway) -> KeySet:
    return KeySet.import_key_set(requests.get(f"{gateway.url}/.well-known/jwks.json", timeout=5).json())


def _opens(gateway: Gateway, token: str) -> set[int]:
    """What several requests answer: each worker gets some of them."""
    headers = {"Authorization": f"Bearer {token}", "Connection": "close"}
    return {requests.get(f"{gateway.fhir_url}/Organization", headers=headers, timeout=5).status_code for _ in range(12)}


def _within(seconds: float, holds: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "not in time"
        time.sleep(0.2)


def test_a_new_key_signs_and_the_old_one_verifies_until_it_is_retired(gateway: Gateway) -> None:
    """Without a restart, in both processes; every step is in the audit."""
    before = _token(gateway)
    old = jwt.decode(before, _published(gateway), algorithms=["RS256"]).header["kid"]
    assert _opens(gateway, before) == {200}
    waiting = gateway.run_json("keys", "rotate")["kid"]
    _within(10, lambda: {key.kid for key in _published(gateway).keys} == {old, waiting})
    assert jwt.decode(_token(gateway), _published(gateway), algorithms=["RS256"]).header["kid"] == old
    gateway.run("keys", "rotate", "--retire", waiting)
    new = gateway.run_json("keys", "rotate", "--now")["kid"]
    _within(10, lambda: all(_kid(_token(gateway)) == new for _ in range(3)))
    assert _opens(gateway, before) == {200}
    assert _opens(gateway, _token(gateway)) == {200}
    refused = gateway.run("keys", "rotate", "--retire", old, expect=1)
    assert "valid for" in refused.stderr
    gateway.run("keys", "rotate", "--retire", old, "--now")
    _within(10, lambda: _opens(gateway, before) == {401})
    assert {key.kid for key in _published(gateway).keys} == {new}
    assert [one["state"] for one in gateway.run_json("keys", "list")] == ["signs"]
    acts = [json.loads(line).get("outcomeDesc", "") for line in gateway.run("audit", "export").stdout.splitlines()]
    assert [act for act in acts if act.startswith("keys ")].count("keys rotate") == 2


def test_t015_of_twenty_replays_over_two_processes_and_a_restart_one_gets_a_token(gateway: Gateway) -> None:
    """At once, over connections of their own; after a restart the assertion is still used up (ASVS 5.0 15.4.2)."""
    form = a_token_form(an_assertion(aud=f"{gateway.url}/oauth/token"), client_id=None, scope="system/ImagingStudy.rs")
    both = threading.Barrier(20)

    def replay(_: int) -> requests.Response:
        both.wait(timeout=20)
        return requests.post(f"{gateway.url}/oauth/token", data=form, headers={"Connection": "close"}, timeout=20)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(replay, range(20)))
    assert sorted(answer.status_code for answer in answers) == [200, *[400] * 19]
    assert {answer.text for answer in answers if answer.status_code == 400} == {'{"error":"invalid_client"}'}
    gateway.stop()
    gateway.start()
    again = requests.post(f"{gateway.url}/oauth/token", data=form, timeout=20)
    assert (again.status_code, again.json()) == (400, {"error": "invalid_client"})


def test_t133_a_token_that_is_revoked_opens_nothing_in_any_process_after_a_second(gateway: Gateway) -> None:
    """Told to one worker; the others look once a second."""
    token = _token(gateway)
    assert _opens(gateway, token) == {200}
    form = a_token_form(an_assertion(aud=f"{gateway.url}/oauth/token"), token=token, grant_type=None, scope=None)
    assert requests.post(f"{gateway.url}/oauth/revoke", data=form, timeout=20).status_code == 200
    time.sleep(1.05)
    assert _opens(gateway, token) == {401}


def _kid(token: str) -> str:
    return str(header_of(token)["kid"])
