"""Run as a program: workers that record, put in order and sign, eight at a time, some of them killed on the way.

    audit_killed_workers.py DATABASE_URL KEYS_FILE FOLDER RECORDS KILLS

Each worker tells in a file of its own what it is about to record (`t`), and what was acknowledged (`a`), until RECORDS
are acknowledged of all together. KILLS of them are killed without notice at random times, each followed by another.
"""

import os
import random
import signal
import sys
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.audit.checkpoints import Checkpoints
from gateway.audit.delivery import Delivery
from gateway.audit.destinations import Folder
from gateway.audit.log import StoredAuditLog, open_audit_log
from gateway.audit.log_keeper import LogKeeper
from gateway.audit.sequence import Sequencer
from gateway.db.crypto import read_key_file
from gateway.db.session import open_database
from gateway.errors import AuditUnavailable
from tests.factories_audit import a_record

WORKERS = 8
THREADS = 4
ORIGIN = "exchange.example"


def work(url: str, keys_file: Path, folder: Path) -> None:
    """Record until killed."""
    engine, keys = open_database(url), read_key_file(keys_file)
    log, checkpoints = open_audit_log(engine, keys), Checkpoints(engine, keys, ORIGIN)

    def now() -> datetime:
        return datetime.now(UTC)

    LogKeeper(
        Sequencer(engine, keys),
        checkpoints,
        Delivery(engine, checkpoints, log, [Folder(folder / "checkpoints")], now),
        log,
        now,
        every_records=100,
        every=timedelta(seconds=60),
        pause=timedelta(seconds=0.02),
    ).start()
    told = os.open(folder / f"told-{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    threads = [threading.Thread(target=record_on_and_on, args=(log, told)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def record_on_and_on(log: StoredAuditLog, told: int) -> None:
    """One record after the other; the file says which."""
    while True:
        record_id = str(uuid.uuid4())
        os.write(told, f"t {record_id}\n".encode())
        try:
            log.record([a_record(id=record_id)])
        except AuditUnavailable:
            continue
        os.write(told, f"a {record_id}\n".encode())


def main() -> None:
    """Start, kill and replace workers until enough is acknowledged; all of them end by being killed."""
    url, keys_file, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    records, kills = int(sys.argv[4]), int(sys.argv[5])
    chance = random.Random(records)
    (folder / "checkpoints").mkdir()
    children: set[int] = set()

    def start() -> None:
        child = os.fork()
        if child == 0:
            work(url, keys_file, folder)
        children.add(child)

    for _ in range(WORKERS):
        start()
    while (done := acknowledged(folder)) < records or kills:
        time.sleep(chance.uniform(0.05, 0.3))
        if kills and done:
            kill(children, chance.choice(sorted(children)))
            start()
            kills -= 1
    for child in sorted(children):
        kill(children, child)


def kill(children: set[int], child: int) -> None:
    """It has ended, and was not asked."""
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    children.remove(child)


def acknowledged(folder: Path) -> int:
    """How many records so far."""
    return sum(file.read_bytes().count(b"a ") for file in folder.glob("told-*"))


if __name__ == "__main__":
    main()
