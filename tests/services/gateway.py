"""The gateway itself, as operators run it: `python -m gateway`, its settings in the environment."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

import requests

from gateway.audit.canonical import to_canonical
from gateway.audit.log import open_audit_log
from gateway.cli.main import root
from gateway.db.crypto import read_key_file
from gateway.db.session import open_database
from gateway.errors import GatewayError
from tests import canary
from tests.services.process import Server, free_port, scratch_folder

ROOT = Path(__file__).parents[2]


class Gateway:
    """One gateway with its data folder. The commands run before and while it serves."""

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self.folder = scratch_folder("gateway")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.fhir_url = f"{self.url}/fhir/r4"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
        self.env = kept | {
            "GATEWAY_LISTEN": f"127.0.0.1:{self.port}",
            "GATEWAY_DATA_DIR": str(self.folder / "var"),
            "PYTHONPATH": str(ROOT),
            **(settings or {}),
        }
        self._server: Server | None = None

    def run(self, *arguments: str, expect: int = 0, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """`python -m gateway ARGUMENTS`, which ended with the status expected."""
        done = subprocess.run(
            [sys.executable, "-m", "gateway", *arguments],
            cwd=self.folder,
            env=self.env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        canary.record(done.stderr, f"standard error of gateway {' '.join(arguments[:2])}")
        assert done.returncode == expect, f"exit {done.returncode}, not {expect}:\n{done.stdout}\n{done.stderr}"
        return done

    def prepare(self, *arguments: str) -> str:
        """What the command told, run in the tests' own process: to start one costs more than a small command does.

        For what a test needs and is not about. The command did what it was asked to, or its error is raised.
        """
        told, environment = io.TextIOWrapper(io.BytesIO(), write_through=True), dict(os.environ)
        os.environ.clear()
        os.environ.update(self.env)
        try:
            with redirect_stdout(told):
                root(list(arguments), standalone_mode=False)
        finally:
            os.environ.clear()
            os.environ.update(environment)
        return told.buffer.getvalue().decode()

    def run_json(self, *arguments: str, expect: int = 0) -> Any:
        """What the command says with `--json`."""
        return json.loads(self.run(*arguments, "--json", expect=expect).stdout)

    def write(self, name: str, text: str) -> Path:
        """A file for a command to read."""
        path = self.folder / name
        path.write_text(text)
        return path

    def start(self, *, ready: bool = True) -> None:
        """It serves, and says that it is ready; or it serves, and that is all that is waited for."""
        argv = [sys.executable, "-m", "gateway", "serve"]
        self._server = Server("gateway", argv, folder=self.folder, env=self.env)
        self._server.wait_until(self.is_ready if ready else self.is_alive)

    def is_alive(self) -> bool:
        """Whether `/livez` answers."""
        try:
            return requests.get(f"{self.url}/livez", timeout=2).ok
        except requests.RequestException:
            return False

    def is_ready(self) -> bool:
        """Whether `/readyz` says so."""
        try:
            return requests.get(f"{self.url}/readyz", timeout=2).ok
        except requests.RequestException:
            return False

    @property
    def server(self) -> Server:
        """The process that serves."""
        assert self._server, "the gateway has not been started"
        return self._server

    @property
    def workers(self) -> list[int]:
        """The process ids of its workers."""
        children = Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def peak_memory_mb(self) -> list[int]:
        """The most memory that each worker has held so far (`VmHWM`)."""
        status = [Path(f"/proc/{pid}/status").read_text() for pid in self.workers]
        return [int(text.partition("VmHWM:")[2].split()[0]) // 1024 for text in status]

    def metrics(self) -> str:
        """What `/metrics` shows now."""
        text = requests.get(f"{self.url}/metrics", timeout=5).text
        canary.record(text, "/metrics")
        return text

    def log(self) -> str:
        """All it has logged so far, over every start."""
        return self.server.log_text()

    def stop(self) -> int | None:
        """It has ended by SIGTERM; its exit status, and what it logged and counted has been searched for the canary."""
        if self._server is None:
            return None
        if self._server.alive and self.is_ready():
            self.metrics()
        status = self._server.stop()
        canary.record(self._server.log_text(), "the gateway's log")
        self._search_audit()
        return status

    def _search_audit(self) -> None:
        # What is asked about patients stands in it; what people and programs prove who they are with must not.
        database, keys = self.folder / "var" / "gateway.db", self.folder / "var" / "keys.json"
        if "GATEWAY_DATABASE_URL" in self.env or not database.exists() or not keys.exists():
            return
        engine = open_database(f"sqlite:///{database}")
        with suppress(GatewayError), open_audit_log(engine, read_key_file(keys)) as log:
            for record in log.read():
                canary.record_secrets(to_canonical(record).decode(), "the audit")
        engine.dispose()
