"""`POST /oauth/token` and the documents that lead to it, through HTTP."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from gateway.auth.client_store import DatabaseClientStore
from gateway.auth.tables import used_assertion
from gateway.db.crypto import KeyRing
from gateway.db.session import open_database
from tests.facilities.key_server import KeyServer
from tests.factories_auth import (
    BASE_URL,
    TOKEN_URL,
    FakeAuditLog,
    a_client,
    a_client_key,
    a_jwks,
    a_token_form,
    an_assertion,
)
from tests.functional.auth_app import auth_app

FORM = "application/x-www-form-urlencoded"
Ask = Callable[..., TestResponse]


@pytest.fixture
def audit() -> FakeAuditLog:
    """What was recorded."""
    return FakeAuditLog()


@pytest.fixture
def app(sqlite_engine: Engine, keys: KeyRing, audit: FakeAuditLog) -> Flask:
    """The application, with the EHR registered."""
    jwks = a_jwks(a_client_key(), a_client_key("RS384", "key-2"))
    DatabaseClientStore(sqlite_engine).save(a_client(jwks=jwks), datetime.now(UTC))
    return auth_app(sqlite_engine, keys, audit)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A caller of it."""
    return app.test_client()


@pytest.fixture
def ask(client: FlaskClient) -> Ask:
    """Asks for a token with a form."""
    return lambda assertion=None, **changes: client.post("/oauth/token", data=a_token_form(assertion, **changes))


def _is_refusal(answer: TestResponse, error: str, status: int = 400) -> None:
    assert (answer.status_code, answer.get_json()["error"]) == (status, error)
    assert answer.mimetype == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"


@pytest.mark.parametrize(("algorithm", "kid"), [("ES384", "key-1"), ("RS384", "key-2")])
def test_t012_a_system_gets_a_token(algorithm: str, kid: str, ask: Ask, client: FlaskClient) -> None:
    """With either algorithm; it verifies with the published keys and opens a guarded route."""
    answer = ask(an_assertion(a_client_key(algorithm, kid)))
    assert answer.status_code == 200
    body = answer.get_json()
    assert body["token_type"] == "Bearer"
    assert body["scope"] == "system/ImagingStudy.rs system/Patient.rs"
    published = KeySet.import_key_set(client.get("/.well-known/jwks.json").get_json())
    token = jwt.decode(body["access_token"], published, algorithms=["RS256"])
    assert token.header["typ"] == "at+jwt"
    assert token.claims["aud"] == BASE_URL
    search = client.get("/fhir/r4/ImagingStudy", headers={"Authorization": f"Bearer {body['access_token']}"})
    assert search.get_json() == {"client": "ehr", "purposes": ["TREAT"], "patient": None}


def test_t029_a_token_is_never_stored_on_the_way_and_says_how_long_it_lives(ask: Ask) -> None:
    """`no-store`, `no-cache`, an integer of seconds; no refresh token."""
    answer = ask()
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"
    assert answer.mimetype == "application/json"
    assert answer.get_json()["expires_in"] == 300
    assert isinstance(answer.get_json()["expires_in"], int)
    assert set(answer.get_json()) == {"access_token", "token_type", "expires_in", "scope"}


@pytest.mark.parametrize(
    "assertion",
    [
        pytest.param(lambda: an_assertion(algorithm="RS256", key=_rs256()), id="t013 RS256"),
        pytest.param(lambda: an_assertion(exp=_in(600)), id="t014 exp far ahead"),
        pytest.param(lambda: an_assertion(exp=_in(-10)), id="t014 expired"),
        pytest.param(lambda: an_assertion(iat=_in(600)), id="t014 iat ahead"),
        pytest.param(lambda: an_assertion(without=["jti"]), id="t016 no jti"),
        pytest.param(lambda: an_assertion(jti=""), id="t016 empty jti"),
        pytest.param(lambda: an_assertion(jti="x" * 10_240), id="t016 large jti"),
        pytest.param(lambda: an_assertion(iss="other", sub="ehr"), id="t017 iss is not sub"),
        pytest.param(lambda: an_assertion(aud=BASE_URL), id="t017 aud is the base URL"),
        pytest.param(lambda: an_assertion(aud=[TOKEN_URL, "x"]), id="t017 aud has more"),
        pytest.param(lambda: an_assertion(header={"kid": None}), id="t018 no kid"),
        pytest.param(lambda: an_assertion(header={"kid": "key-2"}), id="t018 another type"),
        pytest.param(lambda: an_assertion(iss="nobody"), id="t020 unknown client"),
        pytest.param(lambda: an_assertion(ECKey.generate_key("P-384", {"kid": "key-1"})), id="t020 wrong key"),
        pytest.param(lambda: "a.b.c", id="garbage"),
        pytest.param(lambda: "é", id="not ASCII"),
    ],
)
def test_t013_to_t020_an_assertion_that_does_not_hold_is_an_invalid_client(
    assertion: Callable[[], str], ask: Ask
) -> None:
    """Whatever is wrong, the answer is byte for byte the same: nobody learns which clients there are."""
    answer = ask(assertion())
    _is_refusal(answer, "invalid_client")
    assert answer.data == ask(an_assertion(iss="nobody-else")).data


