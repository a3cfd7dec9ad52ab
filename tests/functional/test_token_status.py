"""Introspection (RFC 7662, T28) and revocation (RFC 7009, T27), and where each kind of token is worth nothing (T8)."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.auth.delegation_store import Granted
from gateway.auth.people import Role
from gateway.auth.people_audit import people_record, who_is
from gateway.model import PatientID
from tests.factories_auth import a_client, a_client_key, a_jwks, an_access_token, an_assertion
from tests.functional.app_exchange import CALLBACK, PERSON, AppExchange, an_app, answered, radios, serving_apps


@pytest.fixture(scope="module")
def exchange(
    tmp_path_factory: pytest.TempPathFactory, migrated_sqlite_file: Path, keys_file: Path
) -> Iterator[AppExchange]:
    """One for all tests here, each with grants of its own."""
    with serving_apps(tmp_path_factory.mktemp("apps"), migrated_sqlite_file, keys_file) as running:
        running.registry.save(a_client(jwks=a_jwks(a_client_key())), running.clock())
        yield running


def of_portal(exchange: AppExchange, **changes: str | None) -> dict[str, Any]:
    """What the confidential app is handed for `pat`."""
    code = exchange.authorized(client_id="portal", **changes)
    issued = exchange.redeem(code, client_id=None, **exchange.signs())
    assert issued.status_code == 200, issued.text
    return dict(issued.get_json())


def of_system(exchange: AppExchange) -> str:
    """A system's access token."""
    answer = exchange.token(grant_type="client_credentials", scope="system/ImagingStudy.rs", **exchange.signs("ehr"))
    assert answer.status_code == 200, answer.text
    return str(answer.get_json()["access_token"])


def opens(exchange: AppExchange, token: str, path: str = f"ImagingStudy?patient={PERSON}") -> int:
    """The status that the token opens a search with."""
    return exchange.get(path, token).status_code


def test_smart_introspection_of_ones_own_token_says_what_it_is_good_for(exchange: AppExchange) -> None:
    """SMART's required members, the launch context, the person, the purpose; not to be stored."""
    token = of_portal(exchange)["access_token"]
    answer = exchange.post("/oauth/introspect", token=token, **exchange.signs())
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    told = answer.get_json()
    assert told["active"] is True
    assert told["client_id"] == "portal"
    assert told["patient"] == PERSON
    assert told["sub"] == f"Patient/{PERSON}"
    assert told["fhirUser"] == f"{exchange.base}/fhir/r4/Patient/{PERSON}"
    assert told["iss"] == exchange.base
    assert isinstance(told["exp"], int)
    assert "patient/ImagingStudy.rs" in told["scope"].split()
    assert told["extensions"]["ihe_iua"]["purpose_of_use"][0]["code"] == "PATRQT"


def test_t028_a_system_introspects_its_own_token(exchange: AppExchange) -> None:
    """Without a person, there is no `fhirUser`."""
    told = exchange.post("/oauth/introspect", token=of_system(exchange), **exchange.signs("ehr")).get_json()
    assert told["active"] is True
    assert "fhirUser" not in told


def test_t028_what_is_not_ones_own_or_holds_no_longer_is_inactive_and_nothing_more(exchange: AppExchange) -> None:
    """Another client's, garbage, an ID token, a refresh token, an expired one: the same bytes."""
    mine = of_portal(exchange)
    kinds = [
        exchange.tokens()["access_token"],
        "garbage",
        "a.b.c",
        mine["id_token"],
        mine["refresh_token"],
        exchange.signs()["client_assertion"],
        "x" * 20_000,
    ]
    for token in kinds:
        answer = exchange.post("/oauth/introspect", token=token, **exchange.signs())
        assert (answer.status_code, answer.data) == (200, b'{"active":false}')
    exchange.clock.advance(minutes=6)
    answer = exchange.post("/oauth/introspect", token=mine["access_token"], **exchange.signs())
    assert answer.data == b'{"active":false}'


def test_t028_a_look_at_another_clients_token_is_recorded(exchange: AppExchange) -> None:
    """Who asked, and the token's `jti`; never the token."""
    foreign = exchange.tokens()["access_token"]
    exchange.post("/oauth/introspect", token=foreign, **exchange.signs())
    (*_, last) = exchange.audit("token-introspected")
    assert (last.outcome, last.who.client_id) == ("refused", "portal")
    assert foreign not in str(last)


