"""Codes, refresh tokens and redirects under attack (T22–T26), and the Inferno assertions about them."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.auth.app_tables import app_grant, authorization_code, refresh_token
from gateway.auth.people import Role
from gateway.db.session import reading
from tests.functional.app_exchange import CALLBACK, PERSON, AppExchange, Verifier, an_app, answered, serving_apps


@pytest.fixture(scope="module")
def exchange(
    tmp_path_factory: pytest.TempPathFactory, migrated_sqlite_file: Path, keys_file: Path
) -> Iterator[AppExchange]:
    """One for all tests here, each with grants of its own."""
    with serving_apps(tmp_path_factory.mktemp("apps"), migrated_sqlite_file, keys_file) as running:
        yield running


@pytest.fixture(autouse=True)
def at_this_time(exchange: AppExchange) -> None:
    """Time goes on by half a minute between tests: what was revoked is told from what comes after it."""
    exchange.clock.advance(seconds=1)


PKCE = {
    "smart_invalid_pkce_missing": {"code_verifier": None},
    "smart_invalid_pkce_blank": {"code_verifier": ""},
    "smart_invalid_pkce_wrong": {"code_verifier": "x" * 43},
    "short": {"code_verifier": "x"},
}


@pytest.mark.parametrize("changes", PKCE.values(), ids=PKCE.keys())
def test_t022_smart_invalid_pkce_group_a_code_without_its_verifier_is_worth_nothing(
    changes: dict[str, str | None], exchange: AppExchange
) -> None:
    """Missing, blank, wrong: 400, and no token."""
    refused = exchange.redeem(exchange.authorized(), **changes)
    assert refused.status_code == 400
    assert "access_token" not in refused.get_json()


def test_t022_smart_invalid_pkce_group_the_challenge_is_not_its_own_verifier(exchange: AppExchange) -> None:
    """As with method `plain`, which is not there."""
    refused = exchange.redeem(exchange.authorized(), code_verifier=exchange.verifier.challenge)
    assert (refused.status_code, refused.get_json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None},
        {"code_challenge": "short"},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
    ],
    ids=["no challenge", "no S256 hash", "plain", "no method"],
)
def test_t022_no_code_without_s256(changes: dict[str, str | None], exchange: AppExchange) -> None:
    """The app is told at once, before anybody is asked."""
    told = answered(exchange.ask(exchange.pats_browser(), **changes))
    assert told["error"] == "invalid_request"
    assert told["state"] == "s-1"
    assert "code" not in told


def test_t023_a_code_is_for_one_use_and_its_reuse_ends_what_came_of_it(exchange: AppExchange) -> None:
    """The second gets `invalid_grant`; the first's tokens are dead, and people are alerted."""
    code = exchange.authorized()
    first = exchange.redeem(code).get_json()
    assert exchange.get(f"ImagingStudy?patient={PERSON}", first["access_token"]).status_code == 200
    alerts = len(exchange.audit("alert"))
    second = exchange.redeem(code)
    assert (second.status_code, second.get_json()["error"]) == (400, "invalid_grant")
    assert exchange.get(f"ImagingStudy?patient={PERSON}", first["access_token"]).status_code == 401
    assert exchange.refresh(first["refresh_token"]).status_code == 400
    assert len(exchange.audit("alert")) == alerts + 1


def test_t023_of_twenty_at_once_at_most_one_gets_tokens(exchange: AppExchange) -> None:
    """And they are dead, since the others held a copy."""
    code = exchange.authorized()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: _another_client(exchange, code), range(20)))
    granted = [body for status, body in answers if status == 200]
    assert len(granted) <= 1
    assert {status for status, _ in answers} <= {200, 400}
    for body in granted:
        assert exchange.get(f"ImagingStudy?patient={PERSON}", body["access_token"]).status_code == 401


def _another_client(exchange: AppExchange, code: str) -> tuple[int, dict[str, str]]:
    client = exchange.app.test_client()
    form = {
        "grant_type": "authorization_code",
        "client_id": "viewer",
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": exchange.verifier.value,
    }
    answer = client.post("/oauth/token", data=form)
    return answer.status_code, answer.get_json()


