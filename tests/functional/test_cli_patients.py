"""Operators bring the schema up to date, feed the patient index and read it, through the command line alone."""

import contextlib
import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.log import open_audit_log
from gateway.db.crypto import read_key_file
from gateway.db.session import open_database
from gateway.db.upgrade import current_head
from tests.factories_mpi import EAST, NATIONAL, NORTH, SOUTH, a_patient
from tests.functional.consent_community import Shell

FACILITIES = "".join(
    f"""
[[facility]]
id = "{name}"
name = "{name.title()} Hospital"
identifier_system = "{system}"
query_url = "http://127.0.0.1:9/dicom-web"
"""
    for name, system in (("north", NORTH), ("south", SOUTH), ("east", EAST))
)
SETTINGS = {"GATEWAY_STRONG_IDENTIFIER_SYSTEMS": NATIONAL}


@pytest.fixture(scope="module")
def three_facilities() -> Iterator[Path]:
    """The data folder of a gateway with three facilities and nobody in its index."""
    one = Shell()
    one.run("facilities", "apply", str(one.write("facilities.toml", FACILITIES)))
    yield one.folder / "var"
    one.stop()


@pytest.fixture
def gateway(three_facilities: Path) -> Iterator[Shell]:
    """A gateway of the test's own, with three facilities and nobody in its index."""
    one = Shell(SETTINGS)
    shutil.copytree(three_facilities, one.folder / "var")
    yield one
    one.stop()


def _ndjson(*patients: Any) -> str:
    return "".join(one if isinstance(one, str) else json.dumps(one) + "\n" for one in patients)


