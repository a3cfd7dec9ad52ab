"""Operators register clients, get tokens as them and shut them out, through the command line alone."""

import base64
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from joserfc.jwk import ECKey

from gateway.audit.log import open_audit_log
from gateway.auth.accounts import StoredAccounts
from gateway.auth.app_grant_store import StoredGrants
from gateway.auth.people import Account, Role
from gateway.auth.people_audit import people_record, who_is
from gateway.db.crypto import read_key_file
from gateway.db.session import open_database
from tests.facilities.key_server import KeyServer
from tests.factories_apps import TERMS, a_grant
from tests.factories_auth import a_client_key, a_jwks
from tests.services.gateway import Gateway

FACILITIES = """
[[facility]]
id = "north"
name = "North Hospital"
identifier_system = "urn:oid:1.2.36.1.10"
query_url = "http://127.0.0.1:9/dicom-web"

[[facility]]
id = "south"
name = "South Hospital"
identifier_system = "urn:oid:1.2.36.1.20"
query_url = "http://127.0.0.1:9/dicom-web"
"""
SCOPE = "system/ImagingStudy.rs system/Patient.rs"


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """A gateway that serves, with one facility."""
    one = Gateway()
    one.run("facilities", "apply", str(one.write("facilities.toml", FACILITIES)))
    one.write("public.json", a_jwks())
    one.write("private.json", json.dumps(a_client_key().as_dict(private=True)))
    _add(one, "ehr", "--purpose", "HPAYMT")
    one.start()
    yield one
    one.stop()


def _add(gateway: Gateway, client_id: str, *more: str, jwks: str = "public.json", expect: int = 0) -> Any:
    arguments = ["--name", "An EHR", "--organization", "north", "--jwks", jwks, "--scope", SCOPE, "--purpose", "TREAT"]
    return gateway.run("clients", "add", client_id, *arguments, *more, "--json", expect=expect)


def _claims(token: str) -> Any:
    segment = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))


def _notes(gateway: Gateway) -> list[tuple[str, dict[str, str]]]:
    engine = open_database(f"sqlite:///{gateway.folder / 'var' / 'gateway.db'}")
    with open_audit_log(engine, read_key_file(gateway.folder / "var" / "keys.json")) as log:
        found = [(one.reason, dict(one.details)) for one in log.read() if one.kind == "operator"]
    engine.dispose()
    return found


def test_a_client_is_added_then_found_unchanged_then_updated(gateway: Gateway) -> None:
    """Adding is idempotent and says what it did; what changed is in the audit, what didn't is not."""
    first = json.loads(_add(gateway, "idempotent").stdout)
    assert (first["outcome"], first["enabled"], first["purpose"]) == ("added", True, ["TREAT"])
    assert json.loads(_add(gateway, "idempotent").stdout)["outcome"] == "unchanged"
    again = json.loads(_add(gateway, "idempotent", "--purpose", "HPAYMT").stdout)
    assert (again["outcome"], again["purpose"]) == ("updated", ["TREAT", "HPAYMT"])
    noted = [reason for reason, details in _notes(gateway) if details.get("client") == "idempotent"]
    assert noted == ["client added", "client updated"]


def test_everything_that_is_wrong_is_told_at_once(gateway: Gateway) -> None:
    """Id, name, organisation, facility, scope, purpose and keys, each by its option; nothing is stored."""
    done = gateway.run(
        *("clients", "add", "no spaces", "--name", " ", "--organization", "North Hospital", "--facility", "west"),
        *("--jwks", "private.json", "--scope", "system/ImagingStudy.sr", "--purpose", "FUN"),
        expect=1,
    )
    for option in ("ID:", "--name:", "--organization:", "--facility:", "--scope:", "--purpose:", "--jwks:"):
        assert f"refused: {option}" in done.stderr
    assert "private" in done.stderr
    assert a_client_key().as_dict(private=True)["d"] not in done.stdout + done.stderr
    assert "no spaces" not in gateway.run("clients", "list").stdout


@pytest.mark.parametrize(
    "jwks", ["absent.json", "facilities.toml", "file:///etc/passwd", "http://user:pw@127.0.0.1/jwks"]
)
def test_keys_that_cannot_be_read_are_refused(jwks: str, gateway: Gateway) -> None:
    """A missing file, one that is no JSON, an address that is none."""
    assert "--jwks:" in _add(gateway, "keyless", jwks=jwks, expect=1).stderr


@pytest.fixture
def key_server() -> Iterator[KeyServer]:
    """Where clients publish their keys, well and badly."""
    with KeyServer() as running:
        yield running


@pytest.mark.parametrize(
    ("path", "doubt"), [("/nothing", "can't be read: the answer was not 200"), ("/bomb", "the JWKS is not JSON")]
)
def test_an_address_without_keys_is_warned_of_and_refused_with_check(
    path: str, doubt: str, gateway: Gateway, key_server: KeyServer
) -> None:
    """The EHR's server may be down today; nobody has to find out by its first token."""
    address = key_server.url + path

    warned = _add(gateway, "remote", jwks=address)
    refused = _add(gateway, "checked", "--check", jwks=address, expect=1)

    assert json.loads(warned.stdout)["jwks_uri"] == address
    assert warned.stderr.startswith("warning: --jwks: ")
    assert doubt in warned.stderr
    assert doubt in refused.stderr
    assert "checked" not in gateway.run("clients", "list").stdout


