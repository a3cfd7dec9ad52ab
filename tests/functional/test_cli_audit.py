"""An auditor takes the audit away through the command line, and that is audited too."""

import base64
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.auditevent import AuditEvent

from gateway.audit.canonical import from_canonical
from gateway.audit.log import open_audit_log
from gateway.audit.merkle import is_included, leaf_hash
from gateway.audit.record import AuditRecord
from gateway.db.crypto import read_key_file
from gateway.db.session import open_database
from tests.factories_audit import a_record
from tests.services.gateway import Gateway

FACILITY = """
[[facility]]
id = "north"
name = "North"
identifier_system = "urn:oid:1.2.36.1.10"
query_url = "http://127.0.0.1:9/dicom-web"
"""
PATIENT = {
    "resourceType": "Patient",
    "identifier": [{"system": "urn:oid:1.2.36.1.10", "value": "N-1"}],
    "name": [{"family": "Quillfeather", "given": ["Zebediah"]}],
    "birthDate": "1960-01-02",
}
DAY = datetime(2026, 3, 5, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """A gateway that knows one patient; each test adds records of its own."""
    one = Gateway({"GATEWAY_BASE_URL": "https://exchange.example"})
    one.run("facilities", "apply", str(one.write("facilities.toml", FACILITY)))
    one.run("patients", "load", str(one.write("patients.ndjson", json.dumps(PATIENT))))
    yield one
    one.stop()


def _store(gateway: Gateway, *records: AuditRecord) -> None:
    folder = gateway.folder / "var"
    engine = open_database(f"sqlite:///{folder / 'gateway.db'}")
    with open_audit_log(engine, read_key_file(folder / "keys.json")) as log:
        log.record(records)
    engine.dispose()


def _export(gateway: Gateway, *options: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gateway.run("audit", "export", *options).stdout.splitlines()]


def _person(gateway: Gateway) -> str:
    person: str = gateway.run_json("patients", "show", "urn:oid:1.2.36.1.10|N-1")["id"]
    return person


def _ids(lines: list[dict[str, Any]]) -> list[str]:
    return [line["id"] for line in lines]


def test_the_audit_is_exported_as_balp_events_and_as_the_records_behind_them(gateway: Gateway) -> None:
    """NDJSON: every line a FHIR AuditEvent, or a record in its canonical bytes."""
    record = a_record(recorded=DAY)
    _store(gateway, record)

    events = [event for event in _export(gateway) if event["id"].startswith(record.id)]
    assert len(events) == 6
    for event in events:
        AuditEvent.model_validate(event)
        assert event["source"]["observer"]["identifier"]["value"] == "https://exchange.example"
    lines = gateway.run("audit", "export", "--format", "records").stdout.splitlines()
    assert record in [from_canonical(line.encode()) for line in lines]


def test_what_concerns_one_person_in_one_span_of_time_is_exported_alone(gateway: Gateway) -> None:
    """By any name of the person; a date is the whole day in UTC."""
    person = _person(gateway)
    wanted = a_record(patient=person, recorded=DAY)
    _store(
        gateway,
        wanted,
        a_record(patient=person, recorded=DAY + timedelta(days=1)),
        a_record(patient="somebody-else", recorded=DAY),
    )

    for name in (person, f"Patient/{person}", "urn:oid:1.2.36.1.10|N-1"):
        options = ("--patient", name, "--since", "2026-03-05", "--until", "2026-03-05", "--format", "records")
        assert _ids(_export(gateway, *options)) == [wanted.id], name
    early = ("--patient", person, "--until", "2026-03-05T12:00:00+00:00", "--format", "records")
    assert _export(gateway, *early) == []


def test_an_export_is_itself_audited_before_it_begins(gateway: Gateway) -> None:
    """Who looked at whose access history is in that person's history."""
    person = _person(gateway)
    _export(gateway, "--patient", person, "--since", "2026-01-01")

    last = _export(gateway, "--patient", person, "--format", "records")[-1]
    assert last["reason"] == "audit export"
    assert last["patient"] == person
    assert last["who"]["subject_role"] == "operator"
    assert ["since", "2026-01-01T00:00:00+00:00"] in last["details"]


def test_an_unknown_person_and_a_time_without_offset_are_refused(gateway: Gateway) -> None:
    """Exit 1 with a reason; exit 2 for what can't be understood."""
    assert "nobody is known" in gateway.run("audit", "export", "--patient", "nobody", expect=1).stderr
    assert "offset" in gateway.run("audit", "export", "--since", "2026-03-05T10:00", expect=2).stderr
    assert "give a date" in gateway.run("audit", "export", "--until", "yesterday", expect=2).stderr


def test_t087_a_record_that_was_altered_ends_the_export_with_its_number(gateway: Gateway) -> None:
    """What comes before is written; the altered one is named, exit 1."""
    _store(gateway, a_record(recorded=DAY))
    with _altered_last_record(gateway) as seq:
        done = gateway.run("audit", "export", expect=1)

    assert f"audit record {seq} has been altered" in done.stderr
    assert done.stdout


@contextmanager
def _altered_last_record(gateway: Gateway) -> Iterator[int]:
    change = "UPDATE audit_record SET sealed = CAST(? AS BLOB) WHERE seq = ?"
    guard = "SELECT sql FROM sqlite_master WHERE name = 'audit_record_unchanged'"
    with closing(sqlite3.connect(gateway.folder / "var" / "gateway.db", isolation_level=None)) as raw:
        seq, sealed = raw.execute("SELECT seq, sealed FROM audit_record ORDER BY seq DESC LIMIT 1").fetchone()
        (guarded,) = raw.execute(guard).fetchone()
        raw.execute("DROP TRIGGER audit_record_unchanged")
        raw.execute(change, [sealed[:-1] + bytes([sealed[-1] ^ 1]), seq])
        yield seq
        raw.execute(change, [sealed, seq])
        raw.execute(guarded)


def test_the_log_is_signed_checked_and_one_record_of_it_is_shown_by_command(gateway: Gateway, tmp_path: Path) -> None:
    """The key an auditor keeps, the checkpoints, the check by the verifier, and a proof for one record."""
    record = a_record(recorded=DAY)
    _store(gateway, record)
    key = gateway.run("audit", "key").stdout
    assert key.startswith("exchange.example+")
    note = gateway.run("audit", "checkpoint").stdout
    outside = tmp_path / "checkpoint"
    outside.write_text(note)
    kept = tmp_path / "key"
    kept.write_text(key)

    assert gateway.run("audit", "verify").stdout.startswith("OK: ")
    assert gateway.run("audit", "verify", "--checkpoints", str(outside), "--key", str(kept)).stdout.startswith("OK: ")
    kept.write_text("")
    assert f"{kept} holds no public key" in gateway.run("audit", "verify", "--key", str(kept), expect=1).stderr
    proof = gateway.run("audit", "prove", record.id).stdout.split("\n")
    assert proof[0] == "c2sp.org/tlog-proof@v1"
    entry = base64.b64decode(proof[1].removeprefix("extra "))
    assert json.loads(entry)["id"] == record.id
    index, end = int(proof[2].removeprefix("index ")), proof.index("")
    origin, size, root = proof[end + 1 : end + 4]
    path = [base64.b64decode(line) for line in proof[3:end]]
    assert origin == "exchange.example"
    assert is_included(leaf_hash(entry), index, int(size), path, base64.b64decode(root))
    assert "no record" in gateway.run("audit", "prove", "nothing", expect=1).stderr


def test_the_log_is_exported_with_the_records_asked_for_and_the_entries_of_all(gateway: Gateway) -> None:
    """Nothing is left out of a period or of a person's history: the other lines are there, without their records."""
    person = _person(gateway)
    wanted, other = a_record(patient=person, recorded=DAY), a_record(recorded=DAY)
    _store(gateway, wanted, other)

    lines = _export(gateway, "--format", "log", "--patient", person, "--until", "2026-03-05")
    assert [line["index"] for line in lines] == list(range(len(lines)))
    assert all("entry" in line for line in lines)
    shown = [from_canonical(line["record"].encode()) for line in lines if "record" in line]
    assert wanted in shown
    assert {record.patient for record in shown} == {person}
    assert all("record" not in line for line in _export(gateway, "--format", "entries"))


def test_records_are_pruned_by_policy_or_against_it_and_that_is_on_record(gateway: Gateway) -> None:
    """Six years unless somebody says that they know better; the verifier finds nothing amiss afterwards."""
    _store(gateway, a_record(recorded=DAY))
    refused = gateway.run("audit", "prune", "--before", "2025-01-01", expect=1).stderr
    assert "kept for 6 years" in refused
    assert gateway.run_json("audit", "prune", "--before", "2010-01-01")["pruned"] == 0

    today = datetime.now(UTC).date().isoformat()
    options = ("--before", today, "--shorter-than-policy")
    done = gateway.run_json("audit", "prune", *options)
    assert done["pruned"] == 0, "the log begins with what set the exchange up, today"
    acts = [record for record in _export(gateway, "--format", "records") if record.get("reason") == "audit prune"]
    assert ["retention-years", "6"] in acts[-1]["details"]
    assert gateway.run("audit", "verify").stdout.startswith("OK: ")


def test_the_commands_of_the_log_answer_in_json_too(gateway: Gateway, tmp_path: Path) -> None:
    """The same, for programs; what is amiss as well, with exit code 1."""
    record = a_record(recorded=DAY)
    _store(gateway, record)
    made = gateway.run_json("audit", "checkpoint")
    assert made["note"].startswith(f"exchange.example\n{made['size']}\n{made['root']}\n")
    assert made in gateway.run_json("audit", "checkpoints")
    assert gateway.run_json("audit", "key")["keys"] == gateway.run("audit", "key").stdout.splitlines()
    proof = gateway.run_json("audit", "prove", record.id)
    assert json.loads(proof["entry"])["id"] == proof["id"] == record.id
    assert all(f"\n{one}\n" in proof["proof"] for one in proof["path"])
    assert (done := gateway.run_json("audit", "verify"))["ok"]
    assert done["said"][0].startswith("OK: ")

    (tmp_path / "key").write_text("")
    failed = gateway.run("audit", "verify", "--key", str(tmp_path / "key"), "--json", expect=1)
    assert json.loads(failed.stdout) == {"ok": False, "said": [f"BAD: {tmp_path / 'key'} holds no public key"]}


@contextmanager
def _changed(gateway: Gateway, guard: str, change: str) -> Iterator[None]:
    """The database as it is after an owner has taken a trigger away and changed something; put right afterwards."""
    database = gateway.folder / "var" / "gateway.db"
    with closing(sqlite3.connect(database, isolation_level=None)) as raw, closing(sqlite3.connect(":memory:")) as copy:
        raw.backup(copy)
        raw.execute(f"DROP TRIGGER {guard}")
        raw.execute(change)
        yield
        copy.backup(raw)


def _kept_outside(gateway: Gateway, folder: Path) -> list[str]:
    for name, command in (("checkpoints", "checkpoint"), ("key", "key")):
        (folder / name).write_text(gateway.run("audit", command).stdout)
    return ["--checkpoints", str(folder / "checkpoints"), "--key", str(folder / "key")]


def test_t087_a_record_that_was_filed_under_another_patient_is_found(gateway: Gateway, tmp_path: Path) -> None:
    """It would be missing in an accounting of disclosures and be whole all the same."""
    _store(gateway, a_record(recorded=DAY, patient="somebody"))
    outside = _kept_outside(gateway, tmp_path)
    last = "(SELECT max(seq) FROM audit_record WHERE patient_key IS NOT NULL)"
    for value, options in (("NULL", []), ("'text'", outside)):
        change = f"UPDATE audit_record SET patient_key = {value} WHERE seq = {last}"  # noqa: S608  # the test's own
        with _changed(gateway, "audit_record_unchanged", change):
            said = gateway.run("audit", "verify", *options, expect=1).stderr
            assert "the record is filed under another patient" in said
            assert said.startswith("BAD: index ")
    assert gateway.run("audit", "verify").stdout.startswith("OK: ")


def test_t087_a_place_in_the_log_that_was_deleted_is_found_with_its_number(gateway: Gateway, tmp_path: Path) -> None:
    """With what waits for a place or without; and an auditor elsewhere still gets every other line."""
    outside = _kept_outside(gateway, tmp_path)
    with _changed(gateway, "audit_leaf_kept", "DELETE FROM audit_leaf WHERE log_index = 1"):
        for options in ([], outside):
            said = gateway.run("audit", "verify", *options, expect=1).stderr
            assert "BAD: index 1 is missing or out of order: the export goes on with 2" in said
        done = gateway.run("audit", "export", "--format", "log")
        indexes = [json.loads(line)["index"] for line in done.stdout.splitlines()]
        assert indexes[:3] == [0, 2, 3]
        assert "are not all there" in done.stderr


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("x'00'", " records was altered"),
        ("note || 'more'", " records was altered"),
        ("replace(note, 'exchange.example', 'exchange.examplf')", "the database's checkpoints: the checkpoint of "),
    ],
)
def test_a_checkpoint_that_was_altered_in_the_database_is_told_as_that(gateway: Gateway, value: str, said: str) -> None:
    """Not by the name of a file that is gone, and by no traceback."""
    gateway.run("audit", "checkpoint")
    last = "(SELECT max(size) FROM audit_checkpoint)"
    change = f"UPDATE audit_checkpoint SET note = {value} WHERE size = {last}"  # noqa: S608  # the test's own
    with _changed(gateway, "audit_checkpoint_unchanged", change):
        failed = gateway.run("audit", "verify", expect=1).stderr

    assert failed.startswith("BAD: ")
    assert said in failed


def test_the_help_tells_what_can_be_done(gateway: Gateway) -> None:
    """Each command with a line of its own."""
    text = gateway.run("audit", "--help").stdout

    for name in ("export", "key", "checkpoint", "checkpoints", "prove", "verify", "prune"):
        assert f"\n  {name} " in text
