"""What the audit costs: python -m bench.audit [seconds]. Targets: 3,000 records/s with PostgreSQL, 2,000 with SQLite.

As many processes as may serve (two, or one over SQLite), with 24 threads each, record what a search over three
facilities discloses, one after the other, each durable before the next; beside them the log is kept as in a serving
process: put in order, hashed, signed. Told are records a second, those of them that had their place in the log by then,
how long the rest took; CPU a record without the database server's; and what one caller waits when nobody else is there:
the most that auditing adds to an answer (target: p50 below 0.5 ms).
"""

import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select

from gateway.audit.checkpoints import Checkpoints
from gateway.audit.delivery import Delivery
from gateway.audit.log import open_audit_log
from gateway.audit.log_keeper import LogKeeper
from gateway.audit.sequence import Sequencer
from gateway.audit.tables import audit_leaf
from gateway.db.crypto import create_key_file, read_key_file
from gateway.db.session import open_database
from gateway.db.upgrade import upgrade_to_head
from tests.factories_audit import a_record
from tests.services.postgres import Postgres

PROCESSES, THREADS = {"SQLite": 1, "PostgreSQL": 2}, 24
ALONE = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured on one database."""

    per_second: float
    p50_ms: float
    p99_ms: float
    logged_share: float
    """Of what was stored, when the load ended."""
    catch_up_s: float
    cpu_us: float
    """CPU of the processes that record and keep the log, a record."""
    alone_p50_ms: float


def measure(seconds: float) -> dict[str, Figures]:
    """Both databases, in turn."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="bench-audit-") as name:
        folder = Path(name)
        create_key_file(folder / "keys.json")
        found["SQLite"] = _on("SQLite", f"sqlite:///{folder / 'gateway.db'}", folder / "keys.json", seconds)
        server = Postgres(durable=True)
        found["PostgreSQL"] = _on("PostgreSQL", server.create_empty(), folder / "keys.json", seconds)
        server.stop()
    return found


def _on(name: str, url: str, keys_file: Path, seconds: float) -> Figures:
    engine, keys = open_database(url, serving=True), read_key_file(keys_file)
    upgrade_to_head(engine)
    engine.dispose()
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[tuple[float, list[float]]] = context.Queue()
    together = context.Barrier(PROCESSES[name])
    workers = [
        context.Process(target=_work, args=(url, keys_file, seconds, together, results)) for _ in range(PROCESSES[name])
    ]
    for worker in workers:
        worker.start()
    told = [results.get(timeout=seconds + 60) for _ in workers]
    waited = sorted(one for _, some in told for one in some)
    with engine.connect() as connection:
        logged = connection.execute(select(func.count()).select_from(audit_leaf)).scalar_one()
    started = time.monotonic()
    Sequencer(engine, keys).catch_up()
    catch_up = time.monotonic() - started
    for worker in workers:
        worker.join()
    with _kept(url, keys_file, threads=2) as record:
        alone = sorted(record() for _ in range(ALONE))
    engine.dispose()
    return Figures(
        per_second=len(waited) / seconds,
        p50_ms=statistics.median(waited) * 1000,
        p99_ms=waited[len(waited) * 99 // 100] * 1000,
        logged_share=logged / len(waited),
        catch_up_s=catch_up,
        cpu_us=sum(cpu for cpu, _ in told) / len(waited) * 1e6,
        alone_p50_ms=statistics.median(alone) * 1000,
    )


class _Recording:
    def __init__(self, log: object) -> None:
        self._log = log

    def __call__(self) -> float:
        record = a_record(id=str(uuid.uuid4()))
        started = time.perf_counter()
        self._log.record([record])  # type: ignore[attr-defined]
        return time.perf_counter() - started


@contextmanager
def _kept(url: str, keys_file: Path, *, threads: int) -> Iterator[_Recording]:
    engine, keys = open_database(url, threads=threads, serving=True), read_key_file(keys_file)
    checkpoints = Checkpoints(engine, keys, "bench.example")

    def now() -> datetime:
        return datetime.now(UTC)

    with open_audit_log(engine, keys) as log:
        delivery = Delivery(engine, checkpoints, log, [], now)
        keeper = LogKeeper(
            Sequencer(engine, keys),
            checkpoints,
            delivery,
            log,
            now,
            every_records=10_000,
            every=timedelta(seconds=60),
        )
        keeper.start()
        yield _Recording(log)
        keeper.close()
    engine.dispose()


def _work(
    url: str,
    keys_file: Path,
    seconds: float,
    together: "multiprocessing.synchronize.Barrier",
    results: "multiprocessing.Queue[tuple[float, list[float]]]",
) -> None:
    waited: list[float] = []
    with _kept(url, keys_file, threads=4) as record:
        together.wait()
        before = time.process_time()
        end = time.monotonic() + seconds

        def on_and_on() -> None:
            while time.monotonic() < end:
                waited.append(record())

        threads = [threading.Thread(target=on_and_on) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        results.put((time.process_time() - before, waited))


def print_audit(found: dict[str, Figures]) -> None:
    """The table."""
    print(f"\nthe audit: {THREADS} threads a process, each record durable before the next; the log is kept")
    columns = {"processes": 10, "records/s": 11, "p50 ms": 9, "p99 ms": 9, "logged": 9, "rest s": 9, "CPU us": 9}
    print(" " * 12 + "".join(f"{title:>{width}}" for title, width in columns.items()) + f"{'alone p50 ms':>14}")
    for name, f in found.items():
        print(
            f"{name:12}{PROCESSES[name]:10}{f.per_second:11.0f}{f.p50_ms:9.2f}{f.p99_ms:9.2f}{f.logged_share:9.0%}"
            f"{f.catch_up_s:9.2f}{f.cpu_us:9.0f}{f.alone_p50_ms:14.2f}"
        )


if __name__ == "__main__":
    figures = measure(float(sys.argv[1]) if len(sys.argv) > 1 else 10)
    print_audit(figures)
    print({name: asdict(one) for name, one in figures.items()})
