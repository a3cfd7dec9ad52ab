"""`consents load` and `consents show`, from the shell: good lines are kept, bad ones told, versions never lost."""

import json
from collections.abc import Iterator

import pytest

from tests import canary
from tests.factories_consent import a_coding, authored_by
from tests.functional.consent_community import a_gateway, consent_of, explain, load_consents, ndjson, patient_named
from tests.services.exchange import domain_of
from tests.services.gateway import Gateway

DENY = {"type": "deny"}
LEAVES_OUT_SOUTH = {"type": "permit", "provision": [{"type": "deny", "data": [authored_by("south")]}]}


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """An exchange in which nothing is shared without a consent."""
    made = a_gateway()
    yield made
    made.stop()


def test_consents_are_loaded_updated_and_left_alone(gateway: Gateway) -> None:
    """Each counted as what it was; every version can be looked up."""
    assert load_consents(gateway, consent_of("anne")) == {"loaded": 1, "updated": 0, "unchanged": 0, "rejected": []}
    assert load_consents(gateway, consent_of("anne"))["unchanged"] == 1
    assert load_consents(gateway, consent_of("anne", LEAVES_OUT_SOUTH))["updated"] == 1
    shown = gateway.run_json("consents", "show", f"{domain_of('south')}|anne")
    assert [(one["id"], one["version"], one["state"]) for one in shown["consents"]] == [
        ("c-anne", 1, "superseded"),
        ("c-anne", 2, "in force"),
    ]
    assert shown["policy"] == "deny"
    assert shown["consents"][1]["says"] == ["permits everything", "except that it denies what south holds"]
    assert shown["consents"][1]["resource"] == consent_of("anne", LEAVES_OUT_SOUTH)
    text = gateway.run("consents", "show", f"Patient/{shown['patient']}").stdout
    assert "Consent/c-anne version 2" in text
    assert "what south holds" in text


def test_a_revocation_counts_from_the_next_look(gateway: Gateway) -> None:
    """`inactive` ends it; the community's policy decides again."""
    load_consents(gateway, consent_of("boris"))
    assert explain(gateway, "boris")["asked"] == ["north", "south"]
    assert load_consents(gateway, consent_of("boris", status="inactive"))["updated"] == 1
    explained = explain(gateway, "boris")
    assert explained["asked"] == []
    assert all(decision["consents"] == [] for decision in explained["decisions"])


def test_good_lines_are_kept_and_bad_ones_listed_with_their_reason(gateway: Gateway) -> None:
    """Exit 1, line numbers as an editor shows them, no word of what a line says."""
    lines = (
        consent_of("chloe"),
        "{",
        "",
        consent_of(canary.MRN, id="c-planted", patient=patient_named("nobody " + canary.MRN)),
        consent_of("chloe", {"type": "permit", "purpose": [a_coding("FooBar")]}, id="c2"),
        consent_of("chloe", {"type": "deny", "data": [authored_by("nowhere")]}, id="c3"),
        consent_of("chloe", {"type": "permit", "securityLabel": [a_coding("R")]}, id="c4"),
        consent_of("chloe", {"type": "permit", "period": {"start": "2026-02", "end": "2026-01-31"}}, id="c5"),
        consent_of("chloe", id="c6", modifierExtension=[{"url": "urn:x"}]),
        consent_of("chloe", id="c7", dateTime="yesterday"),
        consent_of("boris", id="c-chloe"),
        consent_of("chloe", id="c8", patient={"reference": "Patient/nobody"}),
        consent_of("chloe", {"type": "deny"}, id="c9"),
    )
    report = load_consents(gateway, *lines, expect=1)
    assert report["loaded"] == 2
    reasons = {entry["line"]: entry["reason"] for entry in report["rejected"]}
    assert reasons == {
        2: "not JSON",
        4: "patient not known",
        5: "Consent.provision.purpose[0].code: unknown purpose of use",
        6: reasons[6],
        7: reasons[7],
        8: "Consent.provision.period: the end lies before the start",
        9: "Consent.modifierExtension: not evaluated",
        10: "Consent.dateTime: expected a FHIR date or dateTime (2026-11-24, or a time with its offset)",
        11: "a Consent of that id is on file for another patient",
        12: "patient not known",
    }
    assert reasons[6].startswith("Consent.provision.data[0].reference: unknown facility")
    assert reasons[7].startswith("Consent.provision.securityLabel[0]: unknown label")
    assert explain(gateway, "chloe")["asked"] == []
    told = gateway.run("consents", "load", str(gateway.write("again.ndjson", ndjson(lines))), expect=1)
    assert told.stdout == "consents: 0 loaded, 0 updated, 2 unchanged\n"
    assert "line 2: not JSON" in told.stderr
    for text in (told.stderr, json.dumps(report)):
        canary.record(text, "what consents load says of refused lines")


