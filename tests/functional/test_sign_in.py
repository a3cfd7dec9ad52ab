"""Signing in and out on the pages: passwords, sessions, cookies, forms, and where it leads (groups I and L)."""

import re
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.auth.people import Role
from gateway.auth.signing_in import Attempt
from tests.functional.people_app import PASSWORD, PeopleApp, serving

WRONG = "a wrong password, long enough"


@pytest.fixture
def exchange(sqlite_url: str, keys_file: Path) -> Iterator[PeopleApp]:
    """A patient without a second factor, an auditor with one, an administrator without."""
    with serving(sqlite_url, keys_file) as app:
        app.add("ann", Role.PATIENT)
        app.add("aud", Role.AUDITOR, totp=True)
        app.add("adm", Role.HIE_ADMINISTRATOR)
        yield app


def test_t124_the_cookie_is_the_hosts_own_over_https(sqlite_url: str, keys_file: Path) -> None:
    """`__Host-` (so Secure, path / and no domain), HttpOnly, SameSite; the forms' cookie too."""
    with serving(sqlite_url, keys_file, {"GATEWAY_BASE_URL": "https://exchange.example"}) as app:
        app.add("ann", Role.PATIENT)
        client = app.app.test_client()
        page = client.get("/signin", base_url="https://exchange.example")
        token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
        assert token
        form = {"csrf_token": token[1], "login": "ann", "password": PASSWORD}
        answer = client.post("/signin", data=form, base_url="https://exchange.example")

    assert answer.status_code == 303
    for cookie in [*page.headers.getlist("Set-Cookie"), *answer.headers.getlist("Set-Cookie")]:
        assert cookie.startswith(("__Host-gateway=", "__Host-gateway-form="))
        assert all(word in cookie for word in ("; Secure", "; HttpOnly", "; Path=/", "; SameSite=Lax"))
        assert "Domain" not in cookie
    assert "max-age=31536000" in page.headers["Strict-Transport-Security"]


def test_t124_a_sign_in_gives_another_id_and_so_does_every_proof_after_it(exchange: PeopleApp) -> None:
    """A cookie that was there before is not taken over; the step's opens nothing, and ends with the second factor."""
    browser = exchange.browser()
    browser.put_cookie("planted-by-somebody-else")
    assert browser.sign_in("aud").status_code == 303
    step = browser.cookie
    assert step not in (None, "planted-by-somebody-else")
    assert browser.submit("/signin/second", code=exchange.code()).status_code == 303
    whole = browser.cookie
    assert whole not in (None, step)
    exchange.clock.advance(minutes=11)
    assert browser.get("/signin/security/password").location == "/signin/again?next=%2Fsignin%2Fsecurity%2Fpassword"
    assert browser.submit("/signin/again", password=PASSWORD).status_code == 303
    assert browser.submit("/signin/second", code=exchange.code()).status_code == 303
    assert browser.cookie not in (None, step, whole)
    assert browser.get("/signin/security/password").status_code == 200

    for old in (step, whole, "planted-by-somebody-else"):
        other = exchange.browser()
        other.put_cookie(old or "")
        assert other.get("/signin/security").status_code == 303


def test_t124_a_session_is_dead_after_signing_out_wherever_its_cookie_is(exchange: PeopleApp) -> None:
    """The cookie's copy opens nothing; the browser is told to drop it."""
    browser = exchange.browser()
    browser.sign_in("ann")
    copy = browser.cookie or ""
    answer = browser.submit("/signin/security", "/signout")

    assert (answer.status_code, answer.location) == (303, "/signed-out")
    assert browser.cookie is None
    browser.put_cookie(copy)
    assert browser.get("/signin/security").location == "/signin?next=%2Fsignin%2Fsecurity"
    assert [one.reason for one in exchange.audit("sign-out")] == ["signed out"]


def test_t124_a_session_ends_when_idle_and_at_its_last_hour(exchange: PeopleApp) -> None:
    """15 minutes without a request; 8 hours whatever happens, also where it was renewed by a fresh proof."""
    idle, busy = exchange.browser(), exchange.browser()
    idle.sign_in("ann")
    busy.sign_in("ann")
    exchange.clock.advance(minutes=14, seconds=59)
    assert idle.get("/signin/security").status_code == 200
    exchange.clock.advance(minutes=15)
    assert idle.get("/signin/security").status_code == 303

    busy.sign_in("ann")
    for _ in range(47):
        exchange.clock.advance(minutes=10)
        assert busy.get("/signin/security").status_code == 200
    assert busy.submit("/signin/again", password=PASSWORD).status_code == 303
    assert busy.get("/signin/security").status_code == 200
    exchange.clock.advance(minutes=10)
    assert busy.get("/signin/security").status_code == 303


def test_t124_signing_in_as_somebody_else_ends_the_session_that_was_there(exchange: PeopleApp) -> None:
    """A browser has one session: what its cookie was before opens nothing, wherever it has been copied to."""
    browser, thief = exchange.browser(), exchange.browser()
    browser.sign_in("ann")
    thief.put_cookie(browser.cookie or "")
    assert thief.get("/signin/security").status_code == 200
    exchange.add("eve", Role.PATIENT)
    browser.sign_in("eve")
    assert "Eve" in browser.get("/signin/security").text
    assert thief.get("/signin/security").status_code == 303


