"""Stewards put identity right through the command line: merge, unmerge, split, reassign, undo, review."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.log import open_audit_log
from gateway.db.crypto import read_key_file
from gateway.db.session import open_database
from tests.factories_mpi import EAST, NATIONAL, NORTH, SOUTH, a_patient
from tests.functional.consent_community import Shell
from tests.functional.test_cli_patients import FACILITIES

ANA: dict[str, Any] = {
    "family": "Riverastone",
    "given": ["Anabella"],
    "birth_date": "1980-02-13",
    "telecom": [{"system": "phone", "value": "+41 44 555 01 23"}],
    "address": [{"line": ["Seestrasse 12"], "postalCode": "8002", "city": "Zurich"}],
}


@pytest.fixture(scope="module")
def facilities() -> Iterator[Path]:
    """The data folder of a gateway with three facilities and nobody in its index."""
    one = Shell()
    one.run("facilities", "apply", str(one.write("facilities.toml", FACILITIES)))
    yield one.folder / "var"
    one.stop()


@pytest.fixture
def gateway(facilities: Path) -> Iterator[Shell]:
    """A gateway of the test's own that matches, with three facilities."""
    one = Shell({"GATEWAY_STRONG_IDENTIFIER_SYSTEMS": NATIONAL, "GATEWAY_MATCHING": "on"})
    shutil.copytree(facilities, one.folder / "var")
    yield one
    one.stop()


def load(gateway: Shell, *patients: dict[str, Any]) -> None:
    """The facilities say this of these patients."""
    lines = "".join(json.dumps(one) + "\n" for one in patients)
    gateway.run("patients", "load", str(gateway.write("patients.ndjson", lines)))


def person(gateway: Shell, value: str, system: str = NORTH) -> dict[str, Any]:
    """The person with that identifier, as `patients show` tells."""
    shown: dict[str, Any] = gateway.run_json("patients", "show", f"{system}|{value}")
    return shown


def test_persons_are_merged_and_the_merge_is_undone(gateway: Shell) -> None:
    """By any name of theirs; the decision shows on the person, with its number and who made it."""
    load(gateway, a_patient("N-1"), a_patient("S-1", system=SOUTH, family="Okafor", given=["Boris"]))
    one, other = person(gateway, "N-1")["id"], person(gateway, "S-1", SOUTH)["id"]

    decided = gateway.run_json("patients", "merge", f"{SOUTH}|S-1", f"Patient/{one}", "--note", "same passport")

    assert (decided["persons"], decided["moved"]) == ([one], 1)
    shown = person(gateway, "S-1", SOUTH)
    assert (shown["id"], shown["former"]) == (one, [other])
    assert [(past["decision"], past["kind"], past["undone"]) for past in shown["decisions"]] == [
        (decided["decision"], "merge", None)
    ]
    assert ": a steward decided so, about record " in gateway.run("patients", "show", one).stdout
    gateway.run("patients", "undo", str(decided["decision"]))
    assert person(gateway, "S-1", SOUTH)["id"] == other
    assert "undone" in gateway.run("patients", "show", one).stdout


def test_an_unmerge_gives_the_retired_id_back(gateway: Shell) -> None:
    """Whatever had joined the two."""
    load(gateway, a_patient("N-1"), a_patient("S-1", system=SOUTH, family="Okafor", given=["Boris"]))
    one, other = person(gateway, "N-1")["id"], person(gateway, "S-1", SOUTH)["id"]
    gateway.run("patients", "merge", other, one)

    decided = gateway.run_json("patients", "unmerge", f"Patient/{other}")

    assert decided["persons"] == sorted((one, other))
    assert person(gateway, "S-1", SOUTH)["id"] == other
    assert "not part of another" in gateway.run("patients", "unmerge", other, expect=1).stderr
    assert "expected the id" in gateway.run("patients", "unmerge", f"{NORTH}|N-1", expect=1).stderr


def test_records_are_split_from_a_person_and_reassigned(gateway: Shell) -> None:
    """By their numbers, as `show` tells them."""
    load(
        gateway,
        *(a_patient(f"{system[-2:]}-1", system=system, national="1") for system in (NORTH, SOUTH, EAST)),
        a_patient("N-2", family="Okafor", given=["Boris"]),
    )
    whole = person(gateway, "10-1")
    assert len(whole["records"]) == 3
    numbers = [one["record"] for one in whole["records"]]

    gateway.run("patients", "split", whole["id"], str(numbers[1]), str(numbers[2]))
    assert person(gateway, "20-1", SOUTH)["id"] == person(gateway, "30-1", EAST)["id"] != whole["id"]
    gateway.run("patients", "reassign", str(numbers[2]), f"{NORTH}|N-2")
    assert person(gateway, "30-1", EAST)["id"] == person(gateway, "N-2")["id"]
    refused = gateway.run("patients", "split", whole["id"], str(numbers[2]), expect=1)
    assert f"not {numbers[2]}" in refused.stderr