def test_an_address_with_keys_is_registered_without_a_word(gateway: Gateway, key_server: KeyServer) -> None:
    """It was read once, as it will be for a token."""
    assert _add(gateway, "published", "--check", jwks=key_server.url + "/jwks").stderr == ""
    assert len(key_server.requests) == 1


def test_a_single_public_key_is_a_set_of_one(gateway: Gateway) -> None:
    """As key tools write it."""
    gateway.write("one.json", json.dumps(a_client_key().as_dict(private=False)))
    _add(gateway, "single", jwks="one.json")
    assert gateway.run("clients", "token", "single", "--key", "private.json").stdout.count(".") == 2


def test_clients_are_listed_for_people_and_for_programs(gateway: Gateway) -> None:
    """With what they are registered for."""
    _add(gateway, "listed", "--facility", "north", "--token-exchange")
    (listed,) = [one for one in gateway.run_json("clients", "list") if one["id"] == "listed"]
    assert listed["scope"] == SCOPE.split()
    assert (listed["facility"], listed["token_exchange"], listed["enabled"]) == ("north", True, True)
    assert "identity feed of north" in gateway.run("clients", "list").stdout


def test_t012_a_token_is_printed_alone_and_opens_the_exchange(gateway: Gateway) -> None:
    """So that `$(…)` works."""
    done = gateway.run("clients", "token", "ehr", "--key", "private.json", "--purpose", "TREAT")
    token = done.stdout.strip()
    assert done.stdout == token + "\n"
    search = requests.get(
        f"{gateway.fhir_url}/ImagingStudy",
        params={"patient.identifier": "urn:oid:1.2.36.1.10|nobody"},
        headers={"Authorization": f"Bearer {token}"},
        timeout=10,
    )
    assert search.status_code == 200
    assert search.json()["total"] == 0


def test_a_token_says_who_asks_and_why(gateway: Gateway) -> None:
    """Purpose, scope and the person, as the options say; the whole answer with `--json`."""
    answer = gateway.run_json(
        *("clients", "token", "ehr", "--key", "private.json", "--purpose", "HPAYMT"),
        *("--scope", "system/ImagingStudy.s", "--subject-id", "npi|1"),
        *("--subject-name", "Dr Ünï", "--subject-role", "doctor"),
    )
    assert (answer["expires_in"], answer["scope"]) == (300, "system/ImagingStudy.s")
    extensions = _claims(answer["access_token"])["extensions"]
    assert extensions["ihe_iua"]["purpose_of_use"][0]["code"] == "HPAYMT"
    assert extensions["hl7-b2b"]["organization_id"] == "north"
    assert extensions["hl7-b2b"]["subject_name"] == "Dr Ünï"


def test_a_refused_token_is_told_in_the_gateways_words(gateway: Gateway) -> None:
    """Exit 1, the error on standard error, nothing on standard output."""
    gateway.write("stranger.json", json.dumps(ECKey.generate_key("P-384", {"kid": "key-1"}).as_dict(private=True)))
    for arguments, error in (
        (("--key", "private.json", "--purpose", "HMARKT"), "invalid_grant"),
        (("--key", "private.json", "--purpose", "TREAT", "--scope", "system/AuditEvent.rs"), "invalid_scope"),
        (("--key", "stranger.json"), "invalid_client"),
    ):
        done = gateway.run("clients", "token", "ehr", *arguments, expect=1)
        assert error in done.stderr
        assert done.stdout == ""


def test_a_file_that_is_no_private_key_is_refused(gateway: Gateway) -> None:
    """A public key, no key, no file; and no word of what it holds."""
    for name in ("public.json", "facilities.toml"):
        assert "--key: the file is not one" in gateway.run("clients", "token", "x", "--key", name, expect=1).stderr
    for name, told in (("absent.json", "there is no such file"), (".", "the file can't be read")):
        assert f"--key: {told}" in gateway.run("clients", "token", "x", "--key", name, expect=1).stderr


def test_a_disabled_client_is_out_within_a_second_and_stays_out(gateway: Gateway) -> None:
    """Its tokens end, it gets none, adding it again lets it in only with --enable."""
    _add(gateway, "fired")
    token = gateway.run("clients", "token", "fired", "--key", "private.json").stdout.strip()
    endpoint, bearer = f"{gateway.fhir_url}/Endpoint/north", {"Authorization": f"Bearer {token}"}
    assert requests.get(endpoint, headers=bearer, timeout=10).status_code == 200
    assert gateway.run_json("clients", "disable", "fired") == {"id": "fired", "enabled": False}
    time.sleep(1.1)
    assert requests.get(endpoint, headers=bearer, timeout=10).status_code == 401
    assert "invalid_client" in gateway.run("clients", "token", "fired", "--key", "private.json", expect=1).stderr
    assert json.loads(_add(gateway, "fired").stdout)["enabled"] is False
    assert json.loads(_add(gateway, "fired", "--enable").stdout)["enabled"] is True
    gateway.run("clients", "token", "fired", "--key", "private.json")