def test_t023_a_code_of_another_client_does_not_hold_and_stays_the_others(exchange: AppExchange) -> None:
    """Neither a public app's name nor a proved client redeems it; its own app still does."""
    exchange.registry.save(an_app(id="other"), exchange.clock())
    code = exchange.authorized()
    assert exchange.redeem(code, client_id="other").get_json()["error"] == "invalid_grant"
    assert exchange.redeem(code, client_id=None, **exchange.signs()).get_json()["error"] == "invalid_grant"
    assert exchange.redeem(code).status_code == 200


@pytest.mark.parametrize("address", ["https://app.example/other", "https://evil.example/callback", ""])
def test_t023_a_code_is_for_the_address_it_was_sent_to(address: str, exchange: AppExchange) -> None:
    """Another `redirect_uri`, or none, redeems nothing; and the code is spent."""
    code = exchange.authorized()
    assert exchange.redeem(code, redirect_uri=address).status_code == 400
    if address:
        assert exchange.redeem(code).status_code == 400


def test_t023_an_old_code_does_not_hold(exchange: AppExchange) -> None:
    """A minute after it was given."""
    code = exchange.authorized()
    exchange.clock.advance(seconds=61)
    assert exchange.redeem(code).get_json()["error"] == "invalid_grant"


@pytest.mark.parametrize("code", ["nonsense", "x" * 5000, "'; DROP TABLE app_grant --"])
def test_g10_smart_invalid_token_request_a_code_that_was_never_given(code: str, exchange: AppExchange) -> None:
    """400 `invalid_grant`, in the same words as for one that was used; nothing of it is echoed."""
    used = exchange.authorized()
    exchange.redeem(used)
    never = exchange.redeem(code)
    assert never.status_code == 400
    assert never.data == exchange.redeem(used).data
    assert code.encode() not in never.data


@pytest.mark.parametrize("client_id", ["nobody", "portal", ""])
def test_g10_smart_invalid_token_request_another_client(client_id: str, exchange: AppExchange) -> None:
    """An unknown app, and one that has a key and did not sign, are `invalid_client` alike."""
    refused = exchange.redeem(exchange.authorized(), client_id=client_id)
    assert (refused.status_code, refused.get_json()) == (400, {"error": "invalid_client"})


