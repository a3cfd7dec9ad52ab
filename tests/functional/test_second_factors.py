"""The second step: authenticator codes, passkeys, recovery codes, and who must have one (security.md group L)."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import pyotp
import pytest
from werkzeug.test import TestResponse

from gateway.auth.people import STAFF, Role
from gateway.auth.second_factors import Factor
from gateway.errors import LoadRefused
from tests.factories_passkeys import PRESENT, Authenticator
from tests.functional.people_app import PASSWORD, Browser, PeopleApp, serving


@pytest.fixture
def exchange(sqlite_url: str, keys_file: Path) -> Iterator[PeopleApp]:
    """A patient without a second factor, an auditor with an authenticator, an administrator without any."""
    with serving(sqlite_url, keys_file) as app:
        app.add("ann", Role.PATIENT)
        app.add("aud", Role.AUDITOR, totp=True)
        app.add("adm", Role.HIE_ADMINISTRATOR)
        app.clock.advance(seconds=30)
        yield app


def _step(exchange: PeopleApp, login: str = "aud") -> Browser:
    browser = exchange.browser()
    assert browser.sign_in(login).status_code == 303
    return browser


def _factors(exchange: PeopleApp, login: str) -> list[Factor]:
    account = exchange.people.accounts.find_login(login)
    assert account
    return [one for one in exchange.people.factors.of(account.id) if one.kind != "recovery"]


def _enrol(browser: Browser, exchange: PeopleApp) -> TestResponse:
    page = browser.get("/signin/security/app")
    found = re.search(r"type this key: <code>([A-Z2-7 ]+)</code>", page.text)
    assert found
    code = pyotp.HOTP(found[1].replace(" ", "")).at(int(exchange.clock().timestamp()) // 30)
    return browser.submit("/signin/security/app", code=code, name="Phone")


def _codes(page: TestResponse) -> list[str]:
    return re.findall(r"<li><code>([a-z2-9-]+)</code></li>", page.text)


def _post(browser: Browser, page: str, path: str, body: dict[str, Any] | None = None) -> TestResponse:
    return browser.client.post(path, json=body or {}, headers={"X-CSRFToken": browser.token(page)})


def _make_passkey(browser: Browser, device: Authenticator, **how: Any) -> TestResponse:
    begin, path = "/signin/security/begin", "/signin/security/passkey"
    asked = _post(browser, begin, f"{path}/options").json
    return _post(browser, begin, path, {"credential": device.made(asked, **how), "name": "Key"})


def test_t147_a_code_counts_once(exchange: PeopleApp) -> None:
    """In one browser and in another; the code of the step before counts until a later one was used; others don't."""
    first, second = _step(exchange), _step(exchange)
    code = exchange.code()
    assert first.submit("/signin/second", code=code).status_code == 303
    assert second.submit("/signin/second", code=code).status_code == 401
    assert second.submit("/signin/second", code=exchange.code(1)).status_code == 401, "older than one that was used"
    exchange.clock.advance(seconds=60)
    assert second.submit("/signin/second", code=exchange.code(2)).status_code == 401, "two steps old"
    assert second.submit("/signin/second", code=exchange.code(-1)).status_code == 401, "of the future"
    assert second.submit("/signin/second", code=exchange.code(1)).status_code == 303, "slow typing"


def test_t147_of_many_at_once_one_gets_in(exchange: PeopleApp) -> None:
    """Eight browsers send the same code at the same moment."""
    browsers = [_step(exchange) for _ in range(8)]
    tokens, code = [browser.token("/signin/second") for browser in browsers], exchange.code()

    def send(number: int) -> int:
        form = {"csrf_token": tokens[number], "code": code}
        return browsers[number].client.post("/signin/second", data=form).status_code

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(send, range(8)))
    assert answers == [303] + [401] * 7


