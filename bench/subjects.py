"""What is measured: the gateway, the limit and the glue, each a server of its own in front of the same archives."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from joserfc.jwk import ECKey

from bench.archives import CannedArchives, local_id
from gateway.adapters.qido_answer import SERIES, STUDIES
from tests.services.process import Server, accepts_connections, free_port

NATIONAL = "urn:oid:2.16.840.1.113883.4.330.840"
TICKS = os.sysconf("SC_CLK_TCK")
_PAUSE_S = 0.5
_MOST_PAUSES = 60


class Subject(ABC):
    """One server under load: where it is, which paths to ask, with which token, and what it costs."""

    name = ""
    connections = 32
    """As many as ask at once to saturate it."""

    def __init__(self, archives: CannedArchives, folder: Path, workers: int, threads: int) -> None:
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.archives = archives
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.server = self.start(workers, threads)
        self.server.wait_until(lambda: accepts_connections(self.port))

    @abstractmethod
    def start(self, workers: int, threads: int) -> Server:
        """The server process, not yet waited for."""

    def paths(self) -> list[str]:
        """One search a patient."""
        return [f"/ImagingStudy?patient.identifier=x|{n:04d}" for n in range(self.archives.shape.patients)]

    def token(self) -> str:
        return "none"

    def pids(self) -> list[int]:
        """The server's processes, children included."""
        found = [self.server.pid]
        for pid in found:
            children = Path(f"/proc/{pid}/task/{pid}/children")
            found += [int(child) for child in children.read_text().split()] if children.exists() else []
        return found

    def cpu_s(self) -> float:
        """CPU seconds spent so far, over all its processes."""
        total = 0
        for pid in self.pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def settle(self) -> None:
        """It has finished what nobody waits for any more, so that the next one has the machine to itself."""
        for _ in range(_MOST_PAUSES):
            before = self.cpu_s()
            time.sleep(_PAUSE_S)
            if self.cpu_s() - before <= _PAUSE_S / 10:
                return

    def worker_rss_mb(self) -> float:
        """The largest resident set of any of its processes."""
        sizes = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids()]
        return max(sizes) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def stop(self) -> None:
        self.server.stop()


class Bare(Subject):
    """A subject that is one Python file and needs nothing but the archives."""

    def start(self, workers: int, threads: int) -> Server:
        env = {
            **os.environ,
            "BENCH_STUDIES_QUERY": f"&limit=1000&offset=0{STUDIES.fields}",
            "BENCH_SERIES_QUERY": f"&limit=1000&offset=0{SERIES.fields}",
            "BENCH_URLS": " ".join(self.archives.url(n) for n in range(self.archives.shape.facilities)),
            "BENCH_LISTEN": f"127.0.0.1:{self.port}",
            "BENCH_WORKERS": str(workers),
            "BENCH_THREADS": str(threads),
            "PYTHONPATH": str(Path(__file__).parent.parent),
        }
        return Server(self.name, [sys.executable, "-m", f"bench.{self.name}"], folder=self.folder, env=env)


class Limit(Bare):
    name = "limit"


class Glue(Bare):
    name = "glue"
    connections = 4  # of more, most would have given up before their turn came


