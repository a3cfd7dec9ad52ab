"""Workers are killed while they record, order and sign: nothing acknowledged is lost, nothing invented (T90)."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, text

from gateway.audit.checkpoint import public_key_line
from gateway.audit.checkpoints import Checkpoints
from gateway.audit.log import open_audit_log
from gateway.audit.log_export import log_lines
from gateway.audit.sequence import Sequencer
from gateway.audit.tables import audit_leaf
from gateway.db.crypto import KeyRing
from tests.contract.audit_killed_workers import ORIGIN
from tests.factories_audit import NOON

ROOT = Path(__file__).parents[2]
PROGRAM = "tests.contract.audit_killed_workers"
RECORDS = int(os.environ.get("T090_RECORDS", "800"))
"""8000 is what the full test asks for: eight workers with 1000 each."""
KILLS = 10


@pytest.mark.slow
def test_t090_workers_that_are_killed_leave_one_log_that_holds_all_they_acknowledged(
    database_url: str, engine: Engine, keys: KeyRing, keys_file: Path, tmp_path: Path
) -> None:
    """Eight workers, ten of them killed at random: no gap, no fork, none lost, none invented, and all of it proved."""
    subprocess.run(
        [sys.executable, "-m", PROGRAM, database_url, str(keys_file), str(tmp_path), str(RECORDS), str(KILLS)],
        cwd=ROOT,
        check=True,
        timeout=110,
    )
    told = [file.read_text().split("\n")[:-1] for file in tmp_path.glob("told-*")]
    tried = {line[2:] for lines in told for line in lines if line.startswith("t ")}
    acknowledged = {line[2:] for lines in told for line in lines if line.startswith("a ")}
    _wait_until_alone(engine)
    Sequencer(engine, keys).catch_up()

    with open_audit_log(engine, keys) as log:
        stored = [record.id for record in log.read()]
    with engine.connect() as connection:
        statement = select(func.count(), func.max(audit_leaf.c.log_index), func.count(audit_leaf.c.seq.distinct()))
        leaves, last, seqs = connection.execute(statement.select_from(audit_leaf)).one()
    assert len(told) >= 8, "a worker that was killed as it began has told nothing"
    assert len(acknowledged) >= RECORDS
    assert acknowledged <= set(stored) <= tried
    assert len(stored) == len(set(stored)) == leaves == last + 1 == seqs

    Checkpoints(engine, keys, ORIGIN).make(NOON)
    checkpoints = "".join(made.note for made in Checkpoints(engine, keys, ORIGIN).after(0))
    (tmp_path / "local").write_text(checkpoints)
    (tmp_path / "key").write_text(public_key_line(ORIGIN, keys.checkpoints[0].public_key()) + "\n")
    (tmp_path / "export").write_bytes(b"".join(log_lines(engine, keys, lambda _: True)))
    for outside in ("local", "checkpoints"):
        said = subprocess.run(
            [sys.executable, "-I", str(ROOT / "deploy" / "verify_audit.py"), "export", outside, "key"],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        assert said.startswith("OK: ")
        assert f"{len(stored)} were shown whole" in said


def _wait_until_alone(engine: Engine) -> None:
    # PostgreSQL finishes the statement of a client that was killed, and commits it, before it sees that it is gone.
    if engine.dialect.name == "sqlite":
        return
    others = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with engine.connect() as connection:
        for _ in range(500):
            if connection.execute(others).scalar_one() == 0:
                return
            connection.rollback()
            time.sleep(0.02)
    raise AssertionError