ADDRESSES = [
    "https://app.example/other",
    "https://app.example/callback/",
    "https://app.example/callback?x=1",
    "https://app.example/callback#",
    "https://app.example/callback#x",
    "https://app.example.evil.com/callback",
    "https://app.example@evil.example/callback",
    "https://app.example:443/callback",
    "http://app.example/callback",
    "https://APP.example/callback",
    "https://app.example./callback",
    "https://app.example\\callback",
    "https:\\\\app.example/callback",
    "//app.example/callback",
    "https://app.example/./callback",
    "https://app.example/callback%20",
    " https://app.example/callback",
    "https://app.example/callback\r\nX: y",
    "javascript:alert(1)",
    "",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_t024_an_address_that_is_not_registered_is_never_gone_to(address: str, exchange: AppExchange) -> None:
    """A page with an error, signed in or not; no redirect, nothing of the address in it."""
    for browser in (exchange.browser(), exchange.pats_browser()):
        page = exchange.ask(browser, redirect_uri=address)
        assert page.status_code == 400
        assert "Location" not in page.headers
        assert "evil" not in page.text
        assert page.mimetype == "text/html"


@pytest.mark.parametrize("client_id", ["nobody", "ehr", "x" * 500, "", "<script>"])
def test_t024_an_app_that_is_not_registered_leads_nowhere(client_id: str, exchange: AppExchange) -> None:
    """Unknown, disabled and no app at all look alike."""
    exchange.registry.save(
        replace(an_app(), id="ehr", kind="system", redirect_uris=(CALLBACK,)),  # type: ignore[arg-type]
        exchange.clock(),
    )
    page = exchange.ask(exchange.pats_browser(), client_id=client_id)
    other = exchange.ask(exchange.pats_browser(), client_id="nobody-else")
    assert page.status_code == 400
    assert "Location" not in page.headers
    assert "script" not in page.text
    assert _without_id(page.text) == _without_id(other.text)


def _without_id(page: str) -> str:
    head, _, tail = page.partition("<code>")
    return (head + tail.partition("</code>")[2]).replace(_token(page), "")


def _token(page: str) -> str:
    return page.partition('name="csrf_token" value="')[2].partition('"')[0] or "-"


@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
def test_t024_two_apps_or_addresses_at_once_are_refused(name: str, exchange: AppExchange) -> None:
    """Nobody picks the one that suits them."""
    pairs = [*exchange.parameters().items(), (name, exchange.parameters()[name])]
    page = exchange.pats_browser().get("/oauth/authorize", query_string=pairs)
    assert page.status_code == 400
    assert "Location" not in page.headers


WRONG: dict[str, tuple[dict[str, str | None], str]] = {
    "smart_app_launch_invalid_aud_group": ({"aud": "https://evil.example/fhir"}, "invalid_request"),
    "no aud": ({"aud": None}, "invalid_request"),
    "response_type token": ({"response_type": "token"}, "unsupported_response_type"),
    "no response_type": ({"response_type": None}, "unsupported_response_type"),
    "response_mode fragment": ({"response_mode": "fragment"}, "invalid_request"),
    "unknown scopes": ({"scope": "admin system/ImagingStudy.rs"}, "invalid_scope"),
    "no scope": ({"scope": None}, "invalid_scope"),
    "scopes not registered": ({"scope": "patient/Observation.rs openid"}, "invalid_scope"),
    "request object": ({"request": "a.b.c"}, "request_not_supported"),
    "request_uri": ({"request_uri": "https://evil.example/x"}, "request_uri_not_supported"),
    "prompt unknown": ({"prompt": "nonsense"}, "invalid_request"),
    "prompt none with another": ({"prompt": "none login"}, "invalid_request"),
    "max_age no number": ({"max_age": "-1"}, "invalid_request"),
    "EHR launch": ({"launch": "xyz"}, "invalid_request"),
    "prompt none": ({"prompt": "none"}, "consent_required"),
}


@pytest.mark.parametrize(("changes", "error"), WRONG.values(), ids=WRONG.keys())
def test_t025_what_is_wrong_is_told_at_the_registered_address_with_no_code(
    changes: dict[str, str | None], error: str, exchange: AppExchange
) -> None:
    """With the app's `state`, and who we are (RFC 9207)."""
    told = answered(exchange.ask(exchange.pats_browser(), **changes))
    assert told["error"] == error
    assert told["state"] == "s-1"
    assert told["iss"] == exchange.base
    assert "code" not in told


def test_t025_without_a_state_there_is_no_code(exchange: AppExchange) -> None:
    """An app that can't tell its answers from an attacker's gets none."""
    told = answered(exchange.ask(exchange.pats_browser(), state=None))
    assert told["error"] == "invalid_request"
    assert "state" not in told


def test_t025_nobody_signed_in_and_nobody_to_be_asked(exchange: AppExchange) -> None:
    """`prompt=none` without a session: `login_required`, no page."""
    assert answered(exchange.ask(exchange.browser(), prompt="none"))["error"] == "login_required"


def test_t025_a_parameter_twice_is_told_to_the_app(exchange: AppExchange) -> None:
    """And an ambiguous `state` is not sent back."""
    pairs = [*exchange.parameters().items(), ("state", "s-2")]
    told = answered(exchange.pats_browser().get("/oauth/authorize", query_string=pairs))
    assert told["error"] == "invalid_request"
    assert "state" not in told


@pytest.mark.parametrize(("asked", "age"), [({"prompt": "login"}, 0), ({"max_age": "300"}, 400), ({"max_age": "0"}, 5)])
def test_a_fresh_sign_in_is_asked_for_and_then_counts(asked: dict[str, str], age: int, exchange: AppExchange) -> None:
    """`prompt=login` and `max_age`: the person proves once more who they are, and is then asked, once."""
    browser = exchange.pats_browser()
    exchange.clock.advance(seconds=age)
    answer = exchange.ask(browser, **asked)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/signin/again?next=")
    back = browser.submit(answer.headers["Location"], password="seven green herons at noon")
    assert back.status_code == 303, back.text
    exchange.clock.advance(seconds=1)
    page = browser.get(back.headers["Location"])
    assert page.status_code == 200
    assert answered(exchange.decide(browser, page))["code"]


def test_smart_token_refresh_a_refresh_token_gives_new_tokens_once(exchange: AppExchange) -> None:
    """The new access token works, `no-store`; another refresh token takes the place of the one that was used."""
    first = exchange.tokens()
    answer = exchange.refresh(first["refresh_token"])
    assert answer.status_code == 200
    assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
    body = answer.get_json()
    assert body["refresh_token"] != first["refresh_token"]
    assert set(body["scope"].split()) == set(first["scope"].split())
    assert exchange.get(f"ImagingStudy?patient={PERSON}", body["access_token"]).status_code == 200


def test_t026_a_refresh_token_that_comes_twice_ends_the_family(exchange: AppExchange) -> None:
    """400, the tokens that took its place too, and an alert."""
    first = exchange.tokens()
    second = exchange.refresh(first["refresh_token"]).get_json()
    alerts = len(exchange.audit("alert"))
    again = exchange.refresh(first["refresh_token"])
    assert (again.status_code, again.get_json()["error"]) == (400, "invalid_grant")
    assert exchange.refresh(second["refresh_token"]).status_code == 400
    assert exchange.get(f"ImagingStudy?patient={PERSON}", second["access_token"]).status_code == 401
    assert exchange.get(f"ImagingStudy?patient={PERSON}", first["access_token"]).status_code == 401
    assert len(exchange.audit("alert")) == alerts + 1


def test_t026_a_refresh_token_is_its_own_clients(exchange: AppExchange) -> None:
    """Another client's try changes nothing for the app it belongs to."""
    exchange.registry.save(an_app(id="other"), exchange.clock())
    first = exchange.tokens()
    assert exchange.refresh(first["refresh_token"], client_id="other").get_json()["error"] == "invalid_grant"
    assert exchange.refresh(first["refresh_token"], client_id=None, **exchange.signs()).status_code == 400
    assert exchange.refresh(first["refresh_token"]).status_code == 200


def test_a_refresh_may_ask_for_less_and_never_for_more(exchange: AppExchange) -> None:
    """RFC 6749 §6; what was left out once can be asked for again, since it was granted."""
    first = exchange.tokens(scope="launch/patient patient/ImagingStudy.rs offline_access")
    wider = exchange.refresh(first["refresh_token"], scope="patient/ImagingStudy.rs patient/Patient.rs")
    assert (wider.status_code, wider.get_json()["error"]) == (400, "invalid_scope")
    less = exchange.refresh(first["refresh_token"], scope="patient/ImagingStudy.rs").get_json()
    assert less["scope"] == "patient/ImagingStudy.rs"
    again = exchange.refresh(less["refresh_token"]).get_json()
    assert "offline_access" in again["scope"]


def test_t035_a_refresh_is_narrowed_by_letters_studies_and_older_words(exchange: AppExchange) -> None:
    """It is covered by what was granted, so it is given as asked, and opens no more; the grant stays what it was."""
    held = exchange.tokens(scope="launch/patient patient/ImagingStudy.rs offline_access")
    ct = "modality=http://dicom.nema.org/resources/ontology/DCM|CT"
    for asked in ("patient/ImagingStudy.s", f"patient/ImagingStudy.rs?{ct}", "patient/ImagingStudy.read"):
        answer = exchange.refresh(held["refresh_token"], scope=asked)
        assert (answer.status_code, answer.get_json().get("scope")) == (200, asked)
        held = answer.get_json()
    searching = exchange.refresh(held["refresh_token"], scope="patient/ImagingStudy.s").get_json()
    assert exchange.get(f"ImagingStudy?patient={PERSON}", searching["access_token"]).status_code == 200
    assert exchange.get("ImagingStudy/some-id", searching["access_token"]).status_code == 403
    for asked in ("patient/ImagingStudy.cruds", "patient/*.rs", "user/ImagingStudy.s", "system/ImagingStudy.s"):
        refused = exchange.refresh(searching["refresh_token"], scope=asked)
        assert (refused.status_code, refused.get_json()["error"]) == (400, "invalid_scope")
    whole = exchange.refresh(searching["refresh_token"]).get_json()
    assert set(whole["scope"].split()) == {"launch/patient", "patient/ImagingStudy.rs", "offline_access"}


def test_a_connection_ends_after_its_time_whatever_is_refreshed(exchange: AppExchange) -> None:
    """90 days after the person allowed it; 30 days without use."""
    kept = exchange.tokens()["refresh_token"]
    idle = exchange.tokens()["refresh_token"]
    start = exchange.clock.now
    try:
        for _ in range(3):
            exchange.clock.advance(days=29)
            kept = exchange.refresh(kept).get_json()["refresh_token"]
        exchange.clock.advance(days=4)
        assert exchange.refresh(kept).status_code == 400
        assert exchange.refresh(idle).status_code == 400
    finally:
        exchange.clock.now = start


def test_an_app_that_may_not_stay_gets_no_refresh_token(exchange: AppExchange) -> None:
    """Neither `offline_access` nor `online_access`: none."""
    assert "refresh_token" not in exchange.tokens(scope="launch/patient patient/ImagingStudy.rs")


def test_a_registration_that_was_narrowed_narrows_what_is_refreshed(exchange: AppExchange) -> None:
    """And an app that was disabled gets nothing."""
    app = an_app(id="shrinks")
    exchange.registry.save(app, exchange.clock())
    code = exchange.authorized(client_id="shrinks")
    first = exchange.redeem(code, client_id="shrinks").get_json()
    exchange.registry.save(replace(app, scopes=("patient/ImagingStudy.rs", "offline_access")), exchange.clock())
    time.sleep(1.1)  # what a process knows of a client is at most a second old
    second = exchange.refresh(first["refresh_token"], client_id="shrinks").get_json()
    assert set(second["scope"].split()) == {"patient/ImagingStudy.rs", "offline_access"}
    exchange.registry.disable("shrinks", exchange.clock())
    time.sleep(1.1)
    gone = exchange.refresh(second["refresh_token"], client_id="shrinks")
    assert (gone.status_code, gone.get_json()["error"]) == (400, "invalid_client")
    assert exchange.get(f"ImagingStudy?patient={PERSON}", second["access_token"]).status_code == 401


def test_t008_an_account_that_is_disabled_takes_its_apps_with_it(exchange: AppExchange) -> None:
    """Access token, refresh token and code."""
    account = exchange.add("gone", Role.PATIENT, patient=PERSON)
    browser = exchange.signed_in("gone")
    first = exchange.redeem(exchange.authorized(browser)).get_json()
    code = exchange.authorized(browser)
    assert exchange.get(f"ImagingStudy?patient={PERSON}", first["access_token"]).status_code == 200
    exchange.people.accounts.disable(account.id, exchange.noted, exchange.clock())
    time.sleep(1.1)  # what a process knows of a person is at most a second old
    assert exchange.get(f"ImagingStudy?patient={PERSON}", first["access_token"]).status_code == 401
    assert exchange.refresh(first["refresh_token"]).status_code == 400
    assert exchange.redeem(code).status_code == 400


def test_a_person_who_is_no_longer_bound_to_a_patient_opens_nothing_of_theirs(exchange: AppExchange) -> None:
    """The binding was a mistake, and is taken back: the app's token ends with it."""
    account = exchange.add("unbound", Role.PATIENT, patient=PERSON)
    first = exchange.redeem(exchange.authorized(exchange.signed_in("unbound"))).get_json()
    exchange.people.accounts.change(account.id, {"patient": None}, exchange.noted, exchange.clock())
    time.sleep(1.1)  # what a process knows of a person is at most a second old
    assert exchange.get(f"ImagingStudy?patient={PERSON}", first["access_token"]).status_code == 401
    assert exchange.refresh(first["refresh_token"]).status_code == 400


def test_a_system_gets_no_persons_token_and_an_app_no_systems(exchange: AppExchange) -> None:
    """`unauthorized_client`: a grant that is not for its kind."""
    signed = exchange.signs()
    asks_for_itself = exchange.token(grant_type="client_credentials", **signed)
    assert (asks_for_itself.status_code, asks_for_itself.get_json()["error"]) == (400, "unauthorized_client")
    public = exchange.token(grant_type="client_credentials", client_id="viewer")
    assert (public.status_code, public.get_json()["error"]) == (400, "invalid_client")


def test_t155_nothing_that_opens_something_is_stored_in_clear(exchange: AppExchange) -> None:
    """Codes and refresh tokens are keyed hashes; whom a grant is about is sealed."""
    code = exchange.authorized()
    issued = exchange.redeem(code).get_json()
    with reading(exchange.engine) as connection:
        rows = [
            value
            for table in (app_grant, authorization_code, refresh_token)
            for row in connection.exec_driver_sql(f"SELECT * FROM {table.name}").all()  # noqa: S608  # a table of ours
            for value in row
        ]
    stored = b"".join(value if isinstance(value, bytes) else str(value).encode() for value in rows)
    for secret in (code, issued["refresh_token"], issued["access_token"], PERSON, exchange.pat.id, CALLBACK):
        assert secret.encode() not in stored


def test_no_secret_of_a_launch_is_in_the_audit(exchange: AppExchange) -> None:
    """T85 for the launch: codes, verifiers, tokens, states."""
    verifier = exchange.verifier = Verifier()
    code = exchange.authorized(state="state-of-the-app")
    issued = exchange.redeem(code).get_json()
    text = "".join(str(record) for record in exchange.house.rooms.audit.read())  # type: ignore[attr-defined]
    secrets = (code, verifier.value, issued["access_token"], issued["refresh_token"], issued["id_token"])
    assert [one for one in (*secrets, "state-of-the-app") if one in text] == []


def test_where_the_audit_is_down_nobody_is_let_in(exchange: AppExchange) -> None:
    """No grant, no code, no token: a page, and 503."""
    browser = exchange.pats_browser()
    page = exchange.ask(browser)
    with reading(exchange.engine) as connection:
        before = len(connection.exec_driver_sql("SELECT id FROM app_grant").all())
    with exchange.audit_down():
        refused = exchange.decide(browser, page)
        assert refused.status_code == 503
        assert "Location" not in refused.headers
    with reading(exchange.engine) as connection:
        assert len(connection.exec_driver_sql("SELECT id FROM app_grant").all()) == before
    code = exchange.authorized(browser)
    with exchange.audit_down():
        assert exchange.redeem(code).status_code == 503
    assert exchange.redeem(code).status_code == 200, "a code that gave nothing is not used up"


def test_the_answer_names_us_and_goes_nowhere_but_to_the_app(exchange: AppExchange) -> None:
    """RFC 9207 `iss`; no referrer takes the code elsewhere."""
    browser = exchange.pats_browser()
    answer = exchange.decide(browser, exchange.ask(browser))
    assert parse_qs(urlsplit(answer.headers["Location"]).query)["iss"] == [exchange.base]
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "query",
    [
        "client_id=%ff%fe&redirect_uri=x",
        "client_id=viewer&" + "&".join(f"p{n}=1" for n in range(500)),
        "client_id=" + "x" * 20_000,
        "client_id=viewer%00&redirect_uri=%0d%0aX:y",
        "&&&===&%",
        "",
    ],
    ids=["no UTF-8", "500 parameters", "20 KB", "control characters", "noise", "nothing"],
)
def test_what_cant_be_read_is_a_page_with_400(query: str, exchange: AppExchange) -> None:
    """By GET and by POST; never an error of ours, never a redirect to somewhere else."""
    page = exchange.browser().get(f"/oauth/authorize?{query}")
    assert page.status_code == 400
    assert "Location" not in page.headers
    form = {"content_type": "application/x-www-form-urlencoded"}
    posted = exchange.browser().client.post("/oauth/authorize", data=query.encode(), **form)
    assert posted.status_code in (303, 400, 413)
    assert posted.headers.get("Location", "/oauth/authorize").startswith("/oauth/authorize")
