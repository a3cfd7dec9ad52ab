"""An app made with SMART's own Python client, launched on its own in a real browser by a patient who signs in."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from fhirclient.client import FHIRClient
from fhirclient.models.imagingstudy import ImagingStudy
from fhirclient.server import FHIRPermissionDeniedException, FHIRUnauthorizedException
from playwright.sync_api import Browser, Page, sync_playwright

from tests.facilities.little_server import LittleServer, Request, response
from tests.functional.small_exchange import SmallExchange
from tests.services.chromium import program as chromium
from tests.services.person import PASSWORD, add_user
from tests.services.process import scratch_folder

pytestmark = [pytest.mark.integration]

FLAGS = [
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    *(["--no-sandbox"] if os.geteuid() == 0 else []),
]
SCOPE = "patient/ImagingStudy.rs patient/Patient.rs openid fhirUser offline_access"
SEEN = Path(os.environ.get("TEST_SCREENSHOTS", scratch_folder("screenshots")))
"""Where the pictures lie: a folder of the run, or of whoever wants to look at them."""


class Callback(LittleServer):
    """Where the app is answered: it says nothing but that it is there."""

    root = "/callback"

    def answer(self, request: Request, connection: socket.socket) -> bool:
        """A page, whatever is looked for."""
        connection.sendall(response(200, b"<p>the app</p>", content_type="text/html"))
        return True


@pytest.fixture(scope="module")
def app() -> Iterator[Callback]:
    """The app's own address."""
    with Callback() as server:
        yield server


@pytest.fixture(scope="module")
def exchange(app: Callback) -> Iterator[SmallExchange]:
    """Two persons with studies; `a` has an account, and an app is registered."""
    made = SmallExchange.of_two_persons()
    add_user(made.gateway, "pat", "patient", "--patient", made.person_id("a", "north"), "--proof", "passport seen")
    made.gateway.run(
        *("clients", "add", "my-app", "--name", "My Imaging App", "--organization", "https://app.example", "--app"),
        *("--public", "--redirect-uri", app.url, "--scope", f"launch/patient {SCOPE}"),
    )
    yield made
    made.stop()


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A page of Chromium that has been nowhere yet."""
    with sync_playwright() as playwright:
        browser: Browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield browser.new_page(viewport={"width": 390, "height": 844})
        browser.close()


def _launch(exchange: SmallExchange, app: Callback) -> FHIRClient:
    settings = {"app_id": "my-app", "api_base": exchange.gateway.fhir_url, "redirect_uri": app.url, "scope": SCOPE}
    return FHIRClient(settings=settings)


def _studies(smart: FHIRClient, patient: str | None = None) -> list[ImagingStudy]:
    found = ImagingStudy.where({"patient": patient or smart.patient_id}).perform_resources_iter(smart.server)
    return [study for study in found if isinstance(study, ImagingStudy)]


def test_a_patient_lets_an_app_in_and_it_shows_their_studies(
    exchange: SmallExchange, app: Callback, page: Page
) -> None:
    """Discovery, sign-in, the question, the code, the token, the studies; another patient's are 403."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    smart = _launch(exchange, app)
    page.goto(smart.authorize_url)
    assert urlsplit(page.url).path == "/signin"
    page.get_by_label("Login").fill("pat")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    assert urlsplit(page.url).path == "/oauth/authorize"
    assert page.get_by_role("heading", name="Let My Imaging App in?").is_visible()
    page.screenshot(path=str(SEEN / "authorize-390.png"), full_page=True)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.screenshot(path=str(SEEN / "authorize-1280.png"), full_page=True)
    page.get_by_role("button", name="Allow", exact=True).click()
    page.wait_for_url(f"{app.url}?**")
    assert complaints == [], "the page's policy lets its own form lead to the app"

    answered_at = page.url
    page.goto(f"{exchange.gateway.url}/oauth/apps")
    assert page.get_by_role("heading", name="My Imaging App").is_visible()
    page.screenshot(path=str(SEEN / "apps-1280.png"), full_page=True)

    smart.handle_callback(answered_at)
    assert smart.patient_id == exchange.person_id("a", "north")
    assert {study.identifier[0].value for study in _studies(smart)} == {
        "urn:oid:2.25.11",
        "urn:oid:2.25.12",
        "urn:oid:2.25.13",
    }
    with pytest.raises(FHIRPermissionDeniedException):
        _studies(smart, exchange.person_id("b", "north"))

    before = smart.server.auth.refresh_token
    assert smart.reauthorize()
    assert smart.server.auth.refresh_token != before
    assert len(_studies(smart)) == 3
    form = {"token": smart.server.auth.refresh_token, "client_id": "my-app"}
    assert requests.post(f"{exchange.gateway.url}/oauth/revoke", data=form, timeout=10).status_code == 200
    with pytest.raises(FHIRUnauthorizedException):
        _studies(smart)


def test_a_patient_says_no_and_the_app_is_told(exchange: SmallExchange, app: Callback, page: Page) -> None:
    """Still signed in, so the question comes at once."""
    smart = _launch(exchange, app)
    page.goto(smart.authorize_url)
    page.get_by_role("button", name="Don’t allow").click()
    page.wait_for_url(f"{app.url}?**")
    with pytest.raises(Exception, match="denied the request"):
        smart.handle_callback(page.url)
