"""People sign in at a real OpenID provider: in a browser, and by every answer that must not let anybody in."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from joserfc.jwk import RSAKey
from playwright.sync_api import sync_playwright

from tests.functional.consent_community import Shell
from tests.services.chromium import program as chromium
from tests.services.gateway import Gateway
from tests.services.node import FOLDER, node
from tests.services.process import Server, accepts_connections, free_port, scratch_folder

pytestmark = pytest.mark.integration
ACCOUNTS = {
    "dr.a": {"name": "Dr Aster <b>", "preferred_username": "aster", "roles": ["clinician", "root"]},
    "audrey": {"name": "Audrey", "preferred_username": "audrey", "roles": ["auditor"]},
    "pat": {"name": "Pat", "person": "urn:oid:2.25.1|P1"},
    "nobody": {"name": "No Body"},
    "stranger": {"name": "Stranger", "person": "urn:oid:2.25.1|unknown"},
}
FACILITY = """
[[facility]]
id = "north"
name = "North Hospital"
identifier_system = "urn:oid:2.25.1"
time_zone = "Europe/Zurich"
adapter = "dicomweb"
query_url = "http://127.0.0.1:9/dicom-web"
"""
PATIENT = {"resourceType": "Patient", "identifier": [{"system": "urn:oid:2.25.1", "value": "P1"}]}


@dataclass
class Both:
    """A gateway, and the provider that it sends people to."""

    gateway: Gateway
    provider: str

    def away(self, session: requests.Session, path: str = "/signin/provider") -> requests.Response:
        """The provider's page that asks who somebody is."""
        return session.get(self.gateway.url + path, timeout=10)

    def back(
        self, session: requests.Session, who: str, how: str = "pwd", path: str = "/signin/provider"
    ) -> requests.Response:
        """Where somebody ends who says at the provider who they are."""
        page = self.away(session, path)
        if not page.url.startswith(self.provider):
            return page
        return session.post(page.url, data={"who": who, "how": how, "go": "in"}, timeout=10)

    def audit(self) -> list[dict[str, Any]]:
        """What is on record, as stored."""
        lines = self.gateway.run("audit", "export", "--format", "records").stdout.splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    """The gateway knows one patient; the provider five people."""
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    gateway = Shell(
        {
            "GATEWAY_OIDC_ISSUER": issuer,
            "GATEWAY_OIDC_CLIENT_ID": "gateway",
            "GATEWAY_OIDC_CLIENT_SECRET": "only-for-tests-only-for-tests",
            "GATEWAY_OIDC_SCOPES": "openid profile exchange",
            "GATEWAY_OIDC_NAME": "Lakeside",
            "GATEWAY_OIDC_ROLES_CLAIM": "roles",
            "GATEWAY_OIDC_PATIENT_CLAIM": "person",
        }
    )
    client = {
        "client_id": "gateway",
        "client_secret": "only-for-tests-only-for-tests",
        "redirect_uris": [f"{gateway.url}/signin/provider/return"],
    }
    key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256", "kid": "of-the-tests"})
    settings = {"port": port, "clients": [client], "accounts": ACCOUNTS, "jwks": {"keys": [key.as_dict(private=True)]}}
    folder = scratch_folder("provider")
    argv = [node(), str(FOLDER / "openid_provider.mjs")]
    server = Server("provider", argv, folder=folder, env=dict(os.environ) | {"PROVIDER": json.dumps(settings)})
    try:
        gateway.run("facilities", "apply", str(gateway.write("facilities.toml", FACILITY)))
        gateway.run("patients", "load", str(gateway.write("patients.ndjson", json.dumps(PATIENT) + "\n")))
        gateway.start()
        server.wait_until(lambda: accepts_connections(port))
        yield Both(gateway, issuer)
    finally:
        gateway.stop()
        server.stop()


def test_somebody_signs_in_at_the_provider_in_a_browser_and_out_again(both: Both) -> None:
    """From the sign-in page, by the button, and back to the page that was wanted; the account is made by the claim."""
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=chromium(), args=arguments)
        page = browser.new_page()
        page.goto(f"{both.gateway.url}/signin/security")
        page.get_by_role("link", name="Sign in with Lakeside").click()
        page.get_by_label("Who").fill("dr.a")
        page.get_by_role("button", name="Go on").click()
        page.wait_for_url("**/signin/security")
        text = page.inner_text("main")
        page.get_by_role("button", name="Sign out").click()
        page.goto(f"{both.gateway.url}/signin/security")
        after = page.url
        browser.close()

    assert "Dr Aster <b>" in text
    assert "clinician" in text
    assert "root" not in text
    assert "/signin?next=" in after


def test_staff_who_gave_one_factor_there_owe_the_second_here(both: Both) -> None:
    """With `mfa` in `amr` they are in; without, they are led to set one up, and the cookie opens nothing."""
    one, two = requests.Session(), requests.Session()
    owes = both.back(one, "audrey")
    assert urlsplit(owes.url).path == "/signin/security/begin"
    assert one.get(f"{both.gateway.url}/signin/security", timeout=10).status_code == 403
    done = both.back(two, "audrey", "pwd mfa")
    assert (done.status_code, urlsplit(done.url).path) == (200, "/signin/security")
    assert "auditor" in done.text