def test_t147_ten_wrong_codes_close_the_account_for_a_while_and_raise_an_alert(exchange: PeopleApp) -> None:
    """Then the right one doesn't help either, in another browser too; what is no code is refused; 429 says when."""
    browser, other = _step(exchange), _step(exchange)
    answers = [browser.submit("/signin/second", code=code) for code in ("12345", "abcdef", *["000000"] * 8)]
    assert {answer.status_code for answer in answers} == {401}

    for one in (browser, other):
        closed = one.submit("/signin/second", code=exchange.code())
        assert closed.status_code == 429
        assert int(closed.headers["Retry-After"]) > 0
        assert closed.mimetype == "text/html"
    (alert,) = exchange.audit("alert")
    assert (alert.reason, alert.who.subject_id) == ("too many attempts to sign in", "aud")


def test_t148_changing_the_second_factor_needs_a_proof_of_the_last_minutes(exchange: PeopleApp) -> None:
    """Adding, removing, new recovery codes, the password: each leads to a fresh proof, and a form does nothing."""
    browser = exchange.browser()
    browser.sign_in_with_code("aud")
    (factor,) = _factors(exchange, "aud")
    token = browser.token("/signin/security")
    exchange.clock.advance(minutes=10, seconds=1)
    for path in ("begin", "app", "password"):
        assert browser.get(f"/signin/security/{path}").location.startswith("/signin/again?next=")
    for path, fields in (
        ("remove", {"id": factor.id}),
        ("app", {"code": exchange.code()}),
        ("codes", {}),
        ("password", {"new": "another good long one", "repeated": "another good long one"}),
        ("passkey/options", {}),
    ):
        answer = browser.client.post(f"/signin/security/{path}", data={"csrf_token": token, **fields})
        assert answer.status_code == 401, path
    assert _factors(exchange, "aud") == [factor]
    assert exchange.audit("account-change") == []


def test_t148_a_recovery_code_opens_the_second_step_once(exchange: PeopleApp) -> None:
    """However it is typed; of many at once one gets in; new ones end the old ones; none opens another account."""
    browser = exchange.browser()
    browser.sign_in_with_code("aud")
    codes = _codes(browser.submit("/signin/security", "/signin/security/codes"))
    assert len(set(codes)) == 10

    assert _step(exchange).submit("/signin/second", code=codes[0]).status_code == 303
    assert _step(exchange).submit("/signin/second", code=codes[0]).status_code == 401
    assert _step(exchange).submit("/signin/second", code=codes[1].replace("-", "").upper()).status_code == 303
    exchange.add("eve", Role.AUDITOR, totp=True)
    assert _step(exchange, "eve").submit("/signin/second", code=codes[2]).status_code == 401

    steps = [_step(exchange) for _ in range(4)]
    tokens = [step.token("/signin/second") for step in steps]
    with ThreadPoolExecutor(4) as pool:
        forms = [{"csrf_token": token, "code": codes[3]} for token in tokens]
        sent = pool.map(lambda one: one[0].client.post("/signin/second", data=one[1]), zip(steps, forms, strict=True))
        assert sorted(answer.status_code for answer in sent) == [303, 401, 401, 401]

    again = exchange.browser()
    again.sign_in_with_code("aud")
    assert "7 left" in again.get("/signin/security").text
    assert again.submit("/signin/security", "/signin/security/codes").status_code == 200
    assert _step(exchange).submit("/signin/second", code=codes[4]).status_code == 401


def test_t150_staff_are_not_signed_in_without_a_second_factor(exchange: PeopleApp) -> None:
    """With a password alone the cookie opens nothing: 403, for each role of staff; they are led to set one up."""
    for role in STAFF - {Role.FACILITY_ADMINISTRATOR}:
        exchange.add(f"new-{role}", role)
        browser = _step(exchange, f"new-{role}")
        assert browser.get("/signin/security").status_code == 403
        assert browser.get("/signin/second").location == "/signin/security/begin"
        for path in ("remove", "codes", "password"):
            answer = browser.submit("/signin/security/begin", f"/signin/security/{path}")
            assert answer.status_code in (400, 409), path
    has_one = _step(exchange)
    for path in ("/signin/security", "/signin/security/begin", "/signin/security/app"):
        assert has_one.get(path).status_code == 403, "whoever has a second factor adds none without it"


