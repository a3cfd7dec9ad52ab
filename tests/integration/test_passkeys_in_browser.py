"""A real browser with a passkey: staff set one up, keep their recovery codes, and sign in with it alone (T149)."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright
from werkzeug.serving import WSGIRequestHandler, make_server

from gateway.auth.people import Role
from tests.functional.people_app import PASSWORD, PeopleApp
from tests.services.chromium import program as chromium
from tests.services.process import free_port

pytestmark = pytest.mark.integration
KEY = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def exchange(sqlite_url: str, keys_file: Path) -> Iterator[PeopleApp]:
    """The application behind a port of `localhost`, the one host that browsers trust without https."""
    port = free_port()
    app = PeopleApp(sqlite_url, keys_file, GATEWAY_BASE_URL=f"http://localhost:{port}")
    app.add("adm", Role.HIE_ADMINISTRATOR)
    server = make_server("127.0.0.1", port, app.app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield app
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        app.close()


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of a phone's width whose browser has a passkey device; nothing of the page may be blocked."""
    said: list[str] = []
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=chromium(), args=arguments)
        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        session = page.context.new_cdp_session(page)
        session.send("WebAuthn.enable")
        session.send("WebAuthn.addVirtualAuthenticator", {"options": KEY})
        yield page
        browser.close()
    assert [words for words in said if "Content Security Policy" in words or "Error" in words] == []


def test_t149_a_passkey_is_set_up_and_signs_in_alone(exchange: PeopleApp, page: Page) -> None:
    """Led to set one up, shown the codes once, signed out, signed in by the passkey; the page fits a phone."""
    base = exchange.settings.base_url
    page.goto(f"{base}/signin/security")
    page.get_by_label("Login").fill("adm")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("heading", name="Set up a second step").wait_for()
    page.get_by_role("button", name="Add a passkey").click()
    page.locator("ol.codes li").nth(9).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.get_by_role("link", name="I have kept them").click()
    page.wait_for_url("**/signin/security")
    page.get_by_role("button", name="Sign out").click()

    page.goto(f"{base}/signin")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url("**/signin/security")
    assert "hie-administrator" in page.inner_text("main")
    exchange.clock.advance(minutes=11)
    page.get_by_role("link", name="Change your password").click()
    page.get_by_role("button", name="Use your passkey").click()
    page.get_by_role("heading", name="Change your password").wait_for()
    reasons = [one.reason for one in exchange.audit("sign-in", "account-change")]
    assert reasons.count("signed in") == 3
    assert "second factor added" in reasons