def test_t028_nobody_introspects_without_proof(exchange: AppExchange) -> None:
    """401 for nobody, a public app's name, an unknown client, a wrong key, no facility; 405 for GET."""
    token = of_system(exchange)
    wrong = {**exchange.signs(), "client_assertion": an_assertion(iss="portal", sub="portal", aud="elsewhere")}
    for proof in ({}, {"client_id": "viewer"}, exchange.signs("nobody"), wrong):
        answer = exchange.post("/oauth/introspect", token=token, **proof)
        assert (answer.status_code, answer.get_json()) == (401, {"error": "invalid_client"})
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    basic = {"Authorization": "Basic bm9ydGg6bm90aGluZw=="}
    assert exchange.client.post("/oauth/introspect", data={"token": token}, headers=basic).status_code == 401
    assert exchange.client.get("/oauth/introspect", query_string={"token": token}).status_code == 405


def test_g10_token_revocation_a_refresh_token_that_is_revoked_ends_all_that_came_of_it(exchange: AppExchange) -> None:
    """T27: 200; refresh 400 and access 401, at once."""
    issued = of_portal(exchange)
    assert opens(exchange, issued["access_token"]) == 200
    revoked = exchange.post("/oauth/revoke", token=issued["refresh_token"], **exchange.signs())
    assert (revoked.status_code, revoked.get_json()) == (200, {})
    assert opens(exchange, issued["access_token"]) == 401
    refused = exchange.refresh(issued["refresh_token"], client_id=None, **exchange.signs())
    assert (refused.status_code, refused.get_json()["error"]) == (400, "invalid_grant")
    assert exchange.audit("token-revoked")[-1].who.client_id == "portal"


def test_t027_an_access_token_that_is_revoked_opens_nothing_and_its_grant_stands(exchange: AppExchange) -> None:
    """The app may still refresh."""
    issued = of_portal(exchange)
    hint = exchange.post(
        "/oauth/revoke", token=issued["access_token"], token_type_hint="access_token", **exchange.signs()
    )
    assert hint.status_code == 200
    assert opens(exchange, issued["access_token"]) == 401
    again = exchange.refresh(issued["refresh_token"], client_id=None, **exchange.signs())
    assert opens(exchange, again.get_json()["access_token"]) == 200


def test_t027_a_system_ends_its_token(exchange: AppExchange) -> None:
    """Before it expires, also where a new one is had at once."""
    token, other = of_system(exchange), of_system(exchange)
    assert exchange.post("/oauth/revoke", token=token, **exchange.signs("ehr")).status_code == 200
    assert opens(exchange, token) == 401
    assert opens(exchange, other) == 200


def test_t027_a_public_app_ends_its_own(exchange: AppExchange) -> None:
    """By its name and the token: it can prove no more (RFC 7009 §2.1)."""
    issued = exchange.tokens()
    assert exchange.post("/oauth/revoke", token=issued["refresh_token"], client_id="viewer").status_code == 200
    assert opens(exchange, issued["access_token"]) == 401


def test_t027_what_is_unknown_is_done_with(exchange: AppExchange) -> None:
    """200 (RFC 7009 §2.2), for garbage and for what was revoked or has expired."""
    issued = of_portal(exchange)
    for token in ("garbage", "a.b.c", issued["id_token"], issued["access_token"], issued["access_token"]):
        assert exchange.post("/oauth/revoke", token=token, **exchange.signs()).status_code == 200


def test_t027_another_clients_token_stays(exchange: AppExchange) -> None:
    """400, and nothing is revoked: neither its access nor its refresh token."""
    theirs = exchange.tokens()
    for token in (theirs["access_token"], theirs["refresh_token"]):
        refused = exchange.post("/oauth/revoke", token=token, **exchange.signs())
        assert (refused.status_code, refused.get_json()["error"]) == (400, "unauthorized_client")
    assert opens(exchange, theirs["access_token"]) == 200
    assert exchange.refresh(theirs["refresh_token"]).status_code == 200


def test_t027_nobody_revokes_without_proof(exchange: AppExchange) -> None:
    """401, nothing revoked."""
    issued = of_portal(exchange)
    for proof in ({}, {"client_id": "portal"}, exchange.signs("nobody")):
        assert exchange.post("/oauth/revoke", token=issued["refresh_token"], **proof).status_code == 401
    assert opens(exchange, issued["access_token"]) == 200


