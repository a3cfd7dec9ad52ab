"""A large load can be stopped and taken up, keeps its good lines, and lets others write meanwhile."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.factories_mpi import NATIONAL, NORTH, SOUTH, a_patient
from tests.functional.consent_community import Shell
from tests.functional.test_cli_patients import FACILITIES

MANY = 6000


@pytest.fixture
def gateway() -> Iterator[Shell]:
    """A gateway with three facilities."""
    one = Shell({"GATEWAY_STRONG_IDENTIFIER_SYSTEMS": NATIONAL})
    one.run("facilities", "apply", str(one.write("facilities.toml", FACILITIES)))
    yield one
    one.stop()


def ndjson(patients: Iterator[dict[str, Any]]) -> str:
    """A line each."""
    return "".join(json.dumps(one) + "\n" for one in patients)


def test_a_stopped_load_says_how_far_it_came_and_goes_on_from_there(gateway: Shell) -> None:
    """What it had stored stays; from the line it names, nothing is lost and nothing is done twice."""
    file = str(gateway.write("patients.ndjson", ndjson(a_patient(f"N-{number}") for number in range(MANY))))
    argv = [sys.executable, "-m", "gateway", "patients", "load", file]
    with subprocess.Popen(argv, env=gateway.env, cwd=gateway.folder, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not _is_there(gateway, "N-0") and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    if process.returncode == 0:
        pytest.skip("the load was over before it could be stopped")
    stored = int(said.split("stored as far as line ")[1].split(";")[0])
    assert f"--from-line {stored + 1}" in said

    report = gateway.run_json("patients", "load", file, "--from-line", str(stored + 1))

    assert report == {"loaded": MANY - stored, "updated": 0, "unchanged": 0, "rejected": []}
    again = gateway.run_json("patients", "load", file)
    assert (again["loaded"], again["unchanged"]) == (0, MANY)


def _is_there(gateway: Shell, value: str) -> bool:
    try:
        gateway.run("patients", "show", f"{NORTH}|{value}")
    except AssertionError:
        return False
    return True


def test_other_writers_get_their_turn_during_a_load(gateway: Shell) -> None:
    """A small feed beside a large one waits for a batch, not for the file."""
    file = str(gateway.write("patients.ndjson", ndjson(a_patient(f"N-{number}") for number in range(MANY))))
    argv = [sys.executable, "-m", "gateway", "patients", "load", file]
    with subprocess.Popen(argv, env=gateway.env, cwd=gateway.folder, stdout=subprocess.PIPE, text=True) as process:
        for number in range(3):
            small = gateway.write("small.ndjson", ndjson(iter([a_patient(f"S-{number}", system=SOUTH)])))
            assert gateway.run_json("patients", "load", str(small))["loaded"] == 1
        process.communicate(timeout=120)
    assert process.returncode == 0
    assert gateway.run_json("patients", "load", file)["unchanged"] == MANY


def test_records_of_one_batch_are_linked_with_each_other(gateway: Shell) -> None:
    """Those that share an identifier, those that come twice, and those that are alone, in one transaction."""
    lines = ndjson(
        iter(
            [
                a_patient("N-1", national="1"),
                a_patient("N-2"),
                a_patient("S-1", system=SOUTH, national="1"),
                a_patient("N-2", family="Okafor"),
                a_patient("N-3", national="1", given=["Boris"], birth_date="1951-11-30"),
            ]
        )
    )
    report = gateway.run_json("patients", "load", str(gateway.write("patients.ndjson", lines)))
    assert (report["loaded"], report["updated"]) == (4, 1)
    shown = gateway.run_json("patients", "show", f"{NORTH}|N-1")
    assert len(shown["records"]) == 2
    assert gateway.run_json("patients", "show", f"{NORTH}|N-2")["records"][0]["family"] == ["Okafor"]
    assert gateway.run_json("patients", "show", f"{NORTH}|N-3")["conflicts"]


def test_bad_lines_keep_their_numbers_whichever_process_reads_them(gateway: Shell) -> None:
    """Good lines are kept in their order, also where the file is long enough to be read by several processes."""
    good = [
        json.dumps(a_patient(f"N-{number % 2900}", birth_date=f"19{number % 90 + 10}-01-01")) for number in range(3000)
    ]
    lines = [*good[:2600], "{", *good[2600:2800], json.dumps({"resourceType": "Patient"}), *good[2800:]]
    file = str(gateway.write("patients.ndjson", "\n".join(lines)))
    report = json.loads(gateway.run("patients", "load", file, "--json", "--processes", "2", expect=1).stdout)
    assert (report["loaded"], report["updated"]) == (2900, 100)
    assert [one["line"] for one in report["rejected"]] == [2601, 2802]
    last = gateway.run_json("patients", "show", f"{NORTH}|N-99")["records"][0]
    assert last["birthDate"] == f"19{2999 % 90 + 10}-01-01"


def test_what_is_linked_later_is_linked_by_the_next_relink(gateway: Shell) -> None:
    """A shared identifier makes one person then, and not before."""
    patients = [a_patient("N-1", national="4711"), a_patient("S-1", system=SOUTH, national="4711"), a_patient("N-2")]
    file = str(gateway.write("patients.ndjson", ndjson(iter(patients))))
    assert gateway.run_json("patients", "load", file, "--link-later")["loaded"] == 3
    assert len(gateway.run_json("patients", "show", f"{NORTH}|N-1")["records"]) == 1
    assert gateway.run_json("patients", "relink", "--dry-run")["moved"] == 1
    assert gateway.run_json("patients", "relink")["moved"] == 1
    assert len(gateway.run_json("patients", "show", f"{NORTH}|N-1")["records"]) == 2


def test_placeholders_link_nobody(gateway: Shell) -> None:
    """Neither as records arrive nor together in a batch."""
    patients = [a_patient(f"N-{number}", national="999999999") for number in range(3)]
    gateway.run("patients", "load", str(gateway.write("patients.ndjson", ndjson(iter(patients)))))
    gateway.run(
        "patients", "load", str(gateway.write("patients.ndjson", ndjson(iter([a_patient("N-9", national="9999")]))))
    )
    assert [len(gateway.run_json("patients", "show", f"{NORTH}|N-{one}")["records"]) for one in (0, 1, 9)] == [1, 1, 1]
