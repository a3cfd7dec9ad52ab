"""A standalone launch, as an app and a patient go through it: asked, allowed, redeemed, used, refreshed, ended."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from gateway.auth.people import Role
from tests.functional.app_exchange import CALLBACK, PERSON, AppExchange, an_app, answered, serving_apps


@pytest.fixture(scope="module")
def exchange(
    tmp_path_factory: pytest.TempPathFactory, migrated_sqlite_file: Path, keys_file: Path
) -> Iterator[AppExchange]:
    """One for all tests here, each with grants of its own."""
    with serving_apps(tmp_path_factory.mktemp("apps"), migrated_sqlite_file, keys_file) as running:
        yield running


def test_an_app_is_let_in_and_gets_what_the_patient_allowed(exchange: AppExchange) -> None:
    """Code, tokens, launch context; the access token opens the patient's imaging, as the patient's own."""
    browser = exchange.pats_browser()
    page = exchange.ask(browser)
    assert page.status_code == 200
    assert "My Viewer" in page.text
    assert "See imaging studies" in page.text
    told = answered(exchange.decide(browser, page))
    assert (told["state"], told["iss"]) == ("s-1", exchange.base)
    issued = exchange.redeem(told["code"])
    assert issued.status_code == 200
    assert (issued.headers["Cache-Control"], issued.headers["Pragma"]) == ("no-store", "no-cache")
    body = issued.get_json()
    assert body["token_type"] == "Bearer"
    assert body["patient"] == PERSON
    assert body["need_patient_banner"] is True
    assert body["expires_in"] == 300
    assert set(body["scope"].split()) == {
        "launch/patient",
        "patient/ImagingStudy.rs",
        "patient/Patient.rs",
        "openid",
        "fhirUser",
        "offline_access",
    }
    assert exchange.get(f"ImagingStudy?patient={PERSON}", body["access_token"]).status_code == 200
    assert exchange.get("ImagingStudy?patient=another", body["access_token"]).status_code == 403


def test_the_id_token_says_who_signed_in_and_is_the_apps_own(exchange: AppExchange) -> None:
    """RS256 with a published key; `aud` the app, the request's nonce, `fhirUser`, how and when they signed in."""
    body = exchange.tokens(nonce="n-77")
    published = KeySet.import_key_set(exchange.client.get("/.well-known/jwks.json").get_json())
    token = jwt.decode(body["id_token"], published, algorithms=["RS256"])
    assert token.header["typ"] == "JWT"
    claims = token.claims
    assert (claims["iss"], claims["aud"], claims["nonce"]) == (exchange.base, "viewer", "n-77")
    assert claims["sub"] == f"Patient/{PERSON}"
    assert claims["fhirUser"] == f"{exchange.base}/fhir/r4/Patient/{PERSON}"
    assert claims["auth_time"] == int(exchange.clock().timestamp())
    assert claims["amr"] == ["pwd"]


def test_the_access_token_is_the_patients_own_for_their_own_request(exchange: AppExchange) -> None:
    """`sub` is the patient, the purpose PATRQT: their own access is a right."""
    body = exchange.tokens()
    published = KeySet.import_key_set(exchange.client.get("/.well-known/jwks.json").get_json())
    claims = jwt.decode(body["access_token"], published, algorithms=["RS256"]).claims
    assert claims["sub"] == f"Patient/{PERSON}"
    assert claims["patient"] == PERSON
    assert claims["client_id"] == "viewer"
    assert [coding["code"] for coding in claims["extensions"]["ihe_iua"]["purpose_of_use"]] == ["PATRQT"]


def test_what_is_not_ticked_is_not_granted(exchange: AppExchange) -> None:
    """The person decides row by row; the app is told what it got."""
    issued = exchange.redeem(exchange.authorized(without="Stay connected")).get_json()
    assert "offline_access" not in issued["scope"]
    assert "refresh_token" not in issued


def test_a_person_who_says_no_grants_nothing(exchange: AppExchange) -> None:
    """The app is told `access_denied`, with its state."""
    browser = exchange.pats_browser()
    told = answered(exchange.decide(browser, exchange.ask(browser), "deny"))
    assert told == {"error": "access_denied", "state": "s-1", "iss": exchange.base}


def test_nothing_ticked_is_a_no(exchange: AppExchange) -> None:
    """An app that may see nothing is not let in."""
    browser = exchange.pats_browser()
    page = exchange.ask(browser)
    assert answered(exchange.decide(browser, page, allow=[]))["error"] == "access_denied"


