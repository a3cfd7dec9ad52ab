"""Load on a loopback URL: as much as it takes (closed loop, wrk), or a fixed rate whatever comes back (libcurl)."""

import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pycurl

from tests.services.process import binary

_FEWEST = 20
"""Fewer answers have no percentiles."""

_WRK_SCRIPT = """
local urls, headers, next = {}, {}, 0
for line in io.lines("%(urls)s") do table.insert(urls, line) end
headers["Authorization"] = "%(authorization)s"
request = function() next = next + 1; return wrk.format("GET", urls[next %% #urls + 1], headers) end
done = function(summary) print(string.format("SUMMARY %%d %%d %%d", summary.requests, summary.duration,
  summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout)) end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturation:
    """What came out of a closed loop."""

    per_second: float
    errors: int
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds from the moment a request was due (so a queue counts) to its last byte."""

    rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    errors: int


def saturate(
    base: str, paths: Sequence[str], token: str, *, connections: int, seconds: int, folder: Path
) -> Saturation:
    """As many requests as `connections` connections can get answered."""
    (folder / "urls").write_text("\n".join(paths) + "\n")
    script = _WRK_SCRIPT % {"urls": folder / "urls", "authorization": f"Bearer {token}"}
    (folder / "wrk.lua").write_text(script)
    argv = [
        binary("wrk"),
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        "--timeout",
        "10s",
        "-s",
        str(folder / "wrk.lua"),
    ]
    output = subprocess.run([*argv, base], check=True, capture_output=True, text=True).stdout
    found = re.search(r"SUMMARY (\d+) (\d+) (\d+)", output)
    if not found:
        raise RuntimeError(output)
    requests, micros, errors = map(int, found.groups())
    return Saturation(per_second=requests / (micros / 1e6), errors=errors, requests=requests)


def at_rate(base: str, paths: Sequence[str], token: str, *, rate: float, seconds: float) -> Latency:
    """A request every `1/rate` seconds, whether or not the earlier ones have been answered."""
    multi = pycurl.CurlMulti()
    idle: list[pycurl.Curl] = []
    due: dict[pycurl.Curl, float] = {}
    taken: list[float] = []
    errors = 0
    count = max(_FEWEST, int(rate * seconds))
    begin = time.perf_counter() + 0.05
    sent = 0
    while sent < count or due:
        now = time.perf_counter()
        while sent < count and begin + sent / rate <= now:
            curl = idle.pop() if idle else _easy(token)
            curl.setopt(pycurl.URL, base + paths[sent % len(paths)])
            due[curl] = begin + sent / rate
            multi.add_handle(curl)
            sent += 1
        multi.perform()
        _, done, failed = multi.info_read()
        end = time.perf_counter()
        for curl in [*done, *(item[0] for item in failed)]:
            taken.append((end - due.pop(curl)) * 1000)
            errors += curl.getinfo(pycurl.RESPONSE_CODE) != 200
            multi.remove_handle(curl)
            idle.append(curl)
        wait = begin + sent / rate - time.perf_counter() if sent < count else 0.01
        if wait > 0 and not (done or failed):
            multi.select(min(wait, 0.01))
    taken.sort()
    at = [taken[min(len(taken) - 1, int(len(taken) * share))] for share in (0.5, 0.95, 0.99)]
    return Latency(rate=rate, p50_ms=at[0], p95_ms=at[1], p99_ms=at[2], errors=errors)


def _easy(token: str) -> pycurl.Curl:
    curl = pycurl.Curl()
    curl.setopt(pycurl.NOSIGNAL, 1)
    curl.setopt(pycurl.TIMEOUT_MS, 15000)
    curl.setopt(pycurl.WRITEFUNCTION, lambda _: None)
    curl.setopt(pycurl.HTTPHEADER, [f"Authorization: Bearer {token}"])
    return curl
