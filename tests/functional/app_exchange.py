"""The whole application in this process, with people, and apps that ask them to be let in."""

import html
import re
import secrets
import shutil
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from werkzeug.test import TestResponse

from gateway.auth.app_grants import AppGrant
from gateway.auth.client_store import DatabaseClientStore
from gateway.auth.clients import Client
from gateway.auth.people import Account, Role
from gateway.db.session import open_database
from gateway.errors import AuditUnavailable
from gateway.model import ClientID, PatientID
from tests.factories_auth import a_client_key, a_jwks, an_assertion
from tests.factories_mpi import Index, a_patient
from tests.functional.people_app import Browser, PeopleApp

CALLBACK = "https://app.example/callback"
SCOPE = "launch/patient patient/ImagingStudy.rs patient/Patient.rs openid fhirUser offline_access"
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')
_TICKED = re.compile(r'name="allow" value="([^"]+)"')
_RADIO = re.compile(r'type="radio" name="as" value="([^"]+)"')
PERSON = PatientID("5e2f7a54-7c0b-4f6e-9b9e-0d6a2c1f4b11")
Parameters = dict[str, str]


def an_app(**changes: Any) -> Client:
    """A public app for patients."""
    app = Client(
        id=ClientID("viewer"),
        name="My Viewer",
        organization="https://viewer.example",
        jwks=None,
        jwks_uri=None,
        scopes=tuple(SCOPE.split()),
        purposes=(),
        kind="app",
        redirect_uris=(CALLBACK,),
    )
    return replace(app, **changes)


def a_confidential_app(**changes: Any) -> Client:
    """An app that signs with a key of its own, for patients and for clinicians."""
    scopes = (*SCOPE.split(), "user/ImagingStudy.rs", "online_access")
    known: dict[str, Any] = {
        "id": ClientID("portal"),
        "name": "A Portal",
        "jwks": a_jwks(a_client_key()),
        "scopes": scopes,
        "purposes": ("TREAT",),
    }
    return an_app(**(known | changes))


class Verifier:
    """PKCE: what the app keeps, and what it shows."""

    def __init__(self) -> None:
        self.value = secrets.token_urlsafe(48)
        self.challenge = urlsafe_b64encode(sha256(self.value.encode()).digest()).rstrip(b"=").decode()


