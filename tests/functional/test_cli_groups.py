"""`python -m gateway groups`, and Consents that name a group, as operators use them."""

import json

import pytest

from tests.factories_consent import an_actor
from tests.functional.consent_community import Shell, a_gateway, consent_of, explain, load_consents
from tests.services.exchange import add_client, domain_of

RHINE = """
[[group]]
id = "rhine"
name = "Hospitals of the Rhine"
names = ["https://rhine.example"]
organizations = [{}]
"""


@pytest.fixture(scope="module")
def gateway() -> Shell:
    """Two facilities, the EHR of north and one of an organisation that is no facility."""
    made = a_gateway(GATEWAY_CONSENT_POLICY="deny")
    add_client(made, "practice", organization="https://practice.example")
    return made


def apply(gateway: Shell, *organizations: str, expect: int = 0) -> str:
    """What `groups apply` says of a group with these members."""
    text = RHINE.format(", ".join(f'"{one}"' for one in organizations))
    done = gateway.run("groups", "apply", str(gateway.write("groups.toml", text)), expect=expect)
    return done.stdout + done.stderr


def is_asked(gateway: Shell, name: str, client: str) -> bool:
    """Whether the client would be shown anything of that person."""
    return bool(explain(gateway, name, client=client)["asked"])


def test_t046_members_of_a_group_are_decided_by_from_the_next_request(gateway: Shell) -> None:
    """Named by its id or as the organisation it is; members come and go; without the group the Consent denies."""
    assert apply(gateway, "north") == "rhine: loaded\n"
    named = an_actor(identifier={"value": "https://rhine.example"})
    load_consents(
        gateway,
        consent_of("anne", {"type": "permit", "actor": [an_actor(reference="Group/rhine")]}),
        consent_of("boris", {"type": "permit", "actor": [named]}),
        consent_of("chloe", {"type": "permit", "provision": [{"type": "deny", "actor": [named]}]}),
    )
    everyone = ("anne", "boris", "chloe")
    assert [is_asked(gateway, name, "ehr") for name in everyone] == [True, True, False]
    assert [is_asked(gateway, name, "practice") for name in everyone] == [False, False, True]

    assert apply(gateway, "https://practice.example") == "rhine: updated\n"
    assert [is_asked(gateway, name, "ehr") for name in everyone] == [False, False, True]
    assert [is_asked(gateway, name, "practice") for name in everyone] == [True, True, False]

    assert gateway.run("groups", "remove", "rhine").stdout == "rhine: removed\n"
    for client in ("ehr", "practice"):
        assert [is_asked(gateway, name, client) for name in everyone] == [False] * 3
    shown = gateway.run_json("consents", "show", f"{domain_of('north')}|anne")
    assert [one["state"] for one in shown["consents"]] == ["can't be evaluated, so it denies"]
    assert "can't be evaluated" in explain(gateway, "anne")["decisions"][0]["reason"]
    records = map(json.loads, gateway.run("audit", "export", "--format", "records").stdout.splitlines())
    noted = [one["reason"] for one in records if one["reason"].startswith("groups")]
    assert noted == ["groups apply begins", "groups apply ended"] * 2 + ["groups remove"]


def test_groups_are_listed_and_a_file_that_is_wrong_changes_nothing(gateway: Shell) -> None:
    """An organisation that nobody knows would be thought to be a member."""
    apply(gateway, "north", "south")
    assert apply(gateway, "norht", expect=1) == (
        "refused: group rhine: organizations: norht is neither a facility nor a URI\n"
    )
    (shown,) = gateway.run_json("groups", "list")
    assert shown == {
        "id": "rhine",
        "name": "Hospitals of the Rhine",
        "names": ["https://rhine.example"],
        "organizations": ["north", "south"],
        "users": [],
    }
    assert "  south\n" in gateway.run("groups", "list").stdout
    assert gateway.run("groups", "remove", "alps", expect=1).stderr == "failed: no group has the id alps\n"
    assert "can't be read" in gateway.run("groups", "apply", "nowhere.toml", expect=1).stderr


def test_a_consent_for_a_group_that_nobody_registered_is_refused(gateway: Shell) -> None:
    """By its path."""
    report = load_consents(
        gateway,
        consent_of("anne", {"type": "permit", "actor": [an_actor(reference="Group/alps")]}, id="c-alps"),
        expect=1,
    )
    (rejected,) = report["rejected"]
    assert rejected["reason"] == ("Consent.provision.actor[0].reference: unknown group: nobody can tell its members")