def test_t150_setting_one_up_ends_the_first_step_and_gives_codes_for_the_day_it_is_lost(exchange: PeopleApp) -> None:
    """The id changes; ten codes are shown once; from then on the code is asked for; the last one can't be removed."""
    browser = _step(exchange, "adm")
    before = browser.cookie
    wrong = browser.submit("/signin/security/app", code="000000")
    assert wrong.status_code == 422
    answer = _enrol(browser, exchange)

    assert len(_codes(answer)) == 10
    assert browser.cookie != before
    assert browser.get("/signin/security").status_code == 200
    assert _step(exchange, "adm").get("/signin/second").status_code == 200
    (factor,) = _factors(exchange, "adm")
    assert browser.submit("/signin/security", "/signin/security/remove", id=factor.id).status_code == 409
    assert [one.reason for one in exchange.audit("account-change")] == ["second factor added", "recovery codes made"]


def test_t150_a_role_of_staff_that_comes_later_needs_the_second_factor_at_once(exchange: PeopleApp) -> None:
    """A session that began with a password alone opens nothing from the next request on."""
    browser = _step(exchange, "ann")
    assert browser.get("/signin/security").status_code == 200
    account = exchange.people.accounts.find_login("ann")
    assert account
    changes = {"roles": account.roles | {Role.PRIVACY_OFFICER}}
    exchange.people.accounts.change(account.id, changes, exchange.noted, exchange.clock())
    assert browser.get("/signin/security").status_code == 403


def test_a_second_factor_that_is_added_or_removed_ends_the_other_sessions(exchange: PeopleApp) -> None:
    """Whoever holds one of them may not be its owner; another patient's factor can't be removed."""
    here, there = _step(exchange, "ann"), _step(exchange, "ann")
    assert len(_codes(_enrol(here, exchange))) == 10
    assert there.get("/signin/security").status_code == 303
    assert here.get("/signin/security").status_code == 200
    (foreign,) = _factors(exchange, "aud")
    assert here.submit("/signin/security", "/signin/security/remove", id=foreign.id).status_code == 422
    own = _factors(exchange, "ann")[0]
    assert here.submit("/signin/security", "/signin/security/remove", id=own.id).status_code == 303
    assert _step(exchange, "ann").get("/signin/security").status_code == 200


def test_t149_a_passkey_is_made_and_signs_in_alone(exchange: PeopleApp) -> None:
    """It is two factors in one; its use is noted, and staff who have it need no code."""
    browser, device = _step(exchange, "adm"), Authenticator()
    made = _make_passkey(browser, device)
    assert len(_codes(made)) == 10
    assert browser.get("/signin/security").status_code == 200

    other = exchange.browser()
    asked = _post(other, "/signin", "/signin/passkey/options").json
    answer = _post(other, "/signin", "/signin/passkey", {"credential": device.signed(asked), "next": "//evil"})
    assert (answer.status_code, answer.json) == (200, {"next": "/signin/security"})
    assert other.get("/signin/security").status_code == 200

    third = _step(exchange, "adm")
    asked = _post(third, "/signin/second", "/signin/second/passkey/options").json
    assert len(asked["allowCredentials"]) == 1
    answer = _post(third, "/signin/second", "/signin/second/passkey", {"credential": device.signed(asked)})
    assert answer.status_code == 200
    assert third.get("/signin/security").status_code == 200


