"""tiny_pacs, a second real archive: it answers QIDO-RS unlike Orthanc, behind a bearer token."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import requests

from tests.services.dicom_files import StudyOnFile
from tests.services.loopback import preload
from tests.services.process import Server, ServiceMissing, accepts_connections, free_port, scratch_folder

TOKEN = "tiny-pacs-token"
BOUNDARY = "part-of-a-study"


class TinyPacs:
    """A running archive that keeps everything in memory."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.token = TOKEN
        self.http_port, self.dicom_port = free_port(), free_port()
        self.dicomweb_url = f"http://127.0.0.1:{self.http_port}/dicomweb"
        self.studies: tuple[StudyOnFile, ...] = ()
        folder = scratch_folder(f"tiny-pacs-{name.lower()}")
        file = folder / "tiny-pacs.yaml"
        file.write_text(json.dumps(self._configuration()))  # YAML reads JSON
        program = Path(sys.executable).with_name("tiny-pacs")
        if not program.exists():
            msg = "tiny-pacs is not installed; install requirements-dev.txt"
            raise ServiceMissing(msg)
        env = os.environ | {"LD_PRELOAD": preload()}
        self._server = Server(
            f"tiny-pacs-{name.lower()}", [str(program), "run", "-c", str(file)], folder=folder, env=env
        )
        self._server.wait_until(lambda: accepts_connections(self.http_port) and accepts_connections(self.dicom_port))

    def _configuration(self) -> dict[str, object]:
        console = {"class": "logging.StreamHandler", "level": "WARNING", "stream": "ext://sys.stdout"}
        return {
            "ae": {"ae_title": [self.name], "port": self.dicom_port, "dump_ds": False},
            "log": {"version": 1, "handlers": {"console": console}, "root": {"handlers": ["console"]}},
            "components": {
                "Database": {"on": True, "driver": "sqlite", "db_name": "tiny.db", "mode": "memory"},
                "Devices": {"on": True, "auto_add": True},
                "PACS": {"on": True},
                "InMemoryStorage": {"on": True},
                "HttpServer": {"on": True, "host": "127.0.0.1", "port": self.http_port},
                "DICOMWeb": {"on": True, "prefix": "/dicomweb", "auth": "token", "tokens": [self.token]},
            },
        }

    def load(self, studies: Sequence[StudyOnFile]) -> None:
        """The archive holds the studies too (STOW-RS, DICOM PS3.18 §10.5). Raises requests.HTTPError."""
        from tests.services import dicom_writer  # slow to import, and few test runs need it

        parts = []
        for path in dicom_writer.write(studies, scratch_folder("dicom")):
            head = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n"
            parts.append(head.encode() + path.read_bytes() + b"\r\n")
        answer = requests.post(
            f"{self.dicomweb_url}/studies",
            data=b"".join(parts) + f"--{BOUNDARY}--\r\n".encode(),
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY}',
                "Accept": "application/dicom+json",
            },
            timeout=30,
        )
        answer.raise_for_status()
        self.studies += tuple(studies)

    def stop(self) -> None:
        """The archive has ended, and what it held with it."""
        self._server.stop()
