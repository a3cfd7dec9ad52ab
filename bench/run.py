"""`make bench`: the gateway, the limit and the glue side by side in one run; ratios, and `bench/results/*.json`.

QUICK=1 makes it short (the figures are then only a smoke test). ONLY=speed|growth|access|consent|audit|retrieval runs
one part.
"""

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import access, audit, consent, retrieval
from bench.archives import CannedArchives, Shape
from bench.load import Latency, at_rate, saturate
from bench.subjects import Gateway, Glue, Limit, Subject, first_answer
from tests.services.postgres import Postgres
from tests.services.redis import Redis

QUICK = bool(os.environ.get("QUICK"))
SECONDS = 3 if QUICK else 10
ROUNDS = 1 if QUICK else 3
RESULTS = Path(__file__).parent / "results"
WORKERS, THREADS = 2, 24


def checked(subject: Subject) -> Subject:
    """The subject, warmed up, its first answer right."""
    bundle = json.loads(first_answer(subject))
    shape = subject.archives.shape
    studies = [e for e in bundle["entry"] if subject.name != "gateway" or e["search"]["mode"] == "match"]
    least = min(50, shape.facilities * shape.studies)
    if len(studies) < least:
        sys.exit(f"{subject.name}: {len(studies)} entries where {least} were expected")
    return subject


def throughput(subject: Subject, folder: Path, *, seconds: int = SECONDS) -> dict[str, float]:
    """Answers a second at saturation, and CPU milliseconds an answer."""
    token, paths = subject.token(), subject.paths()
    saturate(subject.base, paths, token, connections=subject.connections, seconds=1, folder=folder)
    before = subject.cpu_s()
    result = saturate(subject.base, paths, token, connections=subject.connections, seconds=seconds, folder=folder)
    spent = subject.cpu_s() - before
    subject.settle()
    if result.errors:
        sys.exit(f"{subject.name}: {result.errors} errors")
    return {
        "per_second": result.per_second,
        "cpu_ms": spent / result.requests * 1000,
        "rss_mb": subject.worker_rss_mb(),
    }


def subjects(
    archives: CannedArchives, folder: Path, postgres: Postgres, redis: Redis, *, glue: bool = True
) -> dict[str, Subject]:
    """All that are compared, in front of the same archives."""
    on_postgres = type("OnPostgreSQL", (Gateway,), {"database_url": postgres.create_empty(), "redis_url": redis.url})
    on_sqlite = type("OnSQLite", (Gateway,), {"redis_url": redis.url})
    made: dict[str, Subject] = {
        "limit": Limit(archives, folder / "limit", WORKERS, THREADS),
        **({"glue": Glue(archives, folder / "glue", WORKERS, THREADS)} if glue else {}),
        "gateway (PostgreSQL)": on_postgres(archives, folder / "postgres", WORKERS, THREADS),
        "gateway (SQLite)": on_sqlite(archives, folder / "sqlite", WORKERS, THREADS),
    }
    return {name: checked(subject) for name, subject in made.items()}


def compare_throughput(
    folder: Path, postgres: Postgres, redis: Redis, *, varied: bool = False
) -> dict[str, dict[str, float]]:
    """Saturation of each, in turn, several rounds; `varied`: archives that never say the same bytes twice."""
    archives = CannedArchives(Shape(varied=varied), folder / f"prompt-{varied}")
    made = subjects(archives, folder / f"prompt-subjects-{varied}", postgres, redis, glue=not varied)
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in made}
    for _ in range(ROUNDS):
        for name, subject in made.items():
            rounds[name].append(throughput(subject, folder))
    for subject in made.values():
        subject.stop()
    archives.stop()
    return {name: medians(rs, rounds["limit"]) for name, rs in rounds.items()}