def _load(gateway: Shell, *patients: Any, expect: int = 0) -> Any:
    path = gateway.write("patients.ndjson", "")
    path.write_bytes(b"".join(one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n" for one in patients))
    return gateway.run_json("patients", "load", str(path), expect=expect)


def _notes(gateway: Shell, kind: str) -> list[tuple[str, dict[str, str]]]:
    engine = open_database(f"sqlite:///{gateway.folder / 'var' / 'gateway.db'}")
    with open_audit_log(engine, read_key_file(gateway.folder / "var" / "keys.json")) as log:
        found = [(one.reason, dict(one.details)) for one in log.read() if one.kind == kind]
    engine.dispose()
    return found


def test_the_schema_is_created_then_found_up_to_date() -> None:
    """`db upgrade` says what it did, and does nothing the second time."""
    gateway = Shell()
    try:
        head = current_head()
        assert gateway.run_json("db", "upgrade") == {"before": None, "after": head, "changed": True}
        assert gateway.run_json("db", "upgrade") == {"before": head, "after": head, "changed": False}
        assert gateway.run("db", "upgrade").stdout == f"the schema is up to date (revision {head})\n"
    finally:
        gateway.stop()


def test_a_database_that_is_not_there_is_said_so() -> None:
    """Exit 1 and a reason; no trace, no URL with its password."""
    gateway = Shell({"GATEWAY_DATABASE_URL": "postgresql://gw:hidden-password@127.0.0.1:9/none"})
    try:
        done = gateway.run("db", "upgrade", expect=1)
        assert done.stderr.startswith("failed: the database can't be read")
        assert "hidden-password" not in done.stderr
    finally:
        gateway.stop()


def test_a_feed_is_loaded_updated_and_left_alone(gateway: Shell) -> None:
    """Three loads of nearly the same file: what is new, what has changed, and nothing."""
    first, second = a_patient("N-1", national="1"), a_patient("S-1", system=SOUTH, national="1")

    assert _load(gateway, first, second) == {"loaded": 2, "updated": 0, "unchanged": 0, "rejected": []}
    changed = {**second, "birthDate": "1980-02-04"}
    assert _load(gateway, first, changed) == {"loaded": 0, "updated": 1, "unchanged": 1, "rejected": []}
    assert _load(gateway, first, changed) == {"loaded": 0, "updated": 0, "unchanged": 2, "rejected": []}


def test_good_lines_are_kept_and_bad_ones_listed(gateway: Shell) -> None:
    """Every bad line has its number and its reason, none of them a value; exit 1; the good lines are in the index."""
    good = a_patient("N-1")
    lines: list[Any] = [
        good,
        b"\n",
        b"\xef\xbb\xbf" + json.dumps(a_patient("N-2")).encode() + b"\n",
        b'{"resourceType": "Patient", "resourceType": "Patient"}\n',
        b'{"resourceType": "Patient", "multipleBirthInteger": NaN}\n',
        b'{"resourceType": "Patient", \n',
        b"\xff\xfe\n",
        b"[]\n",
        b'"' + b"x" * 1_000_001 + b'"\n',
        b"[" * 100_000 + b"\n",
        b'{"resourceType": "Patient", "id": "\\ud800"}\n',
        b'{"resourceType": "Patient", "multipleBirthInteger": ' + b"9" * 5000 + b"}\n",
        {**a_patient("N-3"), "birthDate": "Quetzalcoatl"},
        a_patient("X-1", system="urn:oid:9.9.9"),
        {"resourceType": "Observation"},
        a_patient("S-1", system=SOUTH),
    ]

    answer = _load(gateway, *lines, expect=1)

    assert (answer["loaded"], answer["updated"], answer["unchanged"]) == (2, 0, 0)
    assert [one["line"] for one in answer["rejected"]] == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
    reasons = {one["line"]: one["reason"] for one in answer["rejected"]}
    assert all(reasons.values())
    assert reasons[13] == "Patient.birthDate: not a date"
    assert reasons[14] == "Patient.identifier: none is in the identifier_system of a registered facility"
    assert reasons[15] == "resourceType: not Patient"
    assert "Quetzalcoatl" not in json.dumps(answer)
    assert gateway.run_json("patients", "show", f"{NORTH}|N-1")["records"][0]["value"] == "N-1"
    assert gateway.run_json("patients", "show", f"{SOUTH}|S-1")["records"][0]["value"] == "S-1"


def test_a_contained_resource_of_no_type_is_a_bad_line_like_any_other(gateway: Shell) -> None:
    """Its line and its element are told, and the lines around it are kept."""
    bad: list[Any] = [[{"resourceType": "X"}], 5, ["a"]]
    lines = [a_patient("N-1"), *({**a_patient("N-2"), "contained": one} for one in bad), a_patient("N-3")]

    answer = _load(gateway, *lines, expect=1)

    assert answer["loaded"] == 2
    assert [one["line"] for one in answer["rejected"]] == [2, 3, 4]
    assert all(one["reason"].startswith("Patient.contained") for one in answer["rejected"])


def test_refused_lines_go_to_a_report_and_to_a_person(gateway: Shell) -> None:
    """`--report` keeps them as NDJSON; without `--json` they are told in words."""
    report = gateway.folder / "refused.ndjson"
    feed = _ndjson(a_patient("N-1"), {"resourceType": "Observation"})

    done = gateway.run("patients", "load", "-", "--report", str(report), stdin=feed, expect=1)

    assert done.stdout == "patients: 1 loaded, 0 updated, 0 unchanged\n"
    assert done.stderr == "line 2: resourceType: not Patient\n"
    assert [json.loads(line) for line in report.read_text().splitlines()] == [
        {"line": 2, "reason": "resourceType: not Patient"}
    ]


def test_a_load_without_facilities_or_file_is_refused() -> None:
    """There is no domain a record could belong to; or there is no file."""
    gateway = Shell()
    try:
        assert "no facility is registered" in gateway.run("patients", "load", "-", stdin="", expect=1).stderr
        gateway.run("facilities", "apply", str(gateway.write("facilities.toml", FACILITIES)))
        assert "can't be read" in gateway.run("patients", "load", "nowhere.ndjson", expect=1).stderr
    finally:
        gateway.stop()


def test_a_person_is_shown_with_their_records_and_why_they_are_linked(gateway: Shell) -> None:
    """By id, `Patient/{id}` and any `system|value`: the same person, the reason of every link, the history."""
    _load(gateway, a_patient("N-1", national="1"), a_patient("S-1", system=SOUTH, national="1"))

    shown = gateway.run_json("patients", "show", f"{NATIONAL}|1")

    assert [(one["system"], one["value"], one["active"]) for one in shown["records"]] == [
        (NORTH, "N-1", True),
        (SOUTH, "S-1", True),
    ]
    first, second = shown["records"]
    assert first["why"]["rule"] == "alone"
    assert (second["why"]["rule"], second["why"]["system"]) == ("shares-identifier", NATIONAL)
    assert second["why"]["records"] == [first["record"]]
    assert [one["action"] for one in shown["history"]] == ["new-person", "link"]
    assert gateway.run_json("patients", "show", shown["id"]) == shown
    assert gateway.run_json("patients", "show", f"Patient/{shown['id']}") == shown
    text = gateway.run("patients", "show", shown["id"]).stdout
    assert f"it shared an identifier of {NATIONAL} with record {first['record']}" in text
    linked = datetime.fromisoformat(first["linked"])
    assert f"here since {linked:%Y-%m-%d %H:%M} UTC, by operator " in text
    assert "it shared no strong identifier with any record known then" in text
    assert "nobody is known" in gateway.run("patients", "show", f"{NORTH}|N-9", expect=1).stderr


def test_records_kept_apart_are_shown_and_alerted(gateway: Shell) -> None:
    """Given name and birth date both conflict: two persons, an audit alert, and a word about it on both."""
    _load(
        gateway,
        a_patient("N-1", national="1"),
        a_patient("S-1", system=SOUTH, national="1", given=("Bob",), birth_date="1955-05-05"),
    )

    shown = gateway.run_json("patients", "show", f"{NORTH}|N-1")

    (conflict,) = shown["conflicts"]
    assert (conflict["system"], conflict["reason"], conflict["persons"]) == (NATIONAL, "contradiction", 2)
    assert "look at this" in gateway.run("patients", "show", f"{SOUTH}|S-1").stdout
    assert "carried by 2 persons" in gateway.run("patients", "show", f"{NATIONAL}|1", expect=1).stderr
    ((reason, details),) = _notes(gateway, "alert")
    assert reason == "records kept apart despite a shared strong identifier (contradiction)"
    assert details["identifier system"] == NATIONAL


def test_relinking_follows_the_settings(gateway: Shell) -> None:
    """A system declared strong after the load links what it names; `show` tells the move and the former id."""
    gateway.env["GATEWAY_STRONG_IDENTIFIER_SYSTEMS"] = ""
    _load(gateway, a_patient("N-1", national="1"), a_patient("S-1", system=SOUTH, national="1"))
    former = gateway.run_json("patients", "show", f"{SOUTH}|S-1")["id"]
    gateway.env["GATEWAY_STRONG_IDENTIFIER_SYSTEMS"] = NATIONAL

    assert gateway.run_json("patients", "relink") == {"persons": 2, "moved": 1, "retired": 1, "conflicts": 0}

    shown = gateway.run_json("patients", "show", former)
    assert former in (shown["id"], *shown["former"])
    assert len(shown["records"]) == 2
    assert [one["action"] for one in shown["history"]] == ["new-person", "new-person", "merge"]
    assert "0 records have another person" in gateway.run("patients", "relink").stdout


def test_what_an_operator_does_is_in_the_audit(gateway: Shell) -> None:
    """Loads with their counts, relinking, and whose record was looked at."""
    _load(gateway, a_patient("N-1"), {"resourceType": "Observation"}, expect=1)
    gateway.run("patients", "relink")
    gateway.run("patients", "show", f"{NORTH}|N-1")

    notes = [(reason, details) for reason, details in _notes(gateway, "operator") if reason.startswith("patients")]

    assert [reason for reason, _ in notes] == [
        "patients load begins",
        "patients load ended",
        "patients relink begins",
        "patients relink ended",
        "patients show",
    ]
    assert notes[1][1] == {"loaded": "1", "updated": "0", "unchanged": "0", "rejected": "1"}


def test_a_long_load_shows_its_progress_on_a_terminal(gateway: Shell) -> None:
    """On a terminal a bar goes to standard error; the answer on standard output stays clean."""
    path = gateway.write("patients.ndjson", _ndjson(*(a_patient(f"N-{n}") for n in range(200))))
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "gateway", "patients", "load", str(path), "--json"]
    with subprocess.Popen(argv, env=gateway.env, cwd=gateway.folder, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        shown = _everything_on(ours)
        answer = json.loads(process.communicate(timeout=60)[0])

    assert answer["loaded"] == 200
    assert "100%" in shown


def _everything_on(terminal: int) -> str:
    shown = b""
    # Linux answers EIO on a terminal that nobody has open any more.
    with contextlib.suppress(OSError):
        while part := os.read(terminal, 4096):
            shown += part
    os.close(terminal)
    return shown.decode()


def test_two_loads_at_once_make_one_index(gateway: Shell) -> None:
    """Two processes load files with the same people: every record once, every person once."""
    argv = [sys.executable, "-m", "gateway", "patients", "load", "--json"]
    paths = [
        gateway.write(
            f"{name}.ndjson", _ndjson(*(a_patient(f"{name}-{n}", system=s, national=str(n)) for n in range(150)))
        )
        for name, s in (("N", NORTH), ("S", SOUTH))
    ]
    running = [
        subprocess.Popen([*argv, str(path)], env=gateway.env, cwd=gateway.folder, stdout=subprocess.PIPE)
        for path in paths
    ]
    answers = [json.loads(process.communicate(timeout=60)[0]) for process in running]

    assert [one["loaded"] for one in answers] == [150, 150]
    for number in (0, 75, 149):
        assert len(gateway.run_json("patients", "show", f"{NATIONAL}|{number}")["records"]) == 2
