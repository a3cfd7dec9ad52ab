"""Operators train an algorithm on their own index and link it again in bulk, through the command line alone."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.audit.log import open_audit_log
from gateway.db.crypto import read_key_file
from gateway.db.session import open_database
from gateway.mpi.algorithm import default_algorithm, to_json
from tests.accuracy.population import Population
from tests.factories_mpi import NATIONAL, NORTH, SOUTH, a_patient
from tests.functional.consent_community import Shell, ndjson
from tests.functional.test_cli_patients import FACILITIES

BILL = {"address": [{"line": ["12 Oak Avenue"], "postalCode": "10001", "city": "Ashdale"}]}
ON = {"GATEWAY_MATCHING": "on"}
LABEL = default_algorithm().label


@pytest.fixture
def gateway() -> Iterator[Shell]:
    """A gateway with three facilities whose matching is off."""
    one = Shell({"GATEWAY_STRONG_IDENTIFIER_SYSTEMS": NATIONAL})
    one.run("facilities", "apply", str(one.write("facilities.toml", FACILITIES)))
    yield one
    one.stop()


def load(gateway: Shell, *patients: dict[str, Any]) -> None:
    """They are in the index."""
    gateway.run("patients", "load", str(gateway.write("patients.ndjson", ndjson(patients))))


def person(gateway: Shell, value: str, system: str = NORTH) -> str:
    """Whose the record is."""
    return str(gateway.run_json("patients", "show", f"{system}|{value}")["id"])


def tasks(gateway: Shell) -> list[dict[str, Any]]:
    """What waits for a steward."""
    return list(gateway.run_json("patients", "review", "list")["tasks"])


def a_family(gateway: Shell) -> None:
    """William in two facilities, his namesake elsewhere, and twins of one home."""
    twins = {"family": "Okoro", "birth_date": "2015-05-12", **BILL}
    load(
        gateway,
        a_patient("N-1", family="Wintergate", given=["William"], birth_date="1980-05-12", **BILL),
        a_patient("S-1", system=SOUTH, family="Wintergate", given=["Bill"], birth_date="1980-05-12", **BILL),
        a_patient("N-2", family="Adeyemi", given=["Tunde"], birth_date="1931-01-30"),
        a_patient("N-3", given=["Anna"], **twins),
        a_patient("S-4", system=SOUTH, given=["Clara"], **twins),
    )


def test_a_dry_run_says_what_would_change_and_changes_nothing(gateway: Shell) -> None:
    """The merge and the question are listed; the report is written; persons and tasks are as they were."""
    a_family(gateway)
    gateway.env.update(ON)
    report = gateway.folder / "plan.html"
    said = gateway.run_json("patients", "relink", "--dry-run", "--report", str(report))

    assert (said["merge"], said["split"], said["review-merge"]) == (1, 0, 1)
    merge = next(one for one in said["changes"] if one["kind"] == "merge")
    assert set(merge["persons"]) == {person(gateway, "N-1"), person(gateway, "S-1", SOUTH)}
    asked = next(one for one in said["changes"] if one["kind"] == "review-merge")
    assert asked["why"] == ["given-names-differ"]
    assert "two persons become one" in report.read_text()
    assert "Wintergate" not in report.read_text()
    assert person(gateway, "N-1") != person(gateway, "S-1", SOUTH)
    assert tasks(gateway) == []
    assert "1 merge" in gateway.run("patients", "relink", "--dry-run").stdout


def test_relinking_does_what_the_dry_run_said(gateway: Shell) -> None:
    """William is one person, the twins are asked about; history and audit tell it; once more changes nothing."""
    a_family(gateway)
    gateway.env.update(ON)
    said = gateway.run_json("patients", "relink")

    assert (said["merged"], said["split"], said["asked"], said["passed_over"]) == (1, 0, 1, 0)
    shown = gateway.run_json("patients", "show", f"{NORTH}|N-1")
    assert {one["value"] for one in shown["records"]} == {"N-1", "S-1"}
    moved = shown["history"][-1]
    assert (moved["action"], moved["rule"], moved["algorithm"]) == ("merge", "alike", LABEL)
    assert moved["score"] > 4.25
    (task,) = tasks(gateway)
    assert (task["kind"], task["guards"]) == ("possible-duplicate", ["given-names-differ"])
    again = gateway.run_json("patients", "relink")
    assert (again["merged"], again["split"], again["asked"]) == (0, 0, 0)
    written = [(one.reason, one.patient, one.algorithm) for one in audited(gateway)]
    assert ("patients relink: merge", shown["id"], LABEL) in written
    assert written[-1][0] == "patients relink ended"


def test_relinking_never_undoes_a_steward(gateway: Shell) -> None:
    """Two that a steward has parted stay two, and two that one has put together stay one."""
    a_family(gateway)
    gateway.env.update(ON)
    gateway.run("patients", "relink")
    (one, other) = (record["record"] for record in gateway.run_json("patients", "show", f"{NORTH}|N-1")["records"])
    gateway.run("patients", "split", f"{NORTH}|N-1", str(max(one, other)))
    gateway.run("patients", "merge", f"{SOUTH}|S-4", f"{NORTH}|N-2")
    said = gateway.run_json("patients", "relink")

    assert (said["merged"], said["split"], said["asked"]) == (0, 0, 0)
    assert person(gateway, "N-1") != person(gateway, "S-1", SOUTH)
    assert person(gateway, "S-4", SOUTH) == person(gateway, "N-2")


def test_another_algorithm_is_tried_and_then_used(gateway: Shell) -> None:
    """With a threshold that nobody reaches, what matching had linked parts, and a steward is asked."""
    a_family(gateway)
    gateway.env.update(ON)
    gateway.run("patients", "relink")
    strict = json.loads(shipped())
    strict["label"], strict["thresholds"]["link"] = "strict/1", 90
    file = str(gateway.write("strict.json", json.dumps(strict)))

    assert gateway.run_json("patients", "relink", "--dry-run", "--algorithm", file)["split"] == 1
    gateway.env["GATEWAY_MATCHING_ALGORITHM_FILE"] = file
    said = gateway.run_json("patients", "relink")
    assert (said["algorithm"], said["split"], said["merged"]) == ("strict/1", 1, 0)
    assert person(gateway, "N-1") != person(gateway, "S-1", SOUTH)
    assert {one["kind"] for one in tasks(gateway)} == {
        "no-longer-alike",
        "possible-duplicate",
    }


def shipped() -> bytes:
    """The algorithm that is shipped, as its file."""
    return to_json(default_algorithm())


@pytest.mark.parametrize("content", ["", "[]", "{}"])
def test_an_algorithm_that_does_not_hold_is_refused(gateway: Shell, content: str) -> None:
    """By option and by setting, with the file's name."""
    file = str(gateway.write("algorithm.json", content))
    assert "algorithm.json" in gateway.run("patients", "relink", "--algorithm", file, expect=1).stderr
    gateway.env.update(ON, GATEWAY_MATCHING_ALGORITHM_FILE=file)
    assert "GATEWAY_MATCHING_ALGORITHM_FILE" in gateway.run("patients", "relink", expect=78).stderr


