"""Bulk: a file loaded, an algorithm trained, everything linked again; SQLite and PostgreSQL, as an operator does it.

`python -m bench.matching --bulk N` prints a table and writes `bench/results/bulk-*.json`. The file is generated first
(households, see `tests/accuracy/population.py`) and isn't measured. Encryption is on; commits are durable.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from gateway.audit.log import open_audit_log
from gateway.audit.record import Who
from gateway.db.crypto import read_key_file
from gateway.db.session import open_database
from gateway.mpi.algorithm import default_algorithm
from gateway.mpi.bulk.apply import Applied, PlanDoer
from gateway.mpi.bulk.relink import plan_relink
from gateway.mpi.bulk.stored import StoredRecords
from gateway.mpi.bulk.train import train
from gateway.mpi.feed import PatientFeed
from gateway.mpi.matching import MatchingRule
from tests.accuracy.population import SSN, TODAY, Population
from tests.services.postgres import Postgres

RESULTS = Path(__file__).parent / "results"
SYSTEM = "urn:oid:1.2.36.1.10"
STRONG = frozenset((SSN,))
CORES = len(os.sched_getaffinity(0))
_PART = 20_000
_FACILITIES = f'[[facility]]\nid = "north"\nname = "North"\nidentifier_system = "{SYSTEM}"\n'
_FACILITIES += 'query_url = "http://127.0.0.1:9/dicom-web"\n'
_TRAINED_ON = 100_000


@dataclass(slots=True)
class Clock:
    """Seconds of wall and CPU, own and of ended child processes, by step."""

    steps: dict[str, dict[str, float]] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """What is done inside is the step."""
        start, spent = time.perf_counter(), _cpu()
        yield
        self._ended(name, start, spent)

    def phases(self) -> Callable[[str], None]:
        """A progress callback whose steps end where the next begins; an empty one ends the last."""
        under_way: list[tuple[str, float, float]] = []

        def begin(name: str) -> None:
            if under_way:
                self._ended(*under_way.pop())
            if name:
                under_way.append((f"relink: {name}", time.perf_counter(), _cpu()))

        return begin

    def _ended(self, name: str, start: float, spent: float) -> None:
        seconds, cpu = time.perf_counter() - start, _cpu() - spent
        self.steps[name] = {"seconds": seconds, "cpu_seconds": cpu}
        print(f"  {name:40}{seconds:9.1f} s {cpu:9.1f} s CPU", flush=True)


def _cpu() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _part(number: int, count: int) -> bytes:
    lines = []
    for place, one in enumerate(Population(9000 + number).records(count)):
        kept = {key: value for key, value in one.patient.items() if value}
        known = {"system": SYSTEM, "value": f"P{number:04}-{place:05}"}
        lines.append(orjson.dumps({**kept, "identifier": [known, *kept.get("identifier", ())]}))
    return b"\n".join(lines) + b"\n"


def write_file(path: Path, count: int) -> None:
    """`count` Patients, a line each, of as many catchments as that takes."""
    with path.open("wb") as file, ProcessPoolExecutor(CORES) as pool:
        parts = range(-(-count // _PART))
        file.writelines(pool.map(_part, parts, (min(_PART, count - number * _PART) for number in parts)))


def measure(url: str, folder: Path, file: Path, count: int) -> dict[str, Any]:
    """Every step on the empty database `url`."""
    clock = Clock()
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")},
        "GATEWAY_DATA_DIR": str(folder),
        "GATEWAY_DATABASE_URL": url,
        "GATEWAY_STRONG_IDENTIFIER_SYSTEMS": SSN,
        "GATEWAY_MATCHING": "on",
    }
    gateway = partial(subprocess.run, env=env, check=True, stdout=subprocess.PIPE)
    command = [sys.executable, "-m", "gateway"]
    (folder / "facilities.toml").write_text(_FACILITIES)
    gateway([*command, "facilities", "apply", str(folder / "facilities.toml")])
    with clock.step("load and index (--link-later)"):
        said = json.loads(gateway([*command, "patients", "load", str(file), "--link-later", "--json"]).stdout)
    if said["loaded"] != count:
        sys.exit(f"{said['loaded']} loaded, not {count}")
    return {"steps": clock.steps, **_link(url, folder / "keys.json", clock)}


def _link(url: str, keys_file: Path, clock: Clock) -> dict[str, Any]:
    keys, engine = read_key_file(keys_file), open_database(url)
    rule = MatchingRule(default_algorithm(), STRONG)
    stored = StoredRecords(engine, keys, strong_systems=STRONG, today=TODAY, keys_file=keys_file, processes=CORES)
    with open_audit_log(engine, keys) as audit:
        feed = PatientFeed(engine, keys, audit, strong_systems=STRONG, who="bench")
        with clock.step("relink: identifiers"):
            feed.relink(datetime.now(UTC))
        begin = clock.phases()
        matcher = rule.matcher(stored.last())
        planned = datetime.now(UTC)
        plan = plan_relink(stored, matcher, threads=CORES, progress=begin)
        begin("")
        who = Who(subject_id="bench", subject_role="operator")
        doer = PlanDoer(engine, keys, audit, feed, matcher=matcher, strong_systems=STRONG, who=who)
        with clock.step("relink: carrying it out"):
            *_, done = [Applied(), *doer.apply(plan, planned, lambda: datetime.now(UTC))]
        with clock.step(f"train on {_TRAINED_ON} of them"):
            records = stored.sample(_TRAINED_ON, 1)
            train(records, "bench/1", threads=CORES)
    engine.dispose()
    return {
        "merged": done.merged,
        "asked": done.asked,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def run(count: int) -> None:
    """Prints each step as it ends, and writes all of them."""
    found: dict[str, Any] = {
        "records": count,
        "python": platform.python_version(),
        "cores": CORES,
        "load_before": os.getloadavg()[0],
    }
    with tempfile.TemporaryDirectory(prefix="gateway-bulk-") as name:
        file = Path(name) / "patients.ndjson"
        write_file(file, count)
        for database in os.environ.get("ONLY", "sqlite postgresql").split():
            folder = Path(name) / database
            folder.mkdir()
            print(f"{database}, {count:,} records", flush=True)
            if database == "sqlite":
                found[database] = measure(f"sqlite:///{folder / 'gateway.db'}", folder, file, count)
            else:
                postgres = Postgres(durable=True)
                try:
                    found[database] = measure(postgres.create_empty(), folder, file, count)
                finally:
                    postgres.stop()
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"bulk-{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}.json"
    path.write_text(json.dumps(found, indent=1) + "\n")
    print(f"written: {path}")
