"""`python -m gateway users`: accounts, bindings and delegations, as an administrator makes them."""

import json
import re
from collections.abc import Iterator

import pytest
import requests

from tests import canary
from tests.functional.consent_community import Shell
from tests.services.gateway import Gateway

FACILITY = """
[[facility]]
id = "north"
name = "North Hospital"
identifier_system = "urn:oid:2.25.1"
time_zone = "Europe/Zurich"
adapter = "dicomweb"
query_url = "http://127.0.0.1:9/dicom-web"
"""


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """A gateway that serves; its index has a grown-up (`G1`), a child (`C1`) and one of unknown age (`U1`)."""
    one = Shell({"GATEWAY_TIME_ZONE": "Europe/Zurich"})
    people = [
        {
            "resourceType": "Patient",
            "identifier": [{"system": "urn:oid:2.25.1", "value": value}],
            "name": [{"family": canary.FAMILY, "given": [value]}],
            **({"birthDate": born} if born else {}),
        }
        for value, born in (("G1", "1970-01-01"), ("C1", "2020-02-29"), ("U1", None))
    ]
    one.run("facilities", "apply", str(one.write("facilities.toml", FACILITY)))
    one.run("patients", "load", str(one.write("patients.ndjson", "".join(json.dumps(who) + "\n" for who in people))))
    one.start()
    yield one
    one.stop()


def _audit(gateway: Gateway) -> list[dict[str, str]]:
    lines = gateway.run("audit", "export", "--format", "records").stdout.splitlines()
    return [json.loads(line) for line in lines]


def test_an_account_is_made_with_a_link_that_is_shown_once(gateway: Gateway) -> None:
    """Its owner sets a password by the link and signs in; no list shows the link, no log has it."""
    made = gateway.run_json(
        "users", "add", "Ann", "--name", "Ann", "--patient", "urn:oid:2.25.1|G1", "--proof", "passport"
    )
    assert (made["outcome"], made["roles"], made["enabled"]) == ("added", ["patient"], True)
    session, link = requests.Session(), made["link"]
    token = re.search(r'csrf_token" value="([^"]+)', session.get(link, timeout=10).text)
    assert token
    form = {"csrf_token": token[1], "new": "seven green herons", "repeated": "seven green herons"}
    assert session.post(link, data=form, timeout=10).url == f"{gateway.url}/signin"
    token = re.search(r'csrf_token" value="([^"]+)', session.get(f"{gateway.url}/signin", timeout=10).text)
    assert token
    signed = {"csrf_token": token[1], "login": "ann", "password": "seven green herons"}
    assert session.post(f"{gateway.url}/signin", data=signed, timeout=10).url == f"{gateway.url}/signin/security"

    listed = gateway.run("users", "list").stdout
    assert "Ann" in listed
    assert link.rpartition("/")[2] not in listed + gateway.log()
    records = json.dumps(_audit(gateway))
    assert link.rpartition("/")[2] not in records
    assert "passport" in records
    gateway.run("users", "disable", "ann")
    assert session.get(f"{gateway.url}/signin/security", timeout=10).url.startswith(f"{gateway.url}/signin?")


def test_what_is_wrong_is_told_at_once(gateway: Gateway) -> None:
    """Every problem, with exit 1: login, name, facility, proof, a weak password, a login that is taken."""
    refused = gateway.run(
        *("users", "add", "a b", "--name", " ", "--role", "facility-administrator", "--password-stdin"),
        expect=1,
        stdin="password1234\n",
    ).stderr
    for words in ("LOGIN", "--name", "--facility", "the password"):
        assert words in refused
    gateway.run(
        "users", "add", "bob", "--name", "Bob", "--role", "clinician", "--password-stdin", stdin="three slow otters\n"
    )
    assert "already" in gateway.run("users", "add", "BOB", "--name", "Bob", expect=1).stderr
    bind = ("users", "bind", "bob", "--patient", "urn:oid:2.25.1|none", "--proof", "x")
    assert "not known" in gateway.run(*bind, expect=1).stderr
    assert "no user" in gateway.run("users", "disable", "nobody", expect=1).stderr


def test_a_login_is_bound_to_one_person_by_somebodys_word(gateway: Gateway) -> None:
    """`bind` and `unbind`; never from one person to another at a stroke."""
    gateway.run("users", "add", "cleo", "--name", "Cleo")
    person = gateway.run_json("patients", "show", "urn:oid:2.25.1|G1")["id"]
    bound = gateway.run_json("users", "bind", "cleo", "--patient", f"Patient/{person}", "--proof", "known for years")
    assert (bound["patient"], bound["roles"]) == (person, ["patient"])
    other = ("users", "bind", "cleo", "--patient", "urn:oid:2.25.1|C1", "--proof", "x")
    assert "unbind" in gateway.run(*other, expect=1).stderr
    unbound = gateway.run_json("users", "unbind", "cleo")
    assert (unbound["patient"], unbound["roles"]) == (None, [])


def test_t063_a_delegate_is_named_with_basis_end_and_proof(gateway: Gateway) -> None:
    """The day's end in the exchange's time zone; what could not stand is refused with its reason, and not on file."""
    gateway.run("users", "add", "maria", "--name", "Maria")
    grant = ("users", "delegate", "maria", "--until", "2031-06-30", "--basis", "parent", "--proof", "birth certificate")
    granted = gateway.run_json(*grant, "--for", "urn:oid:2.25.1|C1")
    assert (granted["stands"], granted["purpose"], granted["until"]) == (True, "FAMRQT", "2031-06-30T22:00:00+00:00")
    for who in ("G1", "U1"):
        assert "nobody acts as a parent" in gateway.run(*grant, "--for", f"urn:oid:2.25.1|{who}", expect=1).stderr
    told = gateway.run_json("users", "delegations", "--login", "maria")
    assert [(one["id"], one["stands"]) for one in told] == [(granted["id"], True)]
    assert gateway.run_json("users", "undelegate", granted["id"])["outcome"] == "revoked"
    assert [one["stands"] for one in gateway.run_json("users", "delegations", "--for", "urn:oid:2.25.1|C1")] == [False]
    over = ("users", "delegate", "maria", "--for", "urn:oid:2.25.1|C1", "--until", "2020-01-01", "--basis", "parent")
    assert "is over" in gateway.run(*over, "--proof", "x", expect=1).stderr

    kept = [one for one in _audit(gateway) if one["kind"] == "operator" and "delegation" in one["reason"]]
    assert [one["reason"] for one in kept] == [
        "user delegation granted",
        "user delegation revoked",
    ]
    assert all(one["patient"] for one in kept)
