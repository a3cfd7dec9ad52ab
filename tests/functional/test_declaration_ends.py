"""T49: a break-glass declaration ends its tokens, through the application itself, with a clock that can be moved."""

import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from joserfc import jwt
from werkzeug.test import TestResponse

from gateway.app import create_app
from gateway.config import Settings
from gateway.wiring import build_house
from tests.functional.consent_community import Shell, a_gateway
from tests.services.exchange import ASSERTION_TYPE, Client, add_client, domain_of

NAMED = {"subject_id": "npi|7", "subject_name": "Dr Okafor", "subject_role": "doctor"}


class Community:
    """Opt-in with break-glass for half an hour, a client that may declare it, and the time."""

    def __init__(self) -> None:
        self.shell: Shell = a_gateway(GATEWAY_CONSENT_POLICY="break-glass-only")
        self.emergency: Client = add_client(self.shell, "emergency", purpose="BTG", organization="north")
        self.patient: str = self.shell.run_json("patients", "show", f"{domain_of('north')}|anne")["id"]
        self.passed = timedelta()
        settings = Settings.from_env(self.shell.env)
        self.base = settings.base_url
        house = build_house(settings)
        self.app = create_app(settings, replace(house, rooms=replace(house.rooms, clock=self.now)))
        self.client = self.app.test_client()

    def now(self) -> datetime:
        """What the gateway takes for now."""
        return datetime.now(UTC) + self.passed

    def close(self) -> None:
        """Its connections are closed."""
        self.app.extensions["gateway.close"]()
        self.shell.stop()

    def declare(self) -> str:
        """The token that comes of a declaration."""
        now, url = int(time.time() + self.passed.total_seconds()), f"{self.base}/oauth/token"
        declared = {"patient": f"Patient/{self.patient}", "reason": "unconscious"}
        extensions = {"hl7-b2b": {"version": "1", "purpose_of_use": ["BTG"], **NAMED}, "break_glass": declared}
        id_, key = self.emergency.id, self.emergency.key
        claims = {"iss": id_, "sub": id_, "aud": url, "iat": now, "exp": now + 240, "jti": str(uuid.uuid4())}
        header = {"alg": "ES384", "kid": key.kid, "typ": "JWT"}
        assertion = jwt.encode(header, {**claims, "extensions": extensions}, key, algorithms=["ES384"])
        form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE}
        answer = self.client.post("/oauth/token", data={**form, "client_assertion": assertion})
        assert answer.status_code == 200, answer.text
        token: str = answer.json["access_token"]
        return token

    def ask(self, token: str) -> TestResponse:
        """Which facilities may answer (nobody is asked for that)."""
        body: dict[str, Any] = {
            "resourceType": "Parameters",
            "parameter": [{"name": "patient", "valueReference": {"reference": f"Patient/{self.patient}"}}],
        }
        headers = {"Authorization": f"Bearer {token}"}
        return self.client.post("/fhir/r4/Consent/$who-may-answer", json=body, headers=headers)


@pytest.fixture(scope="module")
def community() -> Iterator[Community]:
    """Nothing has been declared."""
    made = Community()
    yield made
    made.close()


def test_t049_the_end_of_a_declaration_is_the_end_of_its_tokens(community: Community) -> None:
    """Half an hour over several tokens; then 403 to a token that still lives, 401 to one that doesn't, until anew."""
    first = community.declare()
    assert len(community.ask(first).json["parameter"]) == 2

    community.passed = timedelta(minutes=6)
    assert community.ask(first).status_code == 401

    community.passed = timedelta(minutes=28)
    last = community.declare()
    assert community.ask(last).status_code == 200

    community.passed = timedelta(minutes=31)
    ended = community.ask(last)
    assert ended.status_code == 403
    assert ended.json["issue"][0]["code"] == "forbidden"
    assert "declare it anew" in ended.json["issue"][0]["diagnostics"]
    for path in (f"/fhir/r4/ImagingStudy?patient={community.patient}", f"/fhir/r4/Patient/{community.patient}"):
        assert community.client.get(path, headers={"Authorization": f"Bearer {last}"}).status_code == 403

    assert community.ask(community.declare()).status_code == 200
    listed = community.shell.run_json("break-glass", "list")["declarations"]
    assert [one["tokens"] for one in listed] == [2, 1]
    refused = [
        one
        for one in community.shell.run(
            "audit", "export", "--format", "records", "--until", "2100-01-01"
        ).stdout.splitlines()
        if "break-glass-ended" in one
    ]
    assert len(refused) == 3
    assert all("npi|7" in one for one in refused)