def _in(seconds: int) -> int:
    return int(datetime.now(UTC).timestamp()) + seconds


def _rs256() -> Any:
    return a_client_key("RS256", "key-2")


def test_t015_a_replayed_assertion_is_refused_also_after_a_restart(
    ask: Ask, sqlite_engine: Engine, keys: KeyRing, audit: FakeAuditLog
) -> None:
    """By the same process and by a new one."""
    assertion = an_assertion()
    assert ask(assertion).status_code == 200
    _is_refusal(ask(assertion), "invalid_client")
    again = auth_app(sqlite_engine, keys, audit).test_client()
    _is_refusal(again.post("/oauth/token", data=a_token_form(assertion)), "invalid_client")


def test_t015_of_twenty_at_once_over_two_workers_exactly_one_gets_a_token(
    engine: Engine, keys: KeyRing, audit: FakeAuditLog
) -> None:
    """One 200, nineteen `invalid_client`, in SQLite and in PostgreSQL."""
    other = open_database(engine.url.render_as_string(hide_password=False))
    DatabaseClientStore(engine).save(a_client(), datetime.now(UTC))
    workers = [auth_app(engine, keys, audit), auth_app(other, keys, audit)]
    form, start = a_token_form(), threading.Barrier(20)

    def ask_once(number: int) -> TestResponse:
        caller = workers[number % 2].test_client()
        start.wait()
        return caller.post("/oauth/token", data=form)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(ask_once, range(20)))
    other.dispose()
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 19
    assert {answer.get_json()["error"] for answer in answers if answer.status_code != 200} == {"invalid_client"}


def test_t019_published_keys_are_read_and_whatever_else_answers_is_an_invalid_client(
    ask: Ask, sqlite_engine: Engine
) -> None:
    """A set at an address works; a redirect, too much, no JSON, silence do not, and nothing is followed."""
    store = DatabaseClientStore(sqlite_engine)
    with KeyServer() as server:
        for path, status in (("/jwks", 200), ("/metadata", 400), ("/large", 400), ("/bomb", 400), ("/nothing", 400)):
            client_id = "client-" + path.strip("/")
            store.save(a_client(id=client_id, jwks=None, jwks_uri=server.url + path), datetime.now(UTC))
            answer = ask(an_assertion(iss=client_id))
            assert answer.status_code == status, path
            if status == 400:
                _is_refusal(answer, "invalid_client")
        assert len(server.requests) == 5


def test_t020_a_client_proves_itself_in_one_way(client: FlaskClient, ask: Ask) -> None:
    """Wrong or missing type and no assertion are an invalid client; two proofs at once an invalid request."""
    _is_refusal(ask(client_assertion_type="urn:x"), "invalid_client")
    _is_refusal(ask(client_assertion_type=None), "invalid_client")
    _is_refusal(ask(client_assertion=None), "invalid_client")
    _is_refusal(ask(client_assertion=""), "invalid_client")
    _is_refusal(ask(client_secret="secret"), "invalid_request")
    basic = {"Authorization": "Basic ZWhyOnNlY3JldA=="}
    _is_refusal(client.post("/oauth/token", data=a_token_form(), headers=basic), "invalid_request")
    alone = client.post("/oauth/token", data={"grant_type": "client_credentials"}, headers=basic)
    _is_refusal(alone, "invalid_client", 401)
    assert alone.headers["WWW-Authenticate"].startswith("Basic ")