def test_t124_a_disabled_account_has_no_session(exchange: PeopleApp) -> None:
    """From the next request on, with the cookie it has; and none begins."""
    browser = exchange.browser()
    browser.sign_in("ann")
    account = exchange.people.accounts.find_login("ANN")
    assert account
    exchange.people.accounts.disable(account.id, exchange.noted, exchange.clock())

    assert browser.get("/signin/security").status_code == 303
    assert exchange.browser().sign_in("ann").status_code == 401


def test_t125_known_and_unknown_logins_are_refused_alike(exchange: PeopleApp) -> None:
    """Status, headers and text are the same: unknown, wrong password, disabled, without a password."""
    exchange.add("new", Role.PATIENT, password=False)
    off = exchange.add("off", Role.PATIENT)
    exchange.people.accounts.disable(off.id, exchange.noted, exchange.clock())
    answers = set()
    for login in ("nobody", "ann", "aud", "new", "off"):
        answer = exchange.browser().sign_in(login, PASSWORD if login == "off" else WRONG)
        text = re.sub(r'(csrf_token" value=")[^"]+', r"\1", answer.text).replace(f'value="{login}"', "")
        kept = {
            name: value
            for name, value in answer.headers
            if name not in ("Set-Cookie", "X-Request-Id", "Content-Length")
        }
        answers.add((answer.status_code, text, tuple(sorted(kept.items()))))

    assert len(answers) == 1
    assert next(iter(answers))[0] == 401
    assert len([one for one in exchange.audit("sign-in") if one.outcome == "refused"]) == 5


@pytest.mark.slow
def test_t125_known_and_unknown_logins_are_refused_in_the_same_time(exchange: PeopleApp) -> None:
    """Both cost a hash: interleaved attempts, medians within what a busy machine adds."""
    signing_in = exchange.people.signing_in
    attempt = Attempt(network="198.51.100.7", request="POST /signin", request_id="x", now=exchange.clock())
    took: dict[str, list[float]] = {"ann": [], "nobody": []}
    for _ in range(7):
        for login, times in took.items():
            began = time.perf_counter()
            assert signing_in.by_password(login, WRONG, attempt) is None
            times.append(time.perf_counter() - began)

    known, unknown = (statistics.median(times) for times in took.values())
    assert min(took["nobody"]) > 0.5 * min(took["ann"]), "an unknown login costs a hash, as a known one does"
    assert abs(known - unknown) < 0.5 * max(known, unknown)


def test_t122_next_stays_on_the_site(exchange: PeopleApp) -> None:
    """By the address and by the form, at each step, and whatever the Host header says."""
    for where in ("//evil.example", "/\\evil.example", "https:evil", "javascript:evil()", "%2f%2fevil"):
        page = exchange.browser().get("/signin", query_string={"next": where}, headers={"Host": "evil.example"})
        assert "evil" not in page.text
    assert exchange.browser().sign_in("ann", next="//evil.example").location == "/signin/security"
    other = exchange.browser()
    assert other.sign_in("aud", next="/\\evil.example").location == "/signin/second"
    exchange.clock.advance(seconds=30)
    assert other.submit("/signin/second", code=exchange.code(), next="https:evil").location == "/signin/security"


def test_t122_a_page_of_ours_is_gone_on_to(exchange: PeopleApp) -> None:
    """Asked for, led to the sign-in, through both steps, and back: with its query."""
    browser = exchange.browser()
    wanted = browser.get("/signin/security/app?x=1").location
    assert wanted == "/signin?next=%2Fsignin%2Fsecurity%2Fapp%3Fx%3D1"
    first = browser.sign_in("aud", next="/signin/security/app?x=1")
    assert first.location == "/signin/second?next=%2Fsignin%2Fsecurity%2Fapp%3Fx%3D1"
    exchange.clock.advance(seconds=30)
    last = browser.submit("/signin/second", code=exchange.code(), next="/signin/security/app?x=1")
    assert last.location == "/signin/security/app?x=1"


def test_t077_a_form_counts_from_our_own_page_in_the_same_browser_only(exchange: PeopleApp) -> None:
    """No token, a made-up one, another browser's, one from before signing in, another origin: 403, nothing done."""
    browser, other = exchange.browser(), exchange.browser()
    browser.sign_in("ann")
    foreign = other.token("/signin")
    mine = browser.token("/signin/security")
    refused = [
        browser.client.post("/signout"),
        browser.client.post("/signout", data={"csrf_token": "x"}),
        browser.client.post("/signout", data={"csrf_token": foreign}),
        browser.client.post("/signout", data={"csrf_token": mine}, headers={"Origin": "https://evil.example"}),
        browser.client.post("/signout", data={"csrf_token": mine}, headers={"Origin": "null"}),
        browser.client.post("/signout", data={"csrf_token": mine}, headers={"Sec-Fetch-Site": "cross-site"}),
        browser.client.post("/signout", data={"csrf_token": mine}, headers={"Sec-Fetch-Site": "same-site"}),
        browser.client.post("/signout", data=f'{{"csrf_token":"{mine}"}}', content_type="text/plain"),
    ]
    before = other.token("/signin")
    other.sign_in("ann")
    refused.append(other.client.post("/signout", data={"csrf_token": before}))

    assert [answer.status_code for answer in refused] == [403] * len(refused)
    assert all(answer.mimetype == "text/html" for answer in refused)
    assert browser.get("/signin/security").status_code == 200
    assert browser.get("/signout").status_code == 405
    assert browser.submit("/signin/security", "/signout").status_code == 303


