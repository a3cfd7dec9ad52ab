"""The Consent API as one client uses it, through the application itself."""

import json
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gateway.app import create_app
from gateway.config import Settings
from gateway.db.crypto import read_key_file
from tests.factories_auth import an_access_token
from tests.factories_consent import a_resource
from tests.functional.consent_community import Shell, a_gateway, patient_named

SCOPE = "system/Consent.cruds system/ImagingStudy.rs"
PERFORMER = [{"reference": "Patient/p1"}]
XML = "application/fhir+xml"


class Registry:
    """The API as one client uses it."""

    def __init__(self) -> None:
        self.shell: Shell = a_gateway()
        settings = Settings.from_env(self.shell.env)
        self.base = settings.fhir_base
        self.keys = read_key_file(Path(settings.keys_file))
        self.app = create_app(settings)
        self.client: FlaskClient = self.app.test_client()

    def close(self) -> None:
        """Its connections are closed."""
        self.app.extensions["gateway.close"]()
        self.shell.stop()

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> TestResponse:
        """The answer to a request with a token for `SCOPE`, or with the one in `headers`."""
        claims = {key[1:]: headers.pop(key) for key in list(headers) if key.startswith("_")}
        token = an_access_token(self.keys, self.base.removesuffix("/fhir/r4"), **{"scope": SCOPE, **claims})
        sent = {"Authorization": f"Bearer {token}", **{key.replace("_", "-"): value for key, value in headers.items()}}
        if isinstance(body, dict):
            sent.setdefault("Content-Type", "application/fhir+json")
            body = json.dumps(body)
        return self.client.open(f"/fhir/r4{path}", method=method, data=body, headers=sent)

    def create(self, name: str, provision: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
        """A Consent that the server has accepted."""
        answer = self.send("POST", "/Consent", a_consent(name, provision, **changes))
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json
        return created

    def ids(self, query: str) -> list[str]:
        """Of the Consents that a search finds."""
        answer = self.send("GET", f"/Consent?{query}")
        assert answer.status_code == 200, answer.text
        found = [entry["resource"]["id"] for entry in answer.json.get("entry", [])]
        assert answer.json["total"] == len(found)
        return found

    def audit(self) -> list[dict[str, Any]]:
        """Every audit record so far."""
        lines = self.shell.run("audit", "export", "--format", "records").stdout.splitlines()
        return [json.loads(line) for line in lines]


def a_consent(name: str, provision: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A Consent of that person as a portal files it for them."""
    return a_resource(provision, **{"patient": patient_named(name), "performer": PERFORMER, **changes})


def issues(answer: TestResponse) -> list[str]:
    """What an OperationOutcome says."""
    assert answer.json["resourceType"] == "OperationOutcome"
    return [issue["diagnostics"] for issue in answer.json["issue"]]


def consent_told(answer: TestResponse) -> dict[str, Any]:
    """The Consent that an operation answers with, inside Parameters."""
    assert answer.json["resourceType"] == "Parameters"
    returned, consent = answer.json["parameter"]
    assert (returned["name"], returned["resource"]["issue"][0]["severity"]) == ("return", "information")
    assert consent["name"] == "consent"
    told: dict[str, Any] = consent["resource"]
    return told