def test_t056_a_possible_match_waits_in_the_queue_until_it_is_decided(gateway: Shell) -> None:
    """The task is listed, shown with both sides, answered, and gone."""
    load(gateway, a_patient("N-1", **ANA), a_patient("S-1", system=SOUTH, **{**ANA, "given": []}))
    assert len(person(gateway, "N-1")["records"]) == 1

    listed = gateway.run_json("patients", "review", "list")
    assert listed["open"] == 1
    assert [(one["kind"], one["open"]) for one in listed["kinds"]] == [("possible-match", 1)]
    assert "1 possible-match, the oldest for 0 days" in gateway.run("patients", "review", "list").stdout
    (task,) = listed["tasks"]
    shown = gateway.run_json("patients", "review", "show", str(task["task"]))
    assert [side["patient"]["identifier"][0]["value"] for side in shown["sides"]] == ["N-1", "S-1"]
    assert task["guards"] == ["no-given-name"]
    text = gateway.run("patients", "review", "show", str(task["task"])).stdout
    assert "Anabella Riverastone" in text
    assert "no-given-name" in gateway.run("patients", "review", "list").stdout

    gateway.run("patients", "review", "decide", str(task["task"]), "same", "--note", "asked the ward")

    assert gateway.run_json("patients", "review", "list") == {"open": 0, "kinds": [], "tasks": []}
    assert len(person(gateway, "N-1")["records"]) == 2
    assert "no open review task" in gateway.run("patients", "review", "show", str(task["task"]), expect=1).stderr


def test_what_is_matched_says_so(gateway: Shell) -> None:
    """`show` tells the score and the algorithm of the link."""
    load(gateway, a_patient("N-1", **ANA), a_patient("S-1", system=SOUTH, **ANA))
    shown = person(gateway, "S-1", SOUTH)
    assert len(shown["records"]) == 2
    why = shown["records"][1]["why"]
    assert (why["rule"], why["score"] > 4) == ("alike", True)
    assert why["algorithm"] in gateway.run("patients", "show", shown["id"]).stdout


def test_thresholds_are_settings_and_show_in_the_label(gateway: Shell) -> None:
    """A threshold nothing reaches links nothing; thresholds that make no sense are refused."""
    gateway.env["GATEWAY_MATCHING_LINK_BITS"] = "90"
    load(gateway, a_patient("N-1", **ANA), a_patient("S-1", system=SOUTH, **ANA))
    (task,) = gateway.run_json("patients", "review", "list")["tasks"]
    assert "link=90" in task["algorithm"]
    gateway.env["GATEWAY_MATCHING_REVIEW_BITS"] = "91"
    assert "above" in gateway.run("patients", "relink", expect=78).stderr
    gateway.env["GATEWAY_MATCHING_REVIEW_BITS"] = "many"
    assert "number of bits" in gateway.run("patients", "relink", expect=78).stderr


def test_without_the_setting_nothing_is_matched(gateway: Shell) -> None:
    """Matching is off unless it is turned on."""
    del gateway.env["GATEWAY_MATCHING"]
    load(gateway, a_patient("N-1", **ANA), a_patient("S-1", system=SOUTH, **ANA))
    assert len(person(gateway, "N-1")["records"]) == 1


def test_every_decision_and_every_look_is_in_the_audit(gateway: Shell) -> None:
    """With who, about whom, and the number of the decision."""
    load(gateway, a_patient("N-1"), a_patient("S-1", system=SOUTH, family="Okafor", given=["Boris"]))
    one, other = person(gateway, "N-1")["id"], person(gateway, "S-1", SOUTH)["id"]
    decided = gateway.run_json("patients", "merge", other, one)
    gateway.run("patients", "undo", str(decided["decision"]))
    engine = open_database(f"sqlite:///{gateway.folder / 'var' / 'gateway.db'}")
    with open_audit_log(engine, read_key_file(gateway.folder / "var" / "keys.json")) as log:
        noted = [record for record in log.read() if record.reason in ("patients merge", "patients undo")]
    engine.dispose()
    assert [(record.reason, record.patient) for record in noted[:1]] == [("patients merge", one)]
    assert sorted((record.reason, str(record.patient)) for record in noted[1:]) == sorted(
        ("patients undo", person_id) for person_id in (one, other)
    )
    assert all(dict(record.details)["decision"] == str(decided["decision"]) for record in noted)