def test_t020_the_client_id_parameter_has_to_agree(ask: Ask) -> None:
    """It may be left out (RFC 7521 §4.2)."""
    assert ask(client_id="ehr").status_code == 200
    _is_refusal(ask(client_id="other"), "invalid_client")


def test_t021_a_grant_that_is_not_there_is_unsupported(ask: Ask) -> None:
    """And uses no assertion up."""
    assertion = an_assertion()
    for grant_type in ("authorization_code", "password", "CLIENT_CREDENTIALS", ""):
        _is_refusal(ask(assertion, grant_type=grant_type), "unsupported_grant_type")
    _is_refusal(ask(assertion, grant_type=None), "invalid_request")
    assert ask(assertion).status_code == 200


@pytest.mark.parametrize("name", ["grant_type", "client_assertion", "client_assertion_type", "scope", "unknown"])
def test_t021_a_parameter_that_is_there_twice_is_refused(name: str, client: FlaskClient) -> None:
    """RFC 6749 §3.2: none may be repeated, also with the same value."""
    form = a_token_form(unknown="x")
    body = urlencode([*form.items(), (name, form[name])])
    _is_refusal(client.post("/oauth/token", data=body, content_type=FORM), "invalid_request")


@pytest.mark.parametrize(
    "content_type", ["application/json", "multipart/form-data; boundary=x", "text/plain", "", None]
)
def test_t021_only_a_form_is_read(content_type: str | None, client: FlaskClient) -> None:
    """Whatever the body holds."""
    body = urlencode(a_token_form())
    _is_refusal(client.post("/oauth/token", data=body, content_type=content_type), "invalid_request")


def test_the_forms_content_type_may_have_a_charset(client: FlaskClient) -> None:
    """As some clients send it."""
    body = urlencode(a_token_form())
    answer = client.post("/oauth/token", data=body, content_type=f"{FORM}; charset=UTF-8")
    assert answer.status_code == 200


@pytest.mark.parametrize("body", [b"", b"grant_type", b"\xff=\xfe", b"grant_type=%ff", b"&".join([b"a=b"] * 40), b"{}"])
def test_t111_a_body_that_is_no_form_is_refused(body: bytes, client: FlaskClient) -> None:
    """Never a crash."""
    _is_refusal(client.post("/oauth/token", data=body, content_type=FORM), "invalid_request")


def test_t021_a_body_that_is_too_large_is_refused(client: FlaskClient) -> None:
    """Two megabytes, and a byte more than allowed."""
    for size in (2_000_000, 64 * 1024 + 1):
        body = "grant_type=" + "x" * (size - 11)
        _is_refusal(client.post("/oauth/token", data=body, content_type=FORM), "invalid_request", 413)


def test_parameters_in_the_url_are_refused(client: FlaskClient) -> None:
    """An assertion there would be in somebody's log."""
    query = urlencode(a_token_form())
    _is_refusal(client.post(f"/oauth/token?{query}", content_type=FORM), "invalid_request")
    _is_refusal(client.post("/oauth/token?x=1", data=a_token_form()), "invalid_request")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_t126_the_token_endpoint_is_posted_to(method: str, client: FlaskClient) -> None:
    """Any other method is 405, and says which one is right."""
    answer = client.open("/oauth/token", method=method)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"


@pytest.mark.parametrize(
    ("b2b", "status"),
    [
        ({"purpose_of_use": ["TREAT"]}, 200),
        ({"purpose_of_use": ["urn:oid:2.16.840.1.113883.5.8#TREAT"]}, 200),
        ({"purpose_of_use": ["HMARKT"]}, 400),
        ({"purpose_of_use": ["TREAT", "HMARKT"]}, 400),
        ({"purpose_of_use": ["BTG"]}, 400),
        ({"purpose_of_use": ["ETREAT"]}, 400),
        ({"purpose_of_use": ["FUN"]}, 400),
        ({"purpose_of_use": 7}, 400),
        ({"subject_name": "x\r\ny"}, 400),
        ({"subject_id": "x" * 300}, 400),
    ],
)
def test_a_purpose_is_registered_or_an_invalid_grant(b2b: Mapping[str, Any], status: int, ask: Ask) -> None:
    """Contract §5: a refused purpose is 400 `invalid_grant`."""
    answer = ask(an_assertion(b2b=b2b))
    assert answer.status_code == status
    if status == 400:
        _is_refusal(answer, "invalid_grant")