@pytest.mark.slow
def test_an_algorithm_is_trained_on_the_index(gateway: Shell) -> None:
    """From a sample, with a report; it can be used at once. A sample too small trains nothing."""
    patients = []
    for number, one in enumerate(Population(3).records(1500)):
        known = {"system": NORTH, "value": f"P{number}"}
        kept = {key: value for key, value in one.patient.items() if value is not None}
        patients.append({**kept, "identifier": [known, *(kept.get("identifier") or ())]})
    load(gateway, *patients[:40])
    algorithm, report = str(gateway.folder / "north.json"), gateway.folder / "north.html"
    few = gateway.run("patients", "train", algorithm, "--label", "north/1", expect=1)
    assert "from 500" in few.stderr
    load(gateway, *patients)
    said = gateway.run_json("patients", "train", algorithm, "--label", "north/1", "--report", str(report))

    assert (said["algorithm"], said["records"]) == ("north/1", 1500)
    assert report.read_text().count("<svg") == 4
    tried = gateway.run_json("patients", "relink", "--dry-run", "--algorithm", algorithm)
    assert tried["algorithm"] == "north/1"
    assert tried["merge"] > 50
    assert [one.reason for one in audited(gateway)][-3:-1] == ["patients train ended", "patients relink begins"]


def test_a_label_names_and_counts(gateway: Shell) -> None:
    """What stands beside every link is short and plain."""
    file = str(gateway.folder / "a.json")
    assert "name/version" in gateway.run("patients", "train", file, "--label", "North 2", expect=1).stderr


def test_without_splink_the_command_says_what_to_install(gateway: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training and matching in bulk need the extra; linking by identifiers alone doesn't."""
    monkeypatch.setitem(sys.modules, "splink", None)
    file = str(gateway.folder / "a.json")
    assert "requirements-train.txt" in gateway.run("patients", "train", file, "--label", "a/1", expect=1).stderr
    gateway.run("patients", "relink")
    gateway.env.update(ON)
    assert "requirements-train.txt" in gateway.run("patients", "relink", expect=1).stderr


def audited(gateway: Shell) -> list[Any]:
    """The audit, oldest first."""
    engine = open_database(f"sqlite:///{gateway.folder / 'var' / 'gateway.db'}")
    with open_audit_log(engine, read_key_file(gateway.folder / "var" / "keys.json")) as log:
        records = list(log.read())
    engine.dispose()
    return records