def test_a_stranger_is_sent_to_the_sign_in_and_comes_back_to_the_question(exchange: AppExchange) -> None:
    """With all that the app asked, and only on this site."""
    browser = exchange.browser()
    answer = exchange.ask(browser)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/signin?next=%2Foauth%2Fauthorize%3F")
    back = browser.submit(answer.headers["Location"], login="pat", password="seven green herons at noon")
    assert back.status_code == 303
    page = browser.get(back.headers["Location"])
    assert page.status_code == 200
    assert answered(exchange.decide(browser, page))["code"]


def test_an_app_may_ask_by_post(exchange: AppExchange) -> None:
    """SMART's `authorize-post`: the browser is asked again by GET, with its own cookies."""
    browser = exchange.pats_browser()
    answer = browser.client.post("/oauth/authorize", data=exchange.parameters())
    assert answer.status_code == 303
    assert browser.get(answer.headers["Location"]).status_code == 200


def test_what_an_app_posts_beside_its_request_reaches_no_address(exchange: AppExchange) -> None:
    """Addresses stand in the logs of proxies: of a form, and of the address it came to, only what is read goes on."""
    beside = {"token": "CANARY", "code": "CANARY", "access_token": "CANARY", "password": "CANARY", "Scope": "CANARY"}
    for browser in (exchange.pats_browser(), exchange.browser()):
        form = {**exchange.parameters(), **beside}
        answer = browser.client.post("/oauth/authorize?refresh_token=CANARY", data=form)
        assert answer.status_code == 303
        assert dict(parse_qsl(urlsplit(answer.headers["Location"]).query)) == exchange.parameters()
        onward = browser.get(answer.headers["Location"])
        assert "CANARY" not in f"{answer.headers}{answer.text}{onward.headers}{onward.text}"


def test_an_account_that_may_not_do_it_is_told_so_and_the_app_gets_nothing(exchange: AppExchange) -> None:
    """An auditor opens no studies, whatever the app asks for; going back is `access_denied`."""
    exchange.add("audi", Role.AUDITOR, totp=True)
    browser = exchange.browser()
    browser.sign_in_with_code("audi")
    page = exchange.ask(browser)
    assert page.status_code == 200
    assert "can’t be used with this account" in page.text
    assert answered(exchange.decide(browser, page, "deny"))["error"] == "access_denied"


def test_a_clinician_uses_an_app_for_those_they_treat(exchange: AppExchange) -> None:
    """`user/` scopes alone count, the purpose is the app's, no patient is bound; patients never get `user/`."""
    exchange.add("doc", Role.CLINICIAN, subject_id="urn:oid:2.16.840.1.113883.4.6#1", subject_role="physician")
    asked = {"client_id": "portal", "scope": "user/ImagingStudy.rs patient/ImagingStudy.rs launch/patient openid"}
    code = exchange.authorized(exchange.signed_in("doc"), **asked)
    issued = exchange.redeem(code, client_id=None, **exchange.signs()).get_json()
    assert set(issued["scope"].split()) == {"user/ImagingStudy.rs", "openid"}
    assert "patient" not in issued
    code = exchange.authorized(exchange.pats_browser(), **asked)
    issued = exchange.redeem(code, client_id=None, **exchange.signs()).get_json()
    assert "user/ImagingStudy.rs" not in issued["scope"].split()
    assert issued["patient"] == PERSON


def test_the_page_runs_nothing_and_leads_nowhere_else(exchange: AppExchange) -> None:
    """No script, no frame; its form may lead to the app's registered origin alone."""
    page = exchange.ask(exchange.pats_browser())
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self' https://app.example;" in policy
    assert "<script" not in page.text


def test_an_app_on_this_machine_is_reached_by_ipv6_too(exchange: AppExchange) -> None:
    """A page's policy has no words for such an address: its form may then lead to any of that scheme."""
    address = "http://[::1]:9000/callback"
    exchange.registry.save(an_app(id="six", redirect_uris=(address,)), exchange.clock())
    page = exchange.ask(exchange.pats_browser(), client_id="six", redirect_uri=address)
    assert "form-action 'self' http:;" in page.headers["Content-Security-Policy"]


def test_what_an_app_calls_itself_is_shown_as_text(exchange: AppExchange) -> None:
    """T120 for this page: a name can't be markup."""
    exchange.registry.save(an_app(id="loud", name='<img src=x onerror="alert(1)">'), exchange.clock())
    page = exchange.ask(exchange.pats_browser(), client_id="loud")
    assert "<img" not in page.text
    assert "&lt;img" in page.text