def test_a_client_with_two_purposes_has_to_state_one(ask: Ask, sqlite_engine: Engine) -> None:
    """Stated, each is given; unstated, none is guessed."""
    store = DatabaseClientStore(sqlite_engine)
    store.save(a_client(id="two", purposes=("TREAT", "HPAYMT")), datetime.now(UTC))
    _is_refusal(ask(an_assertion(iss="two")), "invalid_grant")
    assert ask(an_assertion(iss="two", b2b={"purpose_of_use": ["HPAYMT"]})).status_code == 200


def test_t034_a_scope_is_narrowed_or_invalid(ask: Ask) -> None:
    """What is granted is said; where nothing is, `invalid_scope`."""
    assert ask(scope="system/*.cruds").get_json()["scope"] == "system/ImagingStudy.rs system/Patient.rs"
    assert ask(scope="system/ImagingStudy.s openid").get_json()["scope"] == "system/ImagingStudy.s"
    assert ask(scope=None).get_json()["scope"] == "system/ImagingStudy.rs system/Patient.rs"
    for scope in ("system/AuditEvent.rs", "patient/ImagingStudy.rs", "system/ImagingStudy.sr"):
        _is_refusal(ask(scope=scope), "invalid_scope")
    _is_refusal(ask(scope="system/ImagingStudy.rs?accession=7"), "invalid_scope")


def test_a_disabled_client_gets_no_token(ask: Ask, sqlite_engine: Engine) -> None:
    """And looks like one that never was."""
    store = DatabaseClientStore(sqlite_engine)
    store.save(a_client(id="gone", disabled_at=datetime.now(UTC)), datetime.now(UTC))
    answer = ask(an_assertion(iss="gone"))
    _is_refusal(answer, "invalid_client")
    assert answer.data == ask(an_assertion(iss="nobody")).data


def test_t059_no_audit_no_token(ask: Ask, audit: FakeAuditLog) -> None:
    """503, `Retry-After`, and nothing that could be used."""
    audit.broken = True
    answer = ask()
    _is_refusal(answer, "temporarily_unavailable", 503)
    assert int(answer.headers["Retry-After"]) > 0
    assert set(answer.get_json()) == {"error"}


def test_a_database_that_fails_gives_no_token(ask: Ask, sqlite_engine: Engine) -> None:
    """It can't be told whether the assertion was used."""
    used_assertion.drop(sqlite_engine)
    _is_refusal(ask(), "temporarily_unavailable", 503)


def test_what_was_issued_and_refused_is_recorded(ask: Ask, audit: FakeAuditLog) -> None:
    """The trail tells both, with the address of the caller."""
    ask()
    ask(scope="openid")
    ask("a.b.c")
    assert [(record.kind, record.who.client_id) for record in audit.records] == [
        ("token-issued", "ehr"),
        ("token-refused", "ehr"),
        ("token-refused", None),
    ]
    assert {record.who.network for record in audit.records} == {"127.0.0.1"}