class AppExchange(PeopleApp):
    """The application with a patient's account (`pat`), and apps."""

    def __init__(self, sqlite_url: str, keys_file: Path, **settings: str) -> None:
        super().__init__(sqlite_url, keys_file, **settings)
        self.clock.now = datetime.now(UTC)
        self.engine = open_database(sqlite_url)
        self.registry = DatabaseClientStore(self.engine)
        self.base = self.settings.base_url
        for app in (an_app(), a_confidential_app()):
            self.registry.save(app, self.clock())
        self.pat: Account = self.add("pat", Role.PATIENT, patient=PERSON)
        self.verifier = Verifier()
        self._pats: tuple[datetime, Browser] | None = None
        self.client = self.app.test_client()

    def close(self) -> None:
        """Nothing of it is left open."""
        super().close()
        self.engine.dispose()

    def add_person(self, given: str) -> PatientID:
        """A person of the index of that given name."""
        index = Index(self.engine, self.house.keys)
        index.save(a_patient(given, given=[given.title()], family="Example"))
        return index.person(given)

    def parameters(self, **changes: str | None) -> Parameters:
        """A request of the public app; a change to None leaves a parameter out."""
        known: dict[str, str | None] = {
            "response_type": "code",
            "client_id": "viewer",
            "redirect_uri": CALLBACK,
            "scope": SCOPE,
            "state": "s-1",
            "nonce": "n-1",
            "aud": f"{self.base}/fhir/r4",
            "code_challenge": self.verifier.challenge,
            "code_challenge_method": "S256",
            **changes,
        }
        return {name: value for name, value in known.items() if value is not None}

    def signed_in(self, login: str = "pat") -> Browser:
        """A browser in which that person has signed in."""
        browser = self.browser()
        assert browser.sign_in(login).status_code == 303
        return browser

    def pats_browser(self) -> Browser:
        """A browser in which `pat` has signed in, the same one for some minutes: hashing passwords takes time."""
        if self._pats is None or not timedelta(0) <= self.clock() - self._pats[0] < timedelta(minutes=5):
            self._pats = (self.clock(), self.signed_in())
        return self._pats[1]

    def ask(self, browser: Browser, **changes: str | None) -> TestResponse:
        """The page (or answer) to which the app sends the browser."""
        return browser.get("/oauth/authorize", query_string=self.parameters(**changes))

    def decide(
        self, browser: Browser, page: TestResponse, decision: str = "allow", without: str = "", **fields: Any
    ) -> TestResponse:
        """The page's form, with that decision; the row whose words contain `without` is not ticked."""
        form: dict[str, Any] = {name: html.unescape(value) for name, value in _HIDDEN.findall(page.text)}
        rows = [row for row in page.text.split("<label>") if 'name="allow"' in row]
        form["allow"] = [_TICKED.findall(row)[0] for row in rows if not (without and without in row)]
        return browser.client.post("/oauth/authorize/decision", data={**form, "decision": decision, **fields})

    def authorized(self, browser: Browser | None = None, without: str = "", **changes: str | None) -> str:
        """A code, the person having allowed what was asked."""
        browser = browser or self.pats_browser()
        page = self.ask(browser, **changes)
        assert page.status_code == 200, page.text
        return answered(self.decide(browser, page, without=without))["code"]

    def token(self, **form: str | None) -> TestResponse:
        """The token endpoint's answer to a form."""
        return self.client.post("/oauth/token", data={k: v for k, v in form.items() if v is not None})

    def redeem(self, code: str, **changes: str | None) -> TestResponse:
        """The code, redeemed by the public app."""
        known: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "client_id": "viewer",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": self.verifier.value,
        }
        return self.token(**(known | changes))

    def refresh(self, token: str, **changes: str | None) -> TestResponse:
        """The refresh token, used by the public app."""
        return self.token(**{"grant_type": "refresh_token", "client_id": "viewer", "refresh_token": token, **changes})

    def granted(self) -> list[AppGrant]:
        """What `pat` has granted that stands, oldest first."""
        return list(self.house.oauth.authorization.connected(self.pat, self.clock()))

    def tokens(self, **changes: str | None) -> dict[str, Any]:
        """What the public app is handed for `pat`."""
        issued = self.redeem(self.authorized(**changes))
        assert issued.status_code == 200, issued.text
        return dict(issued.get_json())

    def post(self, path: str, **form: str | None) -> TestResponse:
        """A form posted to the authorization server."""
        return self.client.post(path, data={k: v for k, v in form.items() if v is not None})

    def get(self, path: str, token: str) -> TestResponse:
        """A FHIR path, read with that token."""
        return self.client.get(f"/fhir/r4/{path}", headers={"Authorization": f"Bearer {token}"})

    @contextmanager
    def audit_down(self) -> Iterator[None]:
        """The audit can't be stored meanwhile."""
        log = self.house.rooms.audit
        kept = {"record": log.record, "record_within": log.record_within}  # type: ignore[attr-defined]
        vars(log).update(dict.fromkeys(kept, _refuse))
        try:
            yield
        finally:
            for name in kept:
                del vars(log)[name]

    def signs(self, client_id: str = "portal") -> dict[str, str]:
        """The proof of a client that signs."""
        now = int(self.clock().timestamp())
        return {
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": an_assertion(
                iss=client_id, sub=client_id, aud=f"{self.base}/oauth/token", iat=now, exp=now + 240
            ),
        }


def _refuse(*_anything: object) -> None:
    raise AuditUnavailable("the audit can't be stored")


def answered(response: TestResponse) -> dict[str, str]:
    """What the browser takes to the app's address."""
    assert response.status_code == 303, (response.status_code, response.text)
    where = urlsplit(response.headers["Location"])
    assert f"{where.scheme}://{where.netloc}{where.path}" == CALLBACK
    return {name: values[0] for name, values in parse_qs(where.query).items()}


def radios(page: TestResponse) -> list[str]:
    """The people about whom the page lets one choose."""
    return _RADIO.findall(page.text)


@contextmanager
def serving_apps(
    folder: Path, migrated: Path, keys_file: Path, settings: Mapping[str, str] | None = None
) -> Iterator[AppExchange]:
    """The application on a copy of the `migrated` database in `folder`, for as long as tests need it."""
    shutil.copyfile(migrated, folder / "gateway.db")
    exchange = AppExchange(f"sqlite:///{folder / 'gateway.db'}", keys_file, **(settings or {}))
    try:
        yield exchange
    finally:
        exchange.close()