def test_a_patient_named_twice_must_be_one_person(gateway: Gateway) -> None:
    """By reference and identifier; by the exchange's own URL too."""
    boris = explain(gateway, "boris")["patient"]
    both = {"reference": f"Patient/{boris}", **patient_named("chloe")}
    report = load_consents(gateway, consent_of("chloe", id="c10", patient=both), expect=1)
    assert "two persons" in report["rejected"][0]["reason"]
    url = {"reference": f"{gateway.fhir_url}/Patient/{boris}"}
    inactive = consent_of("boris", id="c11", patient=url, status="draft")
    assert load_consents(gateway, inactive)["loaded"] == 1


def test_what_the_operator_did_is_in_the_audit_of_each_patient(gateway: Gateway) -> None:
    """Filing, changing and looking: by whom, for whom, which version."""
    load_consents(gateway, consent_of(canary.MRN, id="c-planted"))
    patient = explain(gateway, canary.MRN)["patient"]
    gateway.run("consents", "show", patient)
    exported = gateway.run("audit", "export", "--patient", patient, "--format", "records").stdout
    records = [json.loads(line) for line in exported.splitlines()]
    reasons = [record["reason"] for record in records]
    assert {"consent filed", "explain", "consents show"} <= set(reasons)
    assert ["Consent/c-planted/_history/1"] in [record.get("resources") for record in records]


def test_standard_input_can_be_loaded_and_files_that_are_not_there_are_refused(gateway: Gateway) -> None:
    """`-` is standard input; exit 1 with the file's name."""
    told = gateway.run("consents", "load", "-", stdin=ndjson([consent_of("chloe", {"type": "deny"}, id="c9")]))
    assert told.stdout == "consents: 0 loaded, 0 updated, 1 unchanged\n"
    assert "absent.ndjson can't be read" in gateway.run("consents", "load", "absent.ndjson", expect=1).stderr
    assert "patient not known" in gateway.run("consents", "show", "Patient/nobody", expect=1).stderr


def test_t074_a_revocation_ends_a_consent_and_keeps_every_version(gateway: Gateway) -> None:
    """From the next look on; a second one changes nothing; there is nothing to revoke of a Consent nobody filed."""
    load_consents(gateway, consent_of("anne", id="c-revoked"))
    assert "Consent/c-revoked/_history/1" in explain(gateway, "anne")["decisions"][0]["consents"]

    revoked = gateway.run_json("consents", "revoke", "Consent/c-revoked")

    assert revoked["revoked"] is True
    assert not [one for one in explain(gateway, "anne")["decisions"] if "c-revoked" in str(one["consents"])]
    shown = gateway.run_json("consents", "show", f"{domain_of('north')}|anne")["consents"]
    assert [(one["version"], one["state"]) for one in shown if one["id"] == "c-revoked"][-2:] == [
        (revoked["version"] - 1, "superseded"),
        (revoked["version"], "inactive"),
    ]
    again = gateway.run_json("consents", "revoke", "c-revoked")
    assert (again["revoked"], again["version"]) == (False, revoked["version"])
    assert "was not in force" in gateway.run("consents", "revoke", "c-revoked").stdout
    assert "no Consent" in gateway.run("consents", "revoke", "nobodys", expect=1).stderr


def test_a_consent_under_terms_that_the_community_does_not_know_is_refused() -> None:
    """Where the operators have said which they know; IHE's own are always known."""
    gateway = a_gateway(GATEWAY_CONSENT_POLICY_URIS="https://exchange.example/policies/sharing urn:x:other")
    ihe = "https://profiles.ihe.net/ITI/PCF/Policy-deny"
    report = load_consents(
        gateway,
        consent_of("anne"),
        consent_of("boris", policy=[{"uri": ihe}]),
        consent_of("chloe", policy=[{"uri": "https://elsewhere.example/terms"}]),
        expect=1,
    )
    assert report["loaded"] == 2
    (rejected,) = report["rejected"]
    expected = "Consent.policy[0].uri: unknown policy; expected one of this exchange's, or of IHE PCF's"
    assert (rejected["line"], rejected["reason"]) == (3, expected)