def test_t147_an_account_that_is_closed_from_everywhere_still_opens_by_its_passkey(
    sqlite_url: str, keys_file: Path
) -> None:
    """Wrong passwords from many addresses shut nobody out who has a passkey: the only administrator, say."""
    with serving(sqlite_url, keys_file, {"GATEWAY_RATE_LIMITS": "sign-in-account-failures=6"}) as exchange:
        exchange.add("adm", Role.HIE_ADMINISTRATOR)
        owner, device = _step(exchange, "adm"), Authenticator()
        _make_passkey(owner, device)
        for number in range(6):
            stranger = exchange.browser()
            stranger.client.environ_base["REMOTE_ADDR"] = f"198.51.100.{number}"
            assert stranger.sign_in("adm", "not the password at all").status_code == 401
        assert exchange.browser().sign_in("adm").status_code == 429
        assert owner.get("/signin/security").status_code == 200, "sessions that stand are not touched"

        other = exchange.browser()
        asked = _post(other, "/signin", "/signin/passkey/options").json
        assert _post(other, "/signin", "/signin/passkey", {"credential": device.signed(asked)}).status_code == 200
        assert other.get("/signin/security").status_code == 200
        assert exchange.browser().sign_in("adm").status_code == 429, "the password stays closed"


NOTHING_PROVED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"origin": "https://evil.example"}, {}),
    ({"type": "webauthn.create"}, {}),
    ({}, {"rp_id": "evil.example"}),
    ({"flags": PRESENT}, {}),
    ({"flags": 0}, {}),
    ({"counts": False}, {}),
    ({}, {"id": b"somebody else's credential id"}),
    ({}, {"key": Authenticator().key}),
    ({}, {"count": 0}),
]


def test_t149_what_proves_nothing_is_refused(exchange: PeopleApp) -> None:
    """Another origin or RP id, nobody verified or present, a count that doesn't rise, another's id or key."""
    browser, own = _step(exchange, "adm"), Authenticator()
    _make_passkey(browser, own)
    other = exchange.browser()
    asked = _post(other, "/signin", "/signin/passkey/options").json
    assert _post(other, "/signin", "/signin/passkey", {"credential": own.signed(asked)}).status_code == 200

    for how, device in NOTHING_PROVED:
        false = Authenticator(**{"key": own.key, "id": own.id, "count": own.count, **device})
        browser = exchange.browser()
        asked = _post(browser, "/signin", "/signin/passkey/options").json
        answer = _post(browser, "/signin", "/signin/passkey", {"credential": false.signed(asked, **how)})
        assert answer.status_code == 400, (how, device)
        assert browser.cookie is None
    refused = [one for one in exchange.audit("sign-in") if one.outcome == "refused"]
    assert [one.reason for one in refused] == ["not signed in: passkey"] * len(NOTHING_PROVED)


def test_t149_a_question_is_answered_once_and_by_whom_it_was_asked(exchange: PeopleApp) -> None:
    """A replay, an invented challenge, one that is too late, one of another step, another account's passkey."""
    browser, device = _step(exchange, "adm"), Authenticator()
    _make_passkey(browser, device)
    other = exchange.browser()
    asked = _post(other, "/signin", "/signin/passkey/options").json
    answer = device.signed(asked)
    assert _post(other, "/signin", "/signin/passkey", {"credential": answer}).status_code == 200
    assert _post(exchange.browser(), "/signin", "/signin/passkey", {"credential": answer}).status_code == 400
    assert _sent(exchange, device.signed({"challenge": "aW52ZW50ZWQ"})) == 400

    asked = _post(exchange.browser(), "/signin", "/signin/passkey/options").json
    late = device.signed(asked)
    exchange.clock.advance(minutes=5)
    assert _sent(exchange, late) == 400

    step = _step(exchange, "adm")
    asked = _post(step, "/signin/second", "/signin/second/passkey/options").json
    assert _sent(exchange, device.signed(asked)) == 400, "asked of a step, answered without one"
    eve = _step(exchange)
    asked = _post(eve, "/signin/second", "/signin/second/passkey/options").json
    mine = _post(eve, "/signin/second", "/signin/second/passkey", {"credential": device.signed(asked)})
    assert mine.status_code == 400, "another account's passkey"
    assert eve.get("/signin/security").status_code == 403


def _sent(exchange: PeopleApp, credential: dict[str, Any]) -> int:
    return _post(exchange.browser(), "/signin", "/signin/passkey", {"credential": credential}).status_code