class Gateway(Subject):
    """The gateway as an operator sets it up: facilities, patients, a consent each, one client; PostgreSQL or SQLite."""

    name = "gateway"
    database_url = ""
    redis_url = ""

    def start(self, workers: int, threads: int) -> Server:
        env = self._environment(workers, threads)
        self._set_up(env)
        return Server(self.name, [sys.executable, "-m", "gateway", "serve"], folder=self.folder, env=env)

    def _environment(self, workers: int, threads: int) -> dict[str, str]:
        env = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
        env |= {
            "PYTHONPATH": str(Path(__file__).parent.parent),
            "GATEWAY_LISTEN": f"127.0.0.1:{self.port}",
            "GATEWAY_DATA_DIR": str(self.folder),
            "GATEWAY_WORKERS": str(workers),
            "GATEWAY_THREADS": str(threads),
            "GATEWAY_STRONG_IDENTIFIER_SYSTEMS": NATIONAL,
        }
        if self.database_url:
            env["GATEWAY_DATABASE_URL"] = self.database_url
        if self.redis_url:
            env["GATEWAY_REDIS_URL"] = self.redis_url
        return env

    def _set_up(self, env: Mapping[str, str]) -> None:
        self._key = ECKey.generate_key("P-384", {"kid": "bench", "use": "sig", "alg": "ES384"})
        (self.folder / "client.jwk").write_text(json.dumps(self._key.as_dict(private=True)))
        (self.folder / "client.jwks").write_text(json.dumps({"keys": [self._key.as_dict(private=False)]}))
        (self.folder / "facilities.toml").write_text(self._facilities())
        (self.folder / "patients.ndjson").write_text(self._patients())
        (self.folder / "consents.ndjson").write_text(self._consents())
        self._env = env
        self._run("db", "upgrade")
        self._run("facilities", "apply", "facilities.toml")
        self._run("patients", "load", "patients.ndjson")
        self._run("consents", "load", "consents.ndjson")
        scope = "system/ImagingStudy.rs system/Patient.rs"
        client = ("--name", "Bench EHR", "--organization", "urn:oid:2.999.1", "--jwks", "client.jwks")
        self._run("clients", "add", "ehr", *client, "--scope", scope, "--purpose", "TREAT")

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "gateway", *arguments],
            cwd=self.folder, env=dict(self._env), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"gateway {arguments[0]} {arguments[1]}: {done.stderr}")
        return done.stdout.strip()

    def _facilities(self) -> str:
        return "".join(
            f'[[facility]]\nid = "f{n}"\nname = "Facility {n}"\nidentifier_system = "urn:oid:2.999.{n + 10}"\n'
            f'time_zone = "America/New_York"\nadapter = "dicomweb"\nquery_url = "{self.archives.url(n)}"\n\n'
            for n in range(self.archives.shape.facilities)
        )

    def _patients(self) -> str:
        lines = []
        for patient in range(self.archives.shape.patients):
            for facility in range(self.archives.shape.facilities):
                record = {
                    "resourceType": "Patient",
                    "identifier": [
                        {"system": f"urn:oid:2.999.{facility + 10}", "value": local_id(facility, patient)},
                        {"system": NATIONAL, "value": f"BENCH-{patient:06d}"},
                    ],
                    "name": [{"family": f"Bench{patient:04d}", "given": ["Berta"]}],
                    "birthDate": "1970-01-01",
                    "gender": "female",
                }
                lines.append(json.dumps(record))
        return "\n".join(lines) + "\n"

    def _consents(self) -> str:
        treat = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"}
        return "".join(
            json.dumps(
                {
                    "resourceType": "Consent",
                    "id": f"bench-{patient}",
                    "status": "active",
                    "scope": {
                        "coding": [
                            {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}
                        ]
                    },
                    "category": [
                        {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IDSCL"}]}
                    ],
                    "patient": {"identifier": {"system": NATIONAL, "value": f"BENCH-{patient:06d}"}},
                    "dateTime": "2026-01-01T00:00:00Z",
                    "performer": [{"display": "the patient"}],
                    "organization": [{"display": "the exchange"}],
                    "sourceAttachment": {"title": "signed form"},
                    "policy": [{"uri": "https://profiles.ihe.net/ITI/PCF/Policy-basic-normal"}],
                    "provision": {"type": "permit", "purpose": [treat]},
                }
            )
            + "\n"
            for patient in range(self.archives.shape.patients)
        )

    def paths(self) -> list[str]:
        return [
            f"/fhir/r4/ImagingStudy?patient.identifier={quote(NATIONAL)}%7CBENCH-{n:06d}&_include=ImagingStudy:endpoint"
            for n in range(self.archives.shape.patients)
        ]

    def token(self) -> str:
        """A fresh access token, from the running gateway."""
        for _ in range(50):
            try:
                urllib.request.urlopen(f"{self.base}/readyz", timeout=2).close()
                break
            except OSError:
                time.sleep(0.1)
        return self._run("clients", "token", "ehr", "--key", "client.jwk")


def first_answer(subject: Subject) -> bytes:
    """The body of one search: the run is worth nothing if it isn't right."""
    request = urllib.request.Request(
        subject.base + subject.paths()[0], headers={"Authorization": f"Bearer {subject.token()}"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        body: bytes = answer.read()
    return body
