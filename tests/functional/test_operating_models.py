"""The four operating models of contract §9 keep the promises of their pages, from an operator's shell."""

from typing import Any

import pytest

from tests.factories_consent import a_coding, authored_by
from tests.functional.consent_community import (
    Shell,
    a_gateway,
    consent_of,
    explain,
    load_consents,
    ndjson,
    patient_named,
)
from tests.services.exchange import add_client

PURPOSES = ("TREAT", "ETREAT", "HPAYMT", "HRESCH", "BTG")
YES = {"type": "permit", "purpose": [a_coding("TREAT")]}
NO = {"type": "deny"}
YES_WITH_BREAK_GLASS = {**YES, "provision": [{"type": "permit", "purpose": [a_coding("BTG")]}]}

Shown = set[tuple[str, str]]
BOTH = ("north", "south")


def shown(gateway: Shell, name: str) -> Shown:
    """Purpose and facility of all that is open about the person, to a clinician of north."""
    found: Shown = set()
    for purpose in PURPOSES:
        explained = explain(gateway, name, "--purpose", purpose, client="wide")
        found |= {(purpose, one["facility"]) for one in explained["decisions"] if one["decision"] == "permit"}
        assert explained["asked"] == [one["facility"] for one in explained["decisions"] if one["decision"] == "permit"]
    return found


def each(*purposes: str) -> Shown:
    """These purposes at both facilities."""
    return {(purpose, facility) for purpose in purposes for facility in BOTH}


@pytest.mark.parametrize(
    ("policy", "without", "after_yes", "after_no"),
    [
        ("basic-normal", each("TREAT", "ETREAT"), each("TREAT", "ETREAT"), set()),
        ("deny", set(), each("TREAT", "ETREAT"), set()),
        ("break-glass-only", each("BTG"), each("TREAT", "ETREAT"), set()),
    ],
    ids=["opt-out", "opt-in", "opt-in with break-glass"],
)
def test_t051_a_model_keeps_its_promise(policy: Any, without: Shown, after_yes: Shown, after_no: Shown) -> None:
    """Without a Consent, after a yes to treatment, after a no (not even in an emergency), and after its revocation."""
    gateway = a_gateway(GATEWAY_CONSENT_POLICY=policy)
    try:
        register(gateway)
        assert shown(gateway, "anne") == without
        load_consents(
            gateway, consent_of("anne", YES), consent_of("boris", NO), consent_of("chloe", YES_WITH_BREAK_GLASS)
        )
        assert shown(gateway, "anne") == after_yes
        assert shown(gateway, "boris") == after_no
        assert shown(gateway, "chloe") == after_yes | each("BTG")
        for name in ("anne", "boris"):
            gateway.run("consents", "revoke", f"c-{name}")
            assert shown(gateway, name) == without
    finally:
        gateway.stop()


def test_facility_by_facility_opens_each_by_itself() -> None:
    """North's by North's Consent, South's by South's, and South's ends alone."""
    gateway = a_gateway(GATEWAY_CONSENT_POLICY="deny")
    try:
        register(gateway)
        treat = ("TREAT", "ETREAT")
        for facility in BOTH:
            load_consents(gateway, consent_of("anne", {**YES, "data": [authored_by(facility)]}, id=f"c-{facility}"))
            opened = BOTH[: BOTH.index(facility) + 1]
            assert shown(gateway, "anne") == {(purpose, one) for purpose in treat for one in opened}
        gateway.run("consents", "revoke", "c-south")
        assert shown(gateway, "anne") == {(purpose, "north") for purpose in treat}
    finally:
        gateway.stop()


def register(gateway: Shell) -> None:
    """A client of north that may ask for every purpose."""
    key = add_client(gateway, "seed", organization="north")
    jwks = str(gateway.folder / f"{key.id}.jwks.json")
    argv = ["clients", "add", "wide", "--name", "Wide", "--organization", "north", "--jwks", jwks]
    for purpose in PURPOSES:
        argv += ["--purpose", purpose]
    gateway.run(*argv, "--scope", "system/ImagingStudy.rs")


def test_t064_an_opt_out_persists_after_death() -> None:
    """What a facility feeds about a death changes no decision."""
    gateway = a_gateway(GATEWAY_CONSENT_POLICY="basic-normal")
    try:
        load_consents(gateway, consent_of("anne", NO))
        patient = {
            "resourceType": "Patient",
            "identifier": [patient_named("anne")["identifier"]],
            "name": [{"family": "Anne", "given": ["A"]}],
            "deceasedDateTime": "2026-01-01",
        }
        gateway.run("patients", "load", str(gateway.write("dead.ndjson", ndjson([patient]))))
        assert {one["decision"] for one in explain(gateway, "anne")["decisions"]} == {"deny"}
    finally:
        gateway.stop()