@pytest.mark.parametrize("path", ["/oauth/introspect", "/oauth/revoke"])
def test_bad_input_at_the_status_endpoints_is_refused_like_at_the_token_endpoint(
    path: str, exchange: AppExchange
) -> None:
    """No token, a token twice, parameters in the URL, another content type, too much: 400 or 413, nothing echoed."""
    assert exchange.post(path, **exchange.signs()).status_code == 400
    assert exchange.client.post(path, data={"token": ["a", "b"], **exchange.signs()}).status_code == 400
    assert exchange.client.post(f"{path}?token=abc", data=exchange.signs()).status_code == 400
    assert exchange.client.post(path, json={"token": "x"}).status_code == 400
    assert exchange.client.post(path, data={"token": "x" * 100_000}).status_code == 413


Make = Callable[[AppExchange], str]
KINDS: dict[str, Make] = {
    "id token": lambda exchange: of_portal(exchange)["id_token"],
    "refresh token": lambda exchange: of_portal(exchange)["refresh_token"],
    "code": lambda exchange: exchange.authorized(client_id="portal"),
    "assertion": lambda exchange: exchange.signs()["client_assertion"],
    "access token": lambda exchange: of_portal(exchange)["access_token"],
    "system's access token": of_system,
    "facility's token": lambda exchange: an_access_token(
        exchange.house.keys, exchange.base, aud="https://pacs.example/dicom-web"
    ),
    "nothing": lambda _: "x",
}
PLACES: dict[str, Callable[[AppExchange, str], int]] = {
    "FHIR": lambda exchange, token: opens(exchange, token),
    "directory": lambda exchange, token: opens(exchange, token, "Organization"),
    "as code": lambda exchange, token: exchange.redeem(token, client_id=None, **exchange.signs()).status_code,
    "as refresh token": lambda exchange, token: exchange.refresh(token, client_id=None, **exchange.signs()).status_code,
    "as assertion": lambda exchange, token: (
        exchange.token(
            grant_type="client_credentials",
            client_assertion=token,
            client_assertion_type="urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ).status_code
    ),
    "as session": lambda exchange, token: _with_cookie(exchange, token),
    "as facility's key": lambda exchange, token: (
        exchange.client.get("/retrieval/authorize", headers={"X-Facility-Key": token}).status_code
    ),
    "as bearer of the token endpoint": lambda exchange, token: (
        exchange.client.post(
            "/oauth/token", data={"grant_type": "client_credentials"}, headers={"Authorization": f"Bearer {token}"}
        ).status_code
    ),
    "as bearer of introspection": lambda exchange, token: (
        exchange.client.post(
            "/oauth/introspect", data={"token": token}, headers={"Authorization": f"Bearer {token}"}
        ).status_code
    ),
}
BELONGS = {
    ("access token", "FHIR"),
    ("access token", "directory"),
    ("system's access token", "FHIR"),
    ("system's access token", "directory"),
    ("refresh token", "as refresh token"),
    ("code", "as code"),
}


def _with_cookie(exchange: AppExchange, value: str) -> int:
    browser = exchange.browser()
    browser.put_cookie(value)
    return browser.get("/signin/security").status_code


@pytest.mark.parametrize("kind", KINDS)
def test_t008_each_kind_of_token_is_worth_nothing_where_it_does_not_belong(kind: str, exchange: AppExchange) -> None:
    """The matrix: one credential at every place that takes one; last where it belongs, since all else left it whole."""
    token = KINDS[kind](exchange)
    told = {place: use(exchange, token) for place, use in PLACES.items() if (kind, place) not in BELONGS}
    refusals = {"as session": {303, 401}, "as facility's key": {401, 403}}
    assert {place: status for place, status in told.items() if status not in refusals.get(place, {400, 401})} == {}
    belongs = {place: use(exchange, token) for place, use in PLACES.items() if (kind, place) in BELONGS}
    assert set(belongs.values()) <= {200}


@pytest.fixture(scope="module")
def children(exchange: AppExchange) -> list[PatientID]:
    """Two children in the index."""
    return [exchange.add_person("anna"), exchange.add_person("bert")]


def _delegate(exchange: AppExchange, login: str, patients: list[PatientID]) -> tuple[Any, list[Granted]]:
    account = exchange.add(login, Role.DELEGATE)
    granted = [
        exchange.people.delegations.grant(
            Granted(
                id="",
                account_id=account.id,
                patient=patient,
                basis="guardian",
                purpose="FAMRQT",
                proof="court order 7",
                granted_by="tests",
                granted_at=exchange.clock(),
                until=exchange.clock() + timedelta(days=30),
                revoked_at=None,
            ),
            people_record("operator", who_is(account), exchange.clock(), "arranged"),
        )
        for patient in patients
    ]
    return account, granted


def test_a_delegate_says_for_whom_and_the_token_is_about_them_alone(
    exchange: AppExchange, children: list[PatientID]
) -> None:
    """The page names those they act for; `sub` is the delegate, `patient` the child, the purpose FAMRQT."""
    account, granted = _delegate(exchange, "parent", children)
    browser = exchange.signed_in("parent")
    page = exchange.ask(browser, client_id="portal")
    assert len(radios(page)) == 2
    assert "Anna Example" in page.text
    code = answered(exchange.decide(browser, page, **{"as": f"for-{granted[1].id}"}))["code"]
    issued = exchange.redeem(code, client_id=None, **exchange.signs()).get_json()
    assert issued["patient"] == children[1]
    told = exchange.post("/oauth/introspect", token=issued["access_token"], **exchange.signs()).get_json()
    assert told["sub"] == account.id
    assert told["fhirUser"] == f"{exchange.base}/fhir/r4/RelatedPerson/{account.id}"
    assert told["extensions"]["ihe_iua"]["purpose_of_use"][0]["code"] == "FAMRQT"
    assert told["extensions"]["app"]["delegation"] == granted[1].id
    assert opens(exchange, issued["access_token"], f"ImagingStudy?patient={children[1]}") == 200
    assert opens(exchange, issued["access_token"], f"ImagingStudy?patient={children[0]}") == 403


def test_a_delegation_that_is_revoked_takes_its_tokens_with_it(
    exchange: AppExchange, children: list[PatientID]
) -> None:
    """No refresh from that moment; 403 within a second, introspection inactive."""
    account, granted = _delegate(exchange, "aunt", children[:1])
    browser = exchange.signed_in("aunt")
    code = exchange.authorized(browser, client_id="portal")
    issued = exchange.redeem(code, client_id=None, **exchange.signs()).get_json()
    search = f"ImagingStudy?patient={children[0]}"
    assert opens(exchange, issued["access_token"], search) == 200
    record = people_record("operator", who_is(account), exchange.clock(), "arranged")
    exchange.people.delegations.revoke(granted[0].id, record, exchange.clock())
    assert exchange.refresh(issued["refresh_token"], client_id=None, **exchange.signs()).status_code == 400
    time.sleep(1.1)  # what a process knows of a delegation is at most a second old
    assert opens(exchange, issued["access_token"], search) == 403
    told = exchange.post("/oauth/introspect", token=issued["access_token"], **exchange.signs())
    assert told.data == b'{"active":false}'
    assert "can’t be used with this account" in exchange.ask(browser, client_id="portal").text


def test_nobody_chooses_a_person_whom_they_do_not_act_for(exchange: AppExchange, children: list[PatientID]) -> None:
    """A choice that was not offered is refused, and nothing is granted."""
    _, theirs = _delegate(exchange, "uncle", children[:1])
    _, _ = _delegate(exchange, "stranger", children[1:])
    browser = exchange.signed_in("stranger")
    page = exchange.ask(browser)
    for key in (f"for-{theirs[0].id}", "self", "work", ""):
        refused = exchange.decide(browser, page, **{"as": key})
        assert refused.status_code == 403
        assert "Location" not in refused.headers


def test_an_app_whose_address_was_taken_back_is_not_answered(exchange: AppExchange) -> None:
    """Between the question and the answer the registration changed: a page, no redirect."""
    exchange.registry.save(an_app(id="moving"), exchange.clock())
    browser = exchange.pats_browser()
    page = exchange.ask(browser, client_id="moving")
    exchange.registry.save(an_app(id="moving", redirect_uris=(CALLBACK + "2",)), exchange.clock())
    time.sleep(1.1)  # what a process knows of a client is at most a second old
    refused = exchange.decide(browser, page)
    assert refused.status_code == 400
    assert "Location" not in refused.headers
