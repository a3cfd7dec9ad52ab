"""Access tokens at a guarded route, through HTTP."""

import time
from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine

from gateway.auth.client_store import DatabaseClientStore
from gateway.auth.clients import FRESH_S
from gateway.auth.tables import client as client_table
from gateway.db.crypto import KeyRing
from tests.factories_auth import FakeAuditLog, a_client, a_token_form, an_access_token
from tests.functional.auth_app import auth_app

SEARCH = "/fhir/r4/ImagingStudy"


@pytest.fixture
def client(sqlite_engine: Engine, keys: KeyRing) -> FlaskClient:
    """A caller of an application that knows the EHR."""
    DatabaseClientStore(sqlite_engine).save(a_client(), datetime.now(UTC))
    return auth_app(sqlite_engine, keys, FakeAuditLog()).test_client()


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_t001_without_a_token_401_without_an_error(client: FlaskClient) -> None:
    """RFC 6750 §3."""
    answer = client.get(SEARCH)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="imaging exchange"'


def test_t002_a_token_that_does_not_hold_is_401_invalid_token(client: FlaskClient, keys: KeyRing) -> None:
    """And is not repeated."""
    token = an_access_token(keys, exp=1)
    answer = client.get(SEARCH, headers=_bearer(token))
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert token not in answer.text


def test_t010_a_token_in_url_or_form_is_401(client: FlaskClient, keys: KeyRing) -> None:
    """Only the header is read."""
    token = an_access_token(keys)
    assert client.get(SEARCH, query_string={"access_token": token}).status_code == 401
    assert client.post(SEARCH, data={"access_token": token}, headers=_bearer(token)).status_code == 401


def test_t031_a_patient_bound_token_says_which_patient(client: FlaskClient, keys: KeyRing) -> None:
    """Patient scopes reach with the binding, and only with it."""
    bound = an_access_token(keys, scope="patient/ImagingStudy.rs", patient="p-1")
    assert client.get(SEARCH, headers=_bearer(bound)).get_json()["patient"] == "p-1"
    unbound = an_access_token(keys, scope="patient/ImagingStudy.rs")
    assert client.get(SEARCH, headers=_bearer(unbound)).status_code == 403


@pytest.mark.parametrize(
    "scope",
    [
        "system/ImagingStudy.r",
        "system/Patient.rs",
        "system/ImagingStudy.sr",
        "user/ImagingStudy.rs",
        "system/ImagingStudy.rs?accession=7",
        "x",
    ],
)
def test_t034_a_scope_that_does_not_reach_is_403_insufficient_scope(
    scope: str, client: FlaskClient, keys: KeyRing
) -> None:
    """With the challenge of RFC 6750 §3.1."""
    answer = client.get(SEARCH, headers=_bearer(an_access_token(keys, scope=scope)))
    assert answer.status_code == 403
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]


def test_t036_a_version_1_scope_reads(client: FlaskClient, keys: KeyRing) -> None:
    """`.read` is `.rs`."""
    token = an_access_token(keys, scope="patient/*.read", patient="p-1")
    assert client.get(SEARCH, headers=_bearer(token)).status_code == 200


def test_t040_a_purpose_outside_the_token_is_ignored(client: FlaskClient, keys: KeyRing) -> None:
    """The purpose is the token's."""
    headers = {**_bearer(an_access_token(keys)), "X-Purpose-Of-Use": "BTG"}
    assert client.get(SEARCH, headers=headers).get_json()["purposes"] == ["TREAT"]


def test_a_disabled_client_is_out_within_a_second_with_every_token_it_holds(
    client: FlaskClient, sqlite_engine: Engine, keys: KeyRing
) -> None:
    """In a process that has just seen it enabled, too."""
    token = client.post("/oauth/token", data=a_token_form()).get_json()["access_token"]
    assert client.get(SEARCH, headers=_bearer(token)).status_code == 200
    DatabaseClientStore(sqlite_engine).disable("ehr", datetime.now(UTC))
    time.sleep(FRESH_S + 0.05)
    assert client.get(SEARCH, headers=_bearer(token)).status_code == 401
    assert client.post("/oauth/token", data=a_token_form()).status_code == 400


def test_a_registry_that_cannot_be_read_is_503_and_lets_nobody_in(
    client: FlaskClient, sqlite_engine: Engine, keys: KeyRing
) -> None:
    """Fail closed."""
    client_table.drop(sqlite_engine)
    assert client.get(SEARCH, headers=_bearer(an_access_token(keys))).status_code == 503