def test_nothing_of_an_assertion_is_logged(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    """Neither of a good one nor of a bad one."""
    with caplog.at_level("DEBUG"):
        good, bad = an_assertion(), an_assertion(iss="no-such-client", jti="canary-jti")
        token = ask(good).get_json()["access_token"]
        ask(bad)
    logged = caplog.text + " ".join(str(getattr(record, "gateway", "")) for record in caplog.records)
    for secret in (good, bad, token, "canary-jti", "no-such-client"):
        assert secret not in logged
    assert "token-refused" in logged


def test_behind_a_proxy_that_ends_tls_the_settings_name_the_audience(
    sqlite_engine: Engine, keys: KeyRing, audit: FakeAuditLog
) -> None:
    """Neither the connection's scheme nor `Host` nor `X-Forwarded-*` changes what an assertion is for."""
    DatabaseClientStore(sqlite_engine).save(a_client(), datetime.now(UTC))
    caller = auth_app(sqlite_engine, keys, audit, "https://hie.example").test_client()
    evil = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"}
    right = a_token_form(an_assertion(aud="https://hie.example/oauth/token"))
    assert caller.post("/oauth/token", data=right, headers=evil).status_code == 200
    wrong = a_token_form(an_assertion(aud="http://evil.example/oauth/token"))
    assert caller.post("/oauth/token", data=wrong, headers=evil).status_code == 400
    assert "evil" not in caller.get("/.well-known/smart-configuration", headers=evil).text


@pytest.mark.parametrize("path", ["/.well-known/smart-configuration", "/fhir/r4/.well-known/smart-configuration"])
def test_well_known_capabilities_stu2_discovery_tells_the_truth(path: str, client: FlaskClient) -> None:
    """SMART's required fields for app launch and Backend Services, and SMART Imaging's capabilities; absolute URLs."""
    answer = client.get(path, headers={"Accept": "text/html"})
    assert answer.mimetype == "application/json"
    told = answer.get_json()
    assert told["issuer"] == BASE_URL
    assert told["token_endpoint"] == TOKEN_URL
    assert {"client_credentials", "authorization_code", "refresh_token"} <= set(told["grant_types_supported"])
    assert set(told["token_endpoint_auth_methods_supported"]) == {"private_key_jwt", "none"}
    assert set(told["token_endpoint_auth_signing_alg_values_supported"]) == {"RS384", "ES384"}
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert told["response_types_supported"] == ["code"]
    assert {
        "launch-standalone",
        "authorize-post",
        "client-public",
        "client-confidential-asymmetric",
        "sso-openid-connect",
        "context-standalone-patient",
        "permission-patient",
        "permission-user",
        "permission-offline",
        "permission-v1",
        "permission-v2",
        "smart-imaging-access",
        "http://fhir.org/argonaut/smart-imaging/capabilities/app-launch",
        "http://fhir.org/argonaut/smart-imaging/capabilities/backend-services",
    } <= set(told["capabilities"])
    for name in ("authorization", "token", "introspection", "revocation"):
        assert told[f"{name}_endpoint"].startswith(BASE_URL + "/oauth/")
    assert "client-confidential-symmetric" not in told["capabilities"], "there are no client secrets"
    assert "launch-ehr" not in told["capabilities"]


def test_rfc_8414_metadata_names_issuer_and_keys(client: FlaskClient) -> None:
    """As RFC 8414 §2 requires, and that answers name us (RFC 9207)."""
    told = client.get("/.well-known/oauth-authorization-server").get_json()
    assert told["issuer"] == BASE_URL
    assert told["jwks_uri"] == BASE_URL + "/.well-known/jwks.json"
    assert told["response_types_supported"] == ["code"]
    assert told["authorization_response_iss_parameter_supported"] is True


def test_smart_openid_required_configuration_fields_are_there(client: FlaskClient) -> None:
    """OpenID Connect Discovery §3, as Inferno asks for it, below the issuer."""
    told = client.get("/.well-known/openid-configuration").get_json()
    assert told["issuer"] == BASE_URL
    required = ("authorization_endpoint", "token_endpoint", "jwks_uri", "response_types_supported")
    assert all(told[name] for name in required)
    assert told["subject_types_supported"] == ["public"]
    assert told["id_token_signing_alg_values_supported"] == ["RS256"]


def test_published_keys_are_public(client: FlaskClient, keys: KeyRing) -> None:
    """Named, for signing, and without a private part."""
    (key,) = client.get("/.well-known/jwks.json").get_json()["keys"]
    assert key["kid"] == keys.signing.kid
    assert (key["kty"], key["use"], key["alg"]) == ("RSA", "sig", "RS256")
    assert set(key) == {"kty", "use", "alg", "kid", "n", "e"}


def test_t123_any_page_reads_the_documents_and_none_gets_a_token(client: FlaskClient, ask: Ask) -> None:
    """CORS `*` without credentials on what is public; nothing on the token endpoint."""
    for path in ("jwks.json", "smart-configuration", "oauth-authorization-server", "openid-configuration"):
        answer = client.get(f"/.well-known/{path}", headers={"Origin": "https://evil.example"})
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Access-Control-Allow-Origin" not in ask().headers