def test_nobody_cannot_be_disabled(gateway: Gateway) -> None:
    """An id that was mistyped is told."""
    assert "no client of that id" in gateway.run("clients", "disable", "nobody", expect=1).stderr


def test_a_gateway_that_does_not_serve_is_told() -> None:
    """With where it was looked for."""
    alone = Gateway()
    try:
        alone.write("private.json", json.dumps(a_client_key().as_dict(private=True)))
        done = alone.run("clients", "token", "x", "--key", "private.json", expect=1)
        assert f"no gateway answers at {alone.url}/oauth/token" in done.stderr
    finally:
        alone.stop()


def test_a_facility_has_one_feed(gateway: Gateway) -> None:
    """A second one is refused until the first is disabled; the same one may be brought up to date."""
    _add(gateway, "feed-1", "--facility", "south")
    _add(gateway, "feed-1", "--facility", "south", "--token-exchange")

    refused = _add(gateway, "feed-2", "--facility", "south", expect=1)
    gateway.run("clients", "disable", "feed-1")
    _add(gateway, "feed-2", "--facility", "south")

    assert "feed-1 is its feed already" in refused.stderr


def test_an_organisation_that_is_no_facility_yet_is_noted(gateway: Gateway) -> None:
    """It may be applied later; a URI is never one."""
    arguments = ("--name", "X", "--jwks", "public.json", "--scope", SCOPE, "--purpose", "TREAT", "--organization")
    assert "no facility west" in gateway.run("clients", "add", "x1", *arguments, "west").stderr
    assert gateway.run("clients", "add", "x2", *arguments, "urn:oid:1.2.3").stderr == ""


APP = ("--organization", "https://app.example", "--app", "--scope", "launch/patient patient/ImagingStudy.rs openid")


def test_an_app_is_added_with_where_it_is_answered(gateway: Gateway) -> None:
    """A public one needs no key and no purpose; what it is stands in the list and in the audit."""
    address = "https://app.example/callback"
    told = gateway.run_json("clients", "add", "app", "--name", "App", *APP, "--public", "--redirect-uri", address)
    assert (told["outcome"], told["kind"], told["public"], told["redirect_uris"]) == ("added", "app", True, [address])
    assert "app  App  (https://app.example)  enabled  public app" in gateway.run("clients", "list").stdout
    noted = dict(_notes(gateway))["client added"]
    assert (noted["kind"], noted["redirect_uris"], noted["keys"]) == ("public app", address, "none")


def test_what_is_wrong_with_an_app_is_told_at_once(gateway: Gateway) -> None:
    """Address, kind, keys and purpose, all in one go; nothing is registered."""
    wrong = ("--redirect-uri", "http://app.example/#x", "--launch-url", "javascript:x", "--facility", "north")
    scopes = ("--scope", "system/ImagingStudy.rs user/ImagingStudy.rs")
    refused = gateway.run("clients", "add", "Patient/x", "--name", "App", *APP, *wrong, *scopes, expect=1)
    for words in ("--redirect-uri", "--launch-url", "--facility", "--scope", "--purpose", "--jwks or --public", "ID:"):
        assert words in refused.stderr, words
    system = gateway.run("clients", "add", "s", "--name", "S", "--organization", "north", "--scope", SCOPE, expect=1)
    assert "--jwks" in system.stderr
    assert "purpose" in system.stderr
    assert "Patient/x" not in gateway.run("clients", "list").stdout


def test_what_was_granted_to_an_app_is_ended_for_one_account(gateway: Gateway) -> None:
    """Somebody has lost a phone: their grant ends, another's stays, and each end is in the audit."""
    gateway.run("clients", "add", "lost", "--name", "App", *APP, "--public", "--redirect-uri", "https://app.example/")
    engine = open_database(f"sqlite:///{gateway.folder / 'var' / 'gateway.db'}")
    keys = read_key_file(gateway.folder / "var" / "keys.json")
    with open_audit_log(engine, keys) as log:
        accounts, grants = StoredAccounts(engine, keys, log), StoredGrants(engine, keys, log)
        now = datetime.now(UTC)
        for login in ("ann", "bob"):
            draft = Account(id="", login=login, name=login, roles=frozenset((Role.PATIENT,)))
            account = accounts.add(draft, lambda one: people_record("operator", who_is(one), now, "arranged"), now)
            grant = a_grant(client_id="lost", account_id=account.id, granted_at=now, until=now + timedelta(days=9))
            record = people_record("app-authorized", who_is(account), now, "arranged")
            grants.add(grant, f"code-of-{login}", TERMS, now, record)
        assert len(gateway.run_json("clients", "revoke", "lost", "--login", "ann")["ended"]) == 1
        assert [one.account_id for one in grants.standing(now, client_id="lost")] == [account.id]
        assert "no such account" in gateway.run("clients", "revoke", "lost", "--login", "eve", expect=1).stderr
    engine.dispose()
    assert dict(_notes(gateway))["client grant revoked"]["client"] == "lost"