def test_a_patient_is_bound_by_the_providers_proof_to_one_person_of_the_index(both: Both) -> None:
    """The account is that person's; whom the index doesn't know is refused, and no account is made."""
    found = both.back(requests.Session(), "pat")
    assert urlsplit(found.url).path == "/signin/security"
    for who in ("stranger", "nobody"):
        refused = both.back(requests.Session(), who)
        assert (refused.status_code, "did not lead to an account" in refused.text) == (401, True)

    users = {user["name"]: user for user in both.gateway.run_json("users", "list")}
    person = both.gateway.run_json("patients", "show", "urn:oid:2.25.1|P1")["id"]
    assert (users["Pat"]["patient"], users["Pat"]["roles"]) == (person, ["patient"])
    assert {"Stranger", "No Body"}.isdisjoint(users)
    reasons = [one["reason"] for one in both.audit() if one["kind"] == "sign-in" and one["outcome"] == "refused"]
    assert "not signed in: identity provider: the index knows nobody, or several, by the patient claim" in reasons


def test_an_answer_counts_once_in_the_browser_that_asked(both: Both) -> None:
    """Another browser, a second time, an invented state, another state of one's own: nobody is let in."""
    url, mine, thief = both.gateway.url, requests.Session(), requests.Session()
    page = both.away(mine)
    sent = mine.post(page.url, data={"who": "dr.a", "how": "pwd", "go": "in"}, timeout=10, allow_redirects=False)
    while not sent.headers["Location"].startswith(url):
        sent = mine.get(sent.headers["Location"], timeout=10, allow_redirects=False)
    answer = sent.headers["Location"]
    assert "code" in parse_qs(urlsplit(answer).query)

    both.away(thief)
    assert thief.get(answer, timeout=10).status_code == 401
    assert mine.get(f"{url}/signin/provider/return?code=x&state=invented", timeout=10).status_code == 401
    again = requests.Session()
    page = both.away(again)
    sent = again.post(page.url, data={"who": "dr.a", "how": "pwd", "go": "in"}, timeout=10, allow_redirects=False)
    while not sent.headers["Location"].startswith(url):
        sent = again.get(sent.headers["Location"], timeout=10, allow_redirects=False)
    kept = again.cookies.copy()
    assert again.get(sent.headers["Location"], timeout=10).status_code == 200
    replayed = requests.get(sent.headers["Location"], cookies=kept, timeout=10)
    assert replayed.status_code == 401


def test_a_refusal_at_the_provider_is_told_in_our_words(both: Both) -> None:
    """Nothing of what the provider said is shown, and no link leads off the site."""
    session = requests.Session()
    page = both.away(session, "/signin/provider?next=//evil.example")
    refused = session.post(page.url, data={"go": "out"}, timeout=10)
    assert refused.status_code == 401
    assert "alert(1)" not in refused.text
    assert "evil" not in refused.text


def test_t148_a_proof_that_the_provider_remembers_is_as_old_as_it_is(both: Both) -> None:
    """Signed in there 11 minutes ago and passed through now: what needs a fresh proof asks for one, there."""
    session = requests.Session()
    both.back(session, "dr.a", "pwd old")
    assert session.get(f"{both.gateway.url}/signin/security", timeout=10).status_code == 200
    changing = session.get(f"{both.gateway.url}/signin/security/begin", timeout=10)
    assert urlsplit(changing.url).path == "/signin/again"
    both.back(session, "dr.a", path="/signin/provider?again=1")
    changing = session.get(f"{both.gateway.url}/signin/security/begin", timeout=10)
    assert urlsplit(changing.url).path == "/signin/security/begin"
    staff = requests.Session()
    asked_again = both.back(staff, "audrey", "pwd old")
    assert asked_again.url.startswith(both.provider), "nobody sets up a first second factor by an old proof"


def test_t124_a_fresh_proof_at_the_provider_is_a_new_session_of_the_same_person(both: Both) -> None:
    """Once more, the id changes; when another person comes back, the sign-in is refused."""
    session = requests.Session()
    both.back(session, "dr.a")
    before = session.cookies.get("gateway")
    again = both.back(session, "dr.a", path="/signin/provider?again=1")
    assert urlsplit(again.url).path == "/signin/security"
    assert session.cookies.get("gateway") not in (None, before)
    for cookie in [one for one in session.cookies if not one.name.startswith("gateway")]:
        session.cookies.clear(cookie.domain, cookie.path, cookie.name)  # as if the provider had forgotten them
    other = both.back(session, "audrey", "mfa", path="/signin/provider?again=1")
    assert other.status_code == 401


def test_roles_are_at_each_sign_in_what_the_provider_tells(both: Both) -> None:
    """A role that was given here and not there is gone; a disabled account stays shut."""
    both.back(requests.Session(), "dr.a")
    both.gateway.run("users", "change", "aster", "--role", "auditor")
    both.back(requests.Session(), "dr.a")
    users = {user["login"]: user for user in both.gateway.run_json("users", "list")}
    assert users["aster"]["roles"] == ["clinician"]
    both.gateway.run("users", "disable", "aster")
    refused = both.back(requests.Session(), "dr.a")
    both.gateway.run("users", "enable", "aster")
    assert refused.status_code == 401
    assert re.search(r'role="alert"', refused.text)


def test_an_account_that_was_made_here_is_linked_by_an_administrator(both: Both) -> None:
    """By the provider's subject; another account can't have the same."""
    made = both.gateway.run_json("users", "add", "nora", "--name", "Nora", "--role", "clinician")
    assert made["link"].startswith(f"{both.gateway.url}/signin/set-password/")
    both.gateway.run("users", "link", "nora", "--subject", "nobody")
    both.gateway.run("users", "add", "olaf", "--name", "Olaf", "--role", "clinician")
    assert "another account" in both.gateway.run("users", "link", "olaf", "--subject", "nobody", expect=1).stderr
    session = requests.Session()
    assert "Nora" in both.back(session, "nobody").text