def test_t149_a_passkey_is_made_for_whom_it_was_asked_with_a_verified_user(exchange: PeopleApp) -> None:
    """Unverified, of another origin, or registered already (also by somebody else): refused, and nothing is stored."""
    browser, device = _step(exchange, "adm"), Authenticator()
    assert _make_passkey(browser, Authenticator(), flags=PRESENT).status_code == 400
    assert _make_passkey(browser, Authenticator(), origin="https://evil.example").status_code == 400
    assert _make_passkey(browser, Authenticator(rp_id="evil.example")).status_code == 400
    assert exchange.audit("account-change") == []
    assert _make_passkey(browser, device).status_code == 200
    assert _make_passkey(browser, device).status_code == 409
    patient = _step(exchange, "ann")
    assert _make_passkey(patient, device).status_code == 409


def test_questions_that_nobody_answers_are_not_kept_without_end(sqlite_url: str, keys_file: Path) -> None:
    """429 from one address, while another begins as before."""
    with serving(sqlite_url, keys_file, {"GATEWAY_RATE_LIMITS": "sign-in-questions=3"}) as app:
        browser = app.browser()
        answers = [_post(browser, "/signin", "/signin/passkey/options").status_code for _ in range(4)]
        assert answers == [200, 200, 200, 429]
        headers = {"X-CSRFToken": browser.token("/signin")}
        elsewhere = {"REMOTE_ADDR": "198.51.100.7"}
        told = browser.client.post("/signin/passkey/options", json={}, headers=headers, environ_overrides=elsewhere)
        assert told.status_code == 200


def test_t149_what_is_no_answer_is_refused(exchange: PeopleApp) -> None:
    """Malformed at each depth: 400, never an error of ours."""
    browser = exchange.browser()
    for body in (
        *({}, {"credential": 1}, {"credential": {}}, {"credential": {"response": 1}}, {"credential": {"response": {}}}),
        {"credential": {"response": {"clientDataJSON": "%%%"}}},
        {"credential": {"response": {"clientDataJSON": "e30"}}},
        {"credential": {"rawId": 7, "response": {"clientDataJSON": "eyJjaGFsbGVuZ2UiOjF9"}}},
        {"credential": {"response": {"clientDataJSON": "A" * 30_000}}},
    ):
        assert _post(browser, "/signin", "/signin/passkey", body).status_code == 400, body
    headers = {"X-CSRFToken": browser.token("/signin")}
    for raw in (b"", b"[]", b"null", b"{", b'{"credential":{},"credential":{}}', b"\xff"):
        assert browser.client.post("/signin/passkey", data=raw, headers=headers).status_code == 400, raw


def test_t149_a_broken_answer_to_a_question_that_was_asked_is_refused(exchange: PeopleApp) -> None:
    """The challenge is right, the rest isn't: cut short, other bytes, absent, of another type."""
    browser, device = _step(exchange, "adm"), Authenticator()
    _make_passkey(browser, device)
    parts = ("attestationObject", "authenticatorData", "signature", "rawId", "id", "type")
    for broken, value in product(parts, ("", "AAAA", "oWNmbXRk", 5, None, [1], {"a": 1})):
        if broken == "attestationObject":
            begin, path = "/signin/security/begin", "/signin/security/passkey"
            answer = Authenticator().made(_post(browser, begin, f"{path}/options").json)
            answer["response"][broken] = value
            assert _post(browser, begin, path, {"credential": answer}).status_code == 400, value
            continue
        other = exchange.browser()
        answer = device.signed(_post(other, "/signin", "/signin/passkey/options").json)
        (answer if broken in answer else answer["response"])[broken] = value
        status = _post(other, "/signin", "/signin/passkey", {"credential": answer}).status_code
        assert status in (400, 429), value