def test_only_the_session_that_was_asked_answers(exchange: AppExchange) -> None:
    """A form is sealed for the session it was shown to, and has our form token; an old one is refused."""
    mine, theirs = exchange.signed_in(), exchange.signed_in()
    page = exchange.ask(mine)
    assert exchange.decide(theirs, page).status_code == 403  # the form token is of another browser
    assert exchange.decide(theirs, page, csrf_token=theirs.token("/signin/security")).status_code == 409
    without = exchange.decide(mine, page, csrf_token="")
    assert without.status_code == 403
    assert "Location" not in without.headers


def test_each_decision_is_in_the_audit(exchange: AppExchange) -> None:
    """Who let which app do what, and who did not."""
    browser = exchange.pats_browser()
    before = len(exchange.audit("app-authorized", "app-refused"))
    exchange.decide(browser, exchange.ask(browser), "deny")
    exchange.authorized(browser)
    refused, authorized = exchange.audit("app-authorized", "app-refused")[before:]
    assert (refused.kind, refused.reason) == ("app-refused", "the person said no")
    assert authorized.kind == "app-authorized"
    assert (authorized.who.client_id, authorized.who.subject_id, authorized.patient) == ("viewer", "pat", PERSON)
    assert dict(authorized.details)["capacity"] == "patient"


def test_the_redirect_keeps_what_the_address_had(exchange: AppExchange) -> None:
    """A registered address with a query gets ours beside it."""
    address = CALLBACK + "?tenant=7"
    exchange.registry.save(an_app(id="tenant", redirect_uris=(address,)), exchange.clock())
    browser = exchange.pats_browser()
    page = exchange.ask(browser, client_id="tenant", redirect_uri=address)
    told = answered(exchange.decide(browser, page))
    assert told["tenant"] == "7"
    assert told["code"]


def test_a_person_sees_the_apps_they_let_in_and_ends_one(exchange: AppExchange) -> None:
    """Its tokens are dead from then on, and the page shows the others."""
    issued = exchange.tokens()
    browser = exchange.pats_browser()
    page = browser.get("/oauth/apps")
    assert page.status_code == 200
    assert "My Viewer" in page.text
    (grant,) = [one.id for one in exchange.granted() if one.id in page.text][-1:]
    assert exchange.get(f"ImagingStudy?patient={PERSON}", issued["access_token"]).status_code == 200
    ended = browser.submit("/oauth/apps", "/oauth/apps/end", grant=grant)
    assert (ended.status_code, ended.headers["Location"]) == (303, "/oauth/apps?ended=1")
    assert exchange.get(f"ImagingStudy?patient={PERSON}", issued["access_token"]).status_code == 401
    assert exchange.refresh(issued["refresh_token"]).status_code == 400
    assert grant not in browser.get("/oauth/apps").text
    (*_, told) = exchange.audit("token-revoked")
    assert (told.reason, told.who.subject) == ("the person ended it", exchange.pat.id)


def test_nobody_ends_what_another_granted(exchange: AppExchange) -> None:
    """404, as for one that was never; without a form of ours 403; without a session the sign-in."""
    issued = exchange.tokens()
    grant = exchange.granted()[-1].id
    exchange.add("eve", Role.PATIENT)
    eve = exchange.signed_in("eve")
    assert grant not in eve.get("/oauth/apps").text
    theirs = eve.submit("/oauth/apps", "/oauth/apps/end", grant=grant, csrf_token=eve.token("/signin/security"))
    assert theirs.status_code == 404
    assert exchange.pats_browser().client.post("/oauth/apps/end", data={"grant": grant}).status_code == 403
    assert exchange.browser().get("/oauth/apps").status_code == 303
    assert exchange.get(f"ImagingStudy?patient={PERSON}", issued["access_token"]).status_code == 200


def test_an_app_that_stays_while_one_is_signed_in_goes_with_the_last_sign_out(exchange: AppExchange) -> None:
    """`online_access`: another session of the same person keeps it; `offline_access` needs none."""
    exchange.add("onny", Role.PATIENT, patient=PERSON)
    here, there = exchange.signed_in("onny"), exchange.signed_in("onny")
    scope = "launch/patient patient/ImagingStudy.rs online_access"
    code = exchange.authorized(here, client_id="portal", scope=scope)
    issued = exchange.redeem(code, client_id=None, **exchange.signs()).get_json()
    assert here.submit("/signin/security", "/signout").status_code == 303
    again = exchange.refresh(issued["refresh_token"], client_id=None, **exchange.signs())
    assert again.status_code == 200
    assert there.submit("/signin/security", "/signout").status_code == 303
    gone = exchange.refresh(again.get_json()["refresh_token"], client_id=None, **exchange.signs())
    assert (gone.status_code, gone.get_json()["error"]) == (400, "invalid_grant")