def test_t078_pages_can_be_framed_by_nobody_and_run_nothing_of_their_own(exchange: PeopleApp) -> None:
    """The policy allows our own files alone, no inline script or style; every page says so, errors too."""
    browser = exchange.browser()
    browser.sign_in("ann")
    paths = (
        "/signin",
        "/signed-out",
        "/signin/again",
        "/signin/security",
        "/signin/security/app",
        "/signin/second",
        "/signin/x",
    )
    for path in paths:
        page = browser.get(path, follow_redirects=True)
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Cache-Control"] == "no-store"
        assert not re.search(r"<style|style=|<script(?! src=\"/pages/)|\son\w+=", page.text)


def test_t126_other_methods_do_nothing(exchange: PeopleApp) -> None:
    """HEAD is GET without a body; OPTIONS, TRACE, PUT and DELETE are refused; a method in a header is not read."""
    browser = exchange.browser()
    assert browser.client.head("/signin/security").status_code == 303
    browser.sign_in("ann")
    head = browser.client.head("/signin/security")
    assert (head.status_code, head.data) == (200, b"")
    for method in ("OPTIONS", "TRACE", "PUT", "DELETE", "PATCH"):
        answer = browser.client.open("/signin/security", method=method)
        assert answer.status_code == 405, method
        assert answer.headers["Allow"] == "GET, HEAD"
    override = browser.client.get("/signout", headers={"X-HTTP-Method-Override": "POST"})
    assert override.status_code == 405
    assert browser.get("/signin/security").status_code == 200


def test_t001_pages_lead_strangers_to_the_sign_in_and_forms_refuse_them(exchange: PeopleApp) -> None:
    """A page is a redirect with the way back; a form of a stranger does nothing."""
    browser = exchange.browser()
    for path in (
        "/signin/security",
        "/signin/security/app",
        "/signin/security/begin",
        "/signin/again",
        "/signin/second",
    ):
        answer = browser.get(path)
        assert answer.status_code == 303, path
        assert answer.location.startswith("/signin?next=%2Fsignin"), path
    token = browser.token("/signin")
    for path in ("/signin/security/codes", "/signin/security/remove", "/signin/second", "/signin/security/password"):
        assert browser.client.post(path, data={"csrf_token": token}).status_code == 401, path


def test_a_field_that_is_empty_is_told_beside_the_field(exchange: PeopleApp) -> None:
    """The error is tied to its field, what was typed stays (save the password), and nothing is tried."""
    answer = exchange.browser().submit("/signin", login="  ann ", password="")

    assert answer.status_code == 422
    assert 'id="password-problem"' in answer.text
    assert 'aria-describedby="password-problem' in answer.text
    assert 'value="ann"' in answer.text
    assert exchange.audit("sign-in") == []


def test_a_login_of_any_length_comes_back_no_longer_than_its_field_takes(exchange: PeopleApp) -> None:
    """Whether the password is missing or nobody is called that."""
    for password in ("", "another secret entirely"):
        page = exchange.browser().submit("/signin", login="x" * 100_000, password=password).text
        assert f'value="{"x" * 200}"' in page
        assert "x" * 201 not in page
        assert 'maxlength="200"' in page


def test_t120_what_somebody_is_called_is_shown_as_text(exchange: PeopleApp) -> None:
    """A name with markup, quotes and a template's braces."""
    name = "<img src=x onerror=alert(1)> {{7*7}} \"'><svg/onload=alert(1)>"
    exchange.add("eve", Role.PATIENT)
    account = exchange.people.accounts.find_login("eve")
    assert account
    exchange.people.accounts.change(account.id, {"name": name}, exchange.noted, exchange.clock())
    browser = exchange.browser()
    browser.sign_in("eve")
    page = browser.get("/signin/security").text

    assert "<img" not in page
    assert "<svg" not in page
    assert "49" not in page.split("<main")[1].split("</dl>")[0]
    assert "&lt;img src=x onerror=alert(1)&gt; {{7*7}}" in page


def test_what_was_typed_is_kept_nowhere(exchange: PeopleApp, caplog: pytest.LogCaptureFixture) -> None:
    """People type a password where the login belongs: neither the audit nor the log repeats either."""
    exchange.browser().sign_in("my-secret-in-the-wrong-field", "another secret entirely")

    (refused,) = exchange.audit("sign-in")
    assert "secret" not in repr(refused)
    assert "secret" not in caplog.text