def test_a_link_sets_a_password_once(exchange: PeopleApp) -> None:
    """Within its time, by the rules, for an open account; every session of before is over; the link is in no record."""
    browser = _step(exchange, "ann")
    account = exchange.people.accounts.find_login("ann")
    assert account
    now = exchange.clock()
    for word in ("word-one", "word-two"):
        exchange.people.challenges.ask("password", word, now=now, until=now.replace(hour=23), account_id=account.id)
    link, new = "/signin/set-password/word-one", "three slow otters at dusk"
    stranger = exchange.browser()
    assert stranger.submit(link, new="short", repeated="short").status_code == 422
    assert stranger.submit(link, new=new, repeated="something else").status_code == 422
    assert stranger.submit(link, new=new, repeated=new).location == "/signin"
    assert stranger.get(link).status_code == 404
    assert stranger.get("/signin/set-password/made-up").status_code == 404
    assert browser.get("/signin/security").status_code == 303
    assert exchange.browser().sign_in("ann", PASSWORD).status_code == 401
    assert exchange.browser().sign_in("ann", new).location == "/signin/security"

    assert stranger.get("/signin/set-password/word-two").status_code == 404, (
        "an older link goes with the one that was used"
    )
    ask = exchange.people.challenges.ask
    ask("password", "word-three", now=now, until=now.replace(hour=23), account_id=account.id)
    assert stranger.get("/signin/set-password/word-three").status_code == 200
    exchange.people.accounts.disable(account.id, exchange.noted, exchange.clock())
    assert stranger.get("/signin/set-password/word-three").status_code == 404
    exchange.people.accounts.enable(account.id, exchange.noted, exchange.clock())
    exchange.clock.advance(hours=20)
    assert stranger.get("/signin/set-password/word-three").status_code == 404
    assert "word-one" not in repr(exchange.audit("account-change"))


def test_whoever_signs_in_elsewhere_comes_in_by_nothing_that_they_left_here(exchange: PeopleApp) -> None:
    """An account without a password: its passkey is a second step, never the way in; it sets no password itself."""
    made = exchange.add("fed", Role.CLINICIAN, password=False)
    begun = exchange.people.signins.begin(made, ("fed", "pwd"), exchange.clock(), complete=True)
    browser, device = exchange.browser(), Authenticator()
    browser.put_cookie(begun.cookie)
    assert _make_passkey(browser, device).status_code == 200
    new = {"new": "another good long one", "repeated": "another good long one"}
    assert browser.submit("/signin/security/password", **new).status_code == 409

    stranger = exchange.browser()
    asked = _post(stranger, "/signin", "/signin/passkey/options").json
    refused = _post(stranger, "/signin", "/signin/passkey", {"credential": device.signed(asked)})
    assert refused.status_code == 400
    assert stranger.cookie is None
    asked = _post(browser, "/signin/again", "/signin/passkey/options").json
    again = _post(browser, "/signin/again", "/signin/passkey", {"credential": device.signed(asked)})
    assert again.status_code == 200, "for a fresh proof it counts"


def test_t124_a_session_with_two_factors_ends_at_its_last_hour_too(exchange: PeopleApp) -> None:
    """Proving both once more gives a new session that lasts no longer than the first."""
    browser = exchange.browser()
    browser.sign_in_with_code("aud")
    for _ in range(47):
        exchange.clock.advance(minutes=10)
        assert browser.get("/signin/security").status_code == 200
    assert browser.submit("/signin/again", password=PASSWORD).status_code == 303
    assert browser.submit("/signin/second", code=exchange.code()).status_code == 303
    assert browser.get("/signin/security").status_code == 200
    exchange.clock.advance(minutes=10)
    assert browser.get("/signin/security").status_code == 303


def test_t154_the_last_administrator_stays(exchange: PeopleApp) -> None:
    """Neither disabled nor without the role; with a second one, they may go."""
    accounts, admin = exchange.people.accounts, exchange.people.accounts.find_login("adm")
    assert admin
    with pytest.raises(LoadRefused, match="last administrator"):
        accounts.disable(admin.id, exchange.noted, exchange.clock())
    with pytest.raises(LoadRefused, match="last administrator"):
        accounts.change(admin.id, {"roles": frozenset()}, exchange.noted, exchange.clock())
    exchange.add("second", Role.HIE_ADMINISTRATOR)
    assert not accounts.disable(admin.id, exchange.noted, exchange.clock()).enabled