def medians(rounds: list[dict[str, float]], limits: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure, and of its ratio to the limit's in the same round: the machine may change between."""
    figures = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
    for key in ("per_second", "cpu_ms"):
        figures[f"{key}_of_limit"] = statistics.median(
            one[key] / limit[key] for one, limit in zip(rounds, limits, strict=True)
        )
    return figures


def compare_latency(folder: Path, postgres: Postgres, redis: Redis, rates: dict[str, float]) -> dict[str, Latency]:
    """Latency at half of each one's saturation, in front of facilities that take 30 ms."""
    archives = CannedArchives(Shape(delay_ms=30), folder / "slow")
    made = subjects(archives, folder / "slow-subjects", postgres, redis)
    measured = {}
    for name, subject in made.items():
        token, paths = subject.token(), subject.paths()
        at_rate(subject.base, paths, token, rate=min(50.0, rates[name] / 4), seconds=2)
        measured[name] = at_rate(subject.base, paths, token, rate=rates[name] / 2, seconds=SECONDS)
        subject.settle()
        subject.stop()
    archives.stop()
    return measured


def growth(folder: Path) -> list[dict[str, Any]]:
    """CPU an answer, as facilities and studies grow."""
    shapes = [Shape(facilities=n, patients=10) for n in (1, 5, 10, 20)]
    shapes += [Shape(facilities=1, patients=10, studies=n) for n in (1, 10, 50, 100, 200)]
    rows = []
    for number, shape in enumerate(shapes):
        archives = CannedArchives(shape, folder / f"growth-{number}")
        subject = checked(Gateway(archives, folder / f"growth-subject-{number}", 1, THREADS))
        figures = throughput(subject, folder, seconds=max(2, SECONDS // 3))
        rows.append({"facilities": shape.facilities, "studies": shape.studies, **figures})
        subject.stop()
        archives.stop()
    return rows


def main() -> None:
    """Run what was asked for, print it, store it."""
    only = os.environ.get("ONLY", "")
    report: dict[str, Any] = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
    }
    report["cores"] = os.cpu_count()
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        if only in ("", "speed"):
            postgres, redis = Postgres(durable=True), Redis()
            speed = compare_throughput(folder, postgres, redis)
            report["throughput"] = speed
            print_throughput(speed)
            report["throughput_varied"] = varied = compare_throughput(folder, postgres, redis, varied=True)
            print_throughput(varied, "the same, no answer of an archive having the bytes of an earlier one")
            latency = compare_latency(folder, postgres, redis, {n: f["per_second"] for n, f in speed.items()})
            report["latency"] = {name: asdict(figures) for name, figures in latency.items()}
            print_latency(latency)
            postgres.stop()
            redis.stop()
        if only in ("", "growth"):
            report["growth"] = growth(folder)
            print_growth(report["growth"])
    if only in ("", "access"):
        report["access"] = access.measure(rounds=1_000 if QUICK else 20_000)
        access.print_access(report["access"])
    if only in ("", "consent"):
        report["consent"] = consent.measure(1_000 if QUICK else 20_000)
        consent.print_consent(report["consent"])
    if only in ("", "retrieval"):
        report["retrieval"] = retrieval.measure(seconds=SECONDS)
        retrieval.print_retrieval(report["retrieval"])
    if only in ("", "audit"):
        kept = audit.measure(2 if QUICK else 10)
        report["audit"] = {name: asdict(figures) for name, figures in kept.items()}
        audit.print_audit(kept)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{report['at'].replace(':', '')}.json"
    path.write_text(json.dumps(report, indent=1) + "\n")
    print(f"\nstored in {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


SPEED = "10 facilities x 5 studies x 3 series, answered at once; 2 workers, saturated"


def print_throughput(speed: dict[str, dict[str, float]], title: str = SPEED) -> None:
    """The table of saturation, with its ratios."""
    glue = speed.get("glue")
    print(f"\n{title}")
    print(f"{'':24}{'answers/s':>10}{'of limit':>10}{'x glue':>9}{'CPU ms':>9}{'x limit':>9}{'RSS MB':>9}")
    for name, f in speed.items():
        ahead = f"{f['per_second'] / glue['per_second']:9.1f}" if glue else f"{'':9}"
        print(
            f"{name:24}{f['per_second']:10.1f}{f['per_second_of_limit']:10.2f}{ahead}"
            f"{f['cpu_ms']:9.2f}{f['cpu_ms_of_limit']:9.2f}{f['rss_mb']:9.0f}"
        )


def print_latency(latency: dict[str, Latency]) -> None:
    """The table of latency beside the 30 ms that the facilities take."""
    print("\nthe same, facilities that take 30 ms, at half of saturation")
    print(f"{'':24}{'rate/s':>8}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'p50-30':>9}{'p99-30':>9}{'errors':>8}")
    for name, f in latency.items():
        over = f"{f.p50_ms - 30:9.1f}{f.p99_ms - 30:9.1f}"
        print(f"{name:24}{f.rate:8.1f}{f.p50_ms:9.1f}{f.p95_ms:9.1f}{f.p99_ms:9.1f}{over}{f.errors:8}")


def print_growth(rows: list[dict[str, Any]]) -> None:
    """How cost grows; linear means that the last column doesn't rise."""
    print("\ngrowth (SQLite, one worker)")
    print(f"{'facilities':>10}{'studies each':>14}{'CPU ms':>9}{'RSS MB':>9}{'CPU us/study':>14}")
    for r in rows:
        each = r["cpu_ms"] * 1000 / (r["facilities"] * r["studies"])
        print(f"{r['facilities']:10}{r['studies']:14}{r['cpu_ms']:9.2f}{r['rss_mb']:9.0f}{each:14.0f}")


if __name__ == "__main__":
    main()
