"""`explain`, from the shell: who would be asked, what consent decides and why, without asking anybody."""

from collections.abc import Iterator

import pytest

from tests.factories_consent import a_coding, an_actor, authored_by
from tests.functional.consent_community import a_gateway, consent_of, explain, load_consents
from tests.services.exchange import add_client, domain_of
from tests.services.gateway import Gateway


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """An opt-out community: treatment is shared unless the patient says otherwise. Its archives are out of reach."""
    made = a_gateway(GATEWAY_CONSENT_POLICY="basic-normal")
    yield made
    made.stop()


def test_without_a_consent_the_implicit_policy_is_named(gateway: Gateway) -> None:
    """Exactly the four members of the contract, and nobody was asked: the archives don't exist."""
    explained = explain(gateway, "anne")
    assert set(explained) == {"patient", "asked", "decisions"}
    assert explained["asked"] == ["north", "south"]
    for decision, facility in zip(explained["decisions"], ("north", "south"), strict=True):
        assert decision == {
            "facility": facility,
            "decision": "permit",
            "reason": "no consent in force speaks of it: "
            f"the policy basic-normal permits Organization/{facility} for treatment",
            "consents": [],
        }


def test_t052_a_barred_facility_would_not_be_asked(gateway: Gateway) -> None:
    """By a nested deny, the version named; readable as a table too."""
    rule = {"type": "permit", "purpose": [a_coding("TREAT")]}
    leaves_out = {**rule, "provision": [{"type": "deny", "data": [authored_by("south")]}]}
    load_consents(gateway, consent_of("boris", leaves_out))
    explained = explain(gateway, "boris")
    assert explained["asked"] == ["north"]
    north, south = explained["decisions"]
    assert (north["decision"], south["decision"]) == ("permit", "deny")
    assert south["reason"] == "Consent/c-boris (version 1): denies Organization/south for treatment"
    assert south["consents"] == north["consents"] == ["Consent/c-boris/_history/1"]
    table = gateway.run(
        "explain", "--client", "ehr", "--patient", f"Patient/{explained['patient']}"
    ).stdout.splitlines()
    assert table[0] == f"Lakeside EHR of north asks for Patient/{explained['patient']}, for treatment"
    assert table[1].split() == ["facility", "asked", "decision", "why"]
    assert table[2].split()[:3] == ["north", "yes", "permit"]
    assert table[3].split()[:3] == ["south", "no", "deny"]


def test_a_person_reads_what_was_said_and_what_it_comes_to(gateway: Gateway) -> None:
    """Each Consent in words, whether it counts, which wins, what is still open, and that nobody was asked."""
    person = f"{domain_of('north')}|boris"
    study = {"meaning": "instance", "reference": {"identifier": {"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}}}
    some = {
        "type": "permit",
        "period": {"start": "2026-01-01", "end": "2099-12-31"},
        "dataPeriod": {"start": "2024", "end": "2024-06-30"},
        "purpose": [a_coding("TREAT"), a_coding("HPAYMT")],
        "actor": [an_actor(reference="Organization/north")],
        "provision": [{"type": "deny", "data": [study]}],
    }
    never = consent_of("boris", {"type": "deny"}, id="c-never", status="draft")
    load_consents(gateway, consent_of("boris", some), never)
    told = gateway.run("explain", "--client", "ehr", "--patient", person).stdout
    assert (
        "    permits everything made from 2024-01-01 to 2024-06-30 to Organization/north for treatment or payment"
        " (from 2026-01-01 UTC to the end of 2099-12-31 UTC)\n"
        "    except that it denies 1 named study\n"
    ) in told
    assert "Consent/c-never version 1" in told
    assert ": draft\n" in told
    assert "Study by study: " in told
    assert told.endswith("Nobody was asked. This is what would be decided now.\n")
    assert "a deny wins" not in told

    load_consents(gateway, {**never, "status": "active"})
    told = gateway.run("explain", "--client", "ehr", "--patient", person).stdout
    assert "Of several consents in force a deny wins, whichever is newer." in told
    assert "Consent/c-never version 2" in gateway.run("consents", "show", person).stdout
    gateway.run("consents", "revoke", "c-never")
    load_consents(gateway, consent_of("boris", {"type": "permit", "purpose": [a_coding("TREAT")]}))

    nothing = f"{domain_of('north')}|anne"
    for argv in (("explain", "--client", "ehr", "--patient", nothing), ("consents", "show", nothing)):
        told = gateway.run(*argv).stdout
        assert "no consent is on file" in told
        assert "the policy basic-normal decides: treatment is permitted, without break-glass" in told


def test_who_asks_and_the_clinician_behind_it_count(gateway: Gateway) -> None:
    """Actors: the client's organisation, or the user stated with --subject-id."""
    recipients = [an_actor(reference="Organization/south"), an_actor(reference="Practitioner/dr")]
    load_consents(gateway, consent_of("chloe", {"type": "permit", "actor": recipients}))
    add_client(gateway, "south-ehr", organization="south")
    assert explain(gateway, "chloe")["asked"] == []
    assert explain(gateway, "chloe", client="south-ehr")["asked"] == ["north", "south"]
    assert explain(gateway, "chloe", "--subject-id", "Practitioner/dr")["asked"] == ["north", "south"]


def test_a_suspended_facility_is_permitted_and_not_asked(gateway: Gateway) -> None:
    """The decision is the patient's, the suspension the operator's."""
    gateway.run("facilities", "suspend", "south")
    explained = explain(gateway, "anne")
    assert explained["asked"] == ["north"]
    assert [decision["decision"] for decision in explained["decisions"]] == ["permit", "permit"]
    gateway.run("facilities", "resume", "south")


def test_purposes_are_those_of_the_client(gateway: Gateway) -> None:
    """One that is registered may be stated; another is refused; among several one has to be."""
    assert explain(gateway, "anne", "--purpose", "TREAT")["asked"] == ["north", "south"]
    patient = f"{domain_of('north')}|anne"
    for purpose in ("HMARKT", "FooBar"):
        argv = ("explain", "--client", "ehr", "--patient", patient, "--purpose", purpose)
        assert "registered for TREAT only" in gateway.run(*argv, expect=1).stderr


@pytest.mark.parametrize(
    ("client", "patient", "words"),
    [
        ("nobody", "anne", "not registered"),
        ("ehr", "nobody", "patient not known"),
    ],
)
def test_whom_the_exchange_does_not_know_is_refused(gateway: Gateway, client: str, patient: str, words: str) -> None:
    """With the reason on standard error."""
    argv = ("explain", "--client", client, "--patient", f"{domain_of('north')}|{patient}")
    assert words in gateway.run(*argv, expect=1).stderr


def test_a_client_that_was_disabled_would_get_nothing(gateway: Gateway) -> None:
    """And it is said why."""
    add_client(gateway, "old-ehr", organization="north")
    gateway.run("clients", "disable", "old-ehr")
    argv = ("explain", "--client", "old-ehr", "--patient", f"{domain_of('north')}|anne")
    assert "disabled" in gateway.run(*argv, expect=1).stderr
