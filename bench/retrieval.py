"""What a decision about one request at an archive costs: ONLY=retrieval make bench, or python -m bench.retrieval.

A viewer asks for every frame, so a gate and an archive ask the gateway each time: token, identity, links and consent
are read anew for each. The targets: p50 of 2 ms, 1,500 decisions a second on two cores.
"""

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.subjects import TICKS
from tests.functional.retrieval_exchange import COPIED, CT, Retrieving
from tests.services.postgres import Postgres
from tests.services.process import binary
from tests.services.redis import Redis

WORKERS = 2
TARGET_PER_SECOND, TARGET_P50_MS = 1500, 2.0
_FRAMES = 500
_SCRIPT = """
local headers, uris, n = {}, {}, 0
%(headers)s
for i = 1, %(frames)d do uris[i] = "%(uri)s" .. i end
request = function()
  n = n + 1
  headers["X-Original-URI"] = uris[n %% #uris + 1]
  return wrk.format("%(method)s", "%(path)s", headers, %(body)s)
end
done = function(summary, latency)
  print(string.format("SUMMARY %%d %%d %%d %%d", summary.requests, summary.duration,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout,
    latency:percentile(50)))
end
"""


def measure(*, seconds: int) -> dict[str, dict[str, float]]:
    """Decisions a second, CPU of each and p50 of a caller alone, by database and by who asks."""
    figures: dict[str, dict[str, float]] = {}
    with _stores() as stores:
        for name, settings in stores.items():
            exchange = Retrieving.of_gates(GATEWAY_WORKERS=str(WORKERS), **settings)
            try:
                exchange.file_consent("a", {"type": "permit"})
                for asked, question in _questions(exchange).items():
                    figures[f"{asked}, {name}"] = _measured(exchange, question, seconds)
            finally:
                exchange.stop()
    return figures


@contextmanager
def _stores() -> Iterator[Mapping[str, dict[str, str]]]:
    postgres, redis = Postgres(durable=True), Redis()
    shared = {"GATEWAY_REDIS_URL": redis.url}
    try:
        yield {"SQLite": shared, "PostgreSQL": {**shared, "GATEWAY_DATABASE_URL": postgres.create_empty()}}
    finally:
        postgres.stop()
        redis.stop()


def _questions(exchange: Retrieving) -> dict[str, dict[str, Any]]:
    series = f"/dicom-web/studies/{CT}/series/{CT}.1/instances/{CT}.1.1/frames/"
    validate = {
        "level": "study",
        "dicom-uid": COPIED,
        "method": "get",
        "token-key": "Authorization",
        "token-value": f"Bearer {exchange.bound(COPIED)}",
    }
    return {
        "gate": {
            "method": "GET",
            "path": "/retrieval/authorize",
            "uri": series,
            "body": "nil",
            "headers": {
                "X-Facility-Key": exchange.keys_of["north"],
                "X-Original-Method": "GET",
                "Authorization": f"Bearer {exchange.token}",
            },
        },
        "Orthanc": {
            "method": "POST",
            "path": "/retrieval/orthanc/tokens/validate",
            "uri": "",
            "body": f"[[{json.dumps(validate)}]]",
            "headers": {"X-Facility-Key": exchange.keys_of["south"], "Content-Type": "application/json"},
        },
    }


def _measured(exchange: Retrieving, question: Mapping[str, Any], seconds: int) -> dict[str, float]:
    _load(exchange, question, connections=8, seconds=1)
    alone = _load(exchange, question, connections=1, seconds=seconds)
    before = _cpu_s(exchange)
    many = _load(exchange, question, connections=16, seconds=seconds)
    spent = _cpu_s(exchange) - before
    return {
        "per_second": many["per_second"],
        "cpu_ms": spent / many["requests"] * 1000,
        "per_second_of_two_cores": 2000 / (spent / many["requests"] * 1000),
        "p50_ms": alone["p50_ms"],
        "p50_ms_of_16": many["p50_ms"],
        "errors": alone["errors"] + many["errors"],
    }


def _cpu_s(exchange: Retrieving) -> float:
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in exchange.gateway.workers]
    return sum(int(one[11]) + int(one[12]) for one in fields) / TICKS


def _load(exchange: Retrieving, question: Mapping[str, Any], *, connections: int, seconds: int) -> dict[str, float]:
    headers = "\n".join(f'headers["{name}"] = "{value}"' for name, value in question["headers"].items())
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "ask.lua"
        script.write_text(_SCRIPT % {**question, "headers": headers, "frames": _FRAMES})
        argv = [binary("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), exchange.gateway.url]
        done = subprocess.run(argv, check=True, capture_output=True, text=True)
    found = re.search(r"SUMMARY (\d+) (\d+) (\d+) (\d+)", done.stdout)
    assert found, done.stdout
    requests, micros, errors, p50 = map(int, found.groups())
    return {
        "requests": requests,
        "per_second": requests / (micros / 1e6),
        "errors": errors,
        "p50_ms": p50 / 1000,
    }


def print_retrieval(figures: Mapping[str, Mapping[str, float]]) -> None:
    """The table."""
    print(f"\ndecisions about requests at archives, consent decided each time; {WORKERS} workers")
    print(f"{'':24}{'decisions/s':>12}{'CPU ms':>9}{'two cores/s':>12}{'p50 ms':>9}{'p50 of 16':>11}{'errors':>8}")
    for name, f in figures.items():
        print(
            f"{name:24}{f['per_second']:12.0f}{f['cpu_ms']:9.2f}{f['per_second_of_two_cores']:12.0f}"
            f"{f['p50_ms']:9.2f}{f['p50_ms_of_16']:11.2f}{f['errors']:8.0f}"
        )
    print(f"targets: {TARGET_PER_SECOND} decisions/s on two cores, p50 {TARGET_P50_MS} ms")


if __name__ == "__main__":
    print_retrieval(measure(seconds=5))
