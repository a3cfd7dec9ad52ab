"""Identity as it answers: the feed, `$match` and look-ups in a large index; SQLite and PostgreSQL, all of it durable.

`python -m bench.matching --store N` prints a table and writes `bench/results/online-*.json`. The index is filled first
(`matching_index.py`) and isn't measured. Encryption is on, and what is done is in the audit.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import requests
from joserfc.jwk import ECKey

from bench.matching_index import NOW, STRONG, SYSTEMS, Known, copy_to_postgres, fill_sqlite, unseen
from gateway.audit.log import open_audit_log
from gateway.audit.record import Who
from gateway.db.crypto import create_key_file, read_key_file
from gateway.db.session import open_database
from gateway.db.upgrade import upgrade_to_head
from gateway.identity_desk import IdentityDesk, Told
from gateway.model import Facility, FacilityID, PatientRef
from gateway.mpi.algorithm import default_algorithm
from gateway.mpi.domain_words import DomainWords
from gateway.mpi.feed import PatientFeed
from gateway.mpi.matching import MatchingRule
from gateway.mpi.questions import PatientQuestions
from gateway.mpi.resolve import PatientIndex
from gateway.mpi.source import SourceRecords
from tests.services.postgres import Postgres
from tests.services.process import Server, accepts_connections, free_port

RESULTS = Path(__file__).parent / "results"
QUESTIONS = 3_000
ARRIVALS = 2_000
_BATCH = 100
_WARM = 100
_SAID_LITTLE = ("resourceType", "name", "birthDate", "gender")
Figures = dict[str, float]


def _timed(work: Callable[[Any], object], of: Sequence[Any]) -> Figures:
    for one in of[:_WARM]:
        work(one)
    taken, spent = [], time.process_time()
    for one in of[_WARM:]:
        began = time.perf_counter()
        work(one)
        taken.append(time.perf_counter() - began)
    cpu = (time.process_time() - spent) / len(taken)
    taken.sort()
    share = {f"p{at}_ms": taken[int(len(taken) * at / 100)] * 1000 for at in (50, 95, 99)}
    return {**share, "per_second": len(taken) / sum(taken), "cpu_ms": cpu * 1000}


class OnlineIndex:
    """A filled index and the doors to it."""

    def __init__(self, url: str, keys_file: Path, records: int) -> None:
        self.url = url
        self.keys_file = keys_file
        self.engine = open_database(url)
        keys = read_key_file(keys_file)
        self.audit = open_audit_log(self.engine, keys)
        rule = MatchingRule(default_algorithm(), STRONG)
        self.questions = PatientQuestions(self.engine, keys, rule)
        self.patients = PatientIndex(self.engine, keys)
        facilities = [
            Facility(id=FacilityID(f"f{place}"), name=f"Facility {place}", identifier_system=system, query_url="")
            for place, system in enumerate(SYSTEMS)
        ]

        def feed(who: str) -> tuple[PatientFeed, DomainWords]:
            patients = PatientFeed(self.engine, keys, self.audit, strong_systems=STRONG, who=who, matching=rule)
            return patients, DomainWords(self.engine, keys, patients, strong_systems=STRONG, who=who)

        self.feed = feed
        self.desk = IdentityDesk(
            facilities=lambda: facilities,
            facility_of=lambda _: None,
            feed=feed,
            records=SourceRecords(self.engine, keys),
            audit=self.audit,
            strong_systems=STRONG,
        )
        self.tellers = {
            one.identifier_system: Told(
                facility=one,
                who=Who(organization=one.id, subject_id=f"{one.id}-adt", subject_role="feed"),
                name=f"feed {one.id} (HL7 v2)",
                request="MLLP ADT^A28",
            )
            for one in facilities
        }
        come = unseen(records, 4 * (QUESTIONS + ARRIVALS))
        strangers = min(2 * ARRIVALS, len(come) // 2)
        self.strangers = come[:strangers]
        self.asked = [one for one in come[strangers:] if self._knows(one)][:QUESTIONS]

    def _knows(self, one: Known) -> bool:
        return self.patients.resolve(PatientRef(id=one.person)) is not None  # type: ignore[arg-type]

    def close(self) -> None:
        """Everything is stored, and nothing is open."""
        self.audit.close()
        self.engine.dispose()

    def look_up(self) -> Figures:
        """Of an identifier that the index has."""
        known = [
            record.identifier
            for one in self.asked
            if (found := self.patients.resolve(PatientRef(id=one.person))) is not None  # type: ignore[arg-type]
            for record in found.records[:1]
        ]
        return _timed(lambda one: self.patients.resolve(PatientRef(identifier=one)), known)

    def match(self, *names: str) -> Figures:
        """Of descriptions of known persons, whole or by those elements alone: time, who is found, who is wrong."""
        counts = {"found": 0, "certain": 0, "wrong": 0, "candidates": 0}

        def ask(one: Known) -> None:
            said = {name: one.resource[name] for name in names if name in one.resource} if names else one.resource
            candidates = self.questions.find(said, NOW)
            ranked = self.questions.rank(candidates, candidates.persons)
            grades = self.questions.grades(ranked, candidates)
            counts["candidates"] += len(candidates.persons)
            counts["found"] += any(match.person == one.person for match in ranked)
            certain = [match.person for match, grade in zip(ranked, grades, strict=True) if grade == "certain"]
            counts["certain"] += bool(certain)
            counts["wrong"] += any(person != one.person for person in certain)

        figures = _timed(ask, self.asked)
        return {**figures, **{name: count / len(self.asked) for name, count in counts.items()}}

    def feed_single(self) -> Figures:
        """Matched, linked, stored, audited and durable, one record after the other."""
        return _timed(
            lambda one: self.desk.file(one.patient, self.tellers[one.patient.source.system], NOW),
            self.strangers[: len(self.strangers) // 2],
        )

    def feed_batched(self) -> Figures:
        """The same, a hundred records a transaction."""
        feed = self.feed("bench")[0]
        come = [one.patient for one in self.strangers[len(self.strangers) // 2 :]]
        batches = [come[start : start + _BATCH] for start in range(0, len(come), _BATCH)]
        began, spent = time.perf_counter(), time.process_time()
        for batch in batches:
            feed.save(batch, NOW)
        taken, cpu = time.perf_counter() - began, time.process_time() - spent
        return {"per_second": len(come) / taken, "cpu_ms": cpu / len(come) * 1000}


def _http(index: OnlineIndex, folder: Path) -> Figures:
    """`$match` over HTTP with a token and the audit, one client after the other."""
    port = free_port()
    key = ECKey.generate_key("P-384", {"kid": "bench", "use": "sig", "alg": "ES384"})
    folder.mkdir(exist_ok=True)
    (folder / "client.jwk").write_text(json.dumps(key.as_dict(private=True)))
    (folder / "client.jwks").write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    (folder / "facilities.toml").write_text(
        "".join(
            f'[[facility]]\nid = "f{place}"\nname = "Facility {place}"\nidentifier_system = "{system}"\n'
            'query_url = "http://127.0.0.1:9/dicom-web"\n\n'
            for place, system in enumerate(SYSTEMS)
        )
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    env |= {
        "PYTHONPATH": str(Path(__file__).parent.parent),
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "GATEWAY_DATA_DIR": str(folder),
        "GATEWAY_DATABASE_URL": index.url,
        "GATEWAY_KEYS_FILE": str(index.keys_file),
        "GATEWAY_MATCHING": "on",
        "GATEWAY_STRONG_IDENTIFIER_SYSTEMS": " ".join(STRONG),
        "GATEWAY_CONSENT_POLICY": "basic-normal",
    }

    def run(*arguments: str) -> str:
        argv = [sys.executable, "-m", "gateway", *arguments]
        done = subprocess.run(argv, cwd=folder, env=env, check=False, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"gateway {arguments[0]} {arguments[1]}: {done.stderr}")
        return done.stdout.strip()

    run("facilities", "apply", "facilities.toml")
    client = ("--name", "Bench", "--organization", "urn:oid:2.999.1", "--jwks", "client.jwks")
    run("clients", "add", "bench", *client, "--scope", "system/Patient.rs", "--purpose", "TREAT")
    server = Server("gateway", [sys.executable, "-m", "gateway", "serve"], folder=folder, env=env)
    server.wait_until(lambda: accepts_connections(port))
    try:
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {run('clients', 'token', 'bench', '--key', 'client.jwk')}"
        session.headers["Content-Type"] = "application/fhir+json"
        url = f"http://127.0.0.1:{port}/fhir/r4/Patient/$match"

        def ask(one: Known) -> None:
            parameter = [{"name": "resource", "resource": one.resource}]
            answer = session.post(url, data=json.dumps({"resourceType": "Parameters", "parameter": parameter}))
            answer.raise_for_status()

        return _timed(ask, index.asked[:1000])
    finally:
        server.stop()


def measure(index: OnlineIndex, folder: Path) -> dict[str, Figures]:
    """Every figure of one database; the feed comes last, since it changes the index."""
    return {
        "look-up by identifier": index.look_up(),
        "$match, in process": index.match(),
        "$match, name, birth date and sex alone": index.match(*_SAID_LITTLE),
        "$match, over HTTP": _http(index, folder),
        "feed, one by one": index.feed_single(),
        "feed, a hundred a transaction": index.feed_batched(),
    }


def run(records: int) -> None:
    """Prints a table and writes it to `bench/results`."""
    report: dict[str, Any] = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "records": records,
    }
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name:
        folder = Path(name)
        keys_file, file = folder / "keys.json", folder / "index.db"
        create_key_file(keys_file)
        postgres = Postgres(durable=True)
        urls = {"SQLite": f"sqlite:///{file}", "PostgreSQL": postgres.create_empty()}
        for url in urls.values():
            engine = open_database(url)
            upgrade_to_head(engine)
            engine.dispose()
        fill_sqlite(file, keys_file, records)
        copy_to_postgres(file, urls["PostgreSQL"])
        for database, url in urls.items():
            index = OnlineIndex(url, keys_file, records)
            report[database] = measure(index, folder / database)
            index.close()
            print_table(f"{database}, {records:,} records", report[database])
        postgres.stop()
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"online-{report['at'].replace(':', '')}.json"
    path.write_text(json.dumps(report, indent=1) + "\n")
    print(f"\nstored in bench/results/{path.name}")


def print_table(title: str, figures: dict[str, Figures]) -> None:
    """One line for each figure; CPU is this process's own."""
    print(f"\n{title}")
    print(f"{'':40}{'a second':>10}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'CPU ms':>9}")
    for name, one in figures.items():
        shares = "".join(f"{one[at]:9.3f}" if at in one else f"{'':9}" for at in ("p50_ms", "p95_ms", "p99_ms"))
        print(f"{name:40}{one['per_second']:10.0f}{shares}{one['cpu_ms']:9.3f}")
        if "found" in one:
            print(f"{'':4}found {one['found']:.2%}, certain {one['certain']:.2%}, wrong {one['wrong']:.3%}")
