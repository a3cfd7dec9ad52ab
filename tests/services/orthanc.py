"""Orthanc, a real archive: QIDO-RS, WADO-RS and DIMSE, behind HTTP Basic."""

import json
import os
import signal
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

from tests.services.dicom_files import StudyOnFile
from tests.services.loopback import preload
from tests.services.process import Server, ServiceMissing, binary, free_port, scratch_folder

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
USERNAME, PASSWORD = "gateway", "gateway-password"


class Orthanc:
    """A running archive of one facility. `name` is its AE title and the issuer its data state."""

    def __init__(self, name: str, **options: Any) -> None:
        if not PLUGIN.exists():
            msg = "orthanc-dicomweb is not installed; run deploy/dev/install-services.sh as root"
            raise ServiceMissing(msg)
        self.name = name
        self.username, self.password = USERNAME, PASSWORD
        self.http_port, self.dicom_port = free_port(), free_port()
        self.base_url = f"http://127.0.0.1:{self.http_port}"
        self.dicomweb_url = f"{self.base_url}/dicom-web"
        self.studies: tuple[StudyOnFile, ...] = ()
        self._folder = scratch_folder(f"orthanc-{name.lower()}")
        self._options = options
        self.start()

    def start(self) -> None:
        """It answers. What it held before a stop, it holds again."""
        file = self._folder / "orthanc.json"
        file.write_text(json.dumps({**self._configuration(), **self._options}))
        env = os.environ | {"LD_PRELOAD": preload(), "LC_ALL": "C.UTF-8", "TCP_NODELAY": "1"}
        # Its own way to stop takes seconds, and nothing of it is kept.
        argv = [binary("Orthanc"), str(file)]
        name = f"orthanc-{self.name.lower()}"
        self._server = Server(name, argv, folder=self._folder, env=env, stop_signal=signal.SIGKILL)
        self._server.wait_until(self._answers)

    def _configuration(self) -> dict[str, Any]:
        storage = str(self._folder / "storage")
        return {
            "Name": self.name,
            "StorageDirectory": storage,
            "IndexDirectory": storage,
            "Plugins": [str(PLUGIN)],
            "HttpPort": self.http_port,
            "DicomPort": self.dicom_port,
            "DicomAet": self.name,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {self.username: self.password},
            "DicomAlwaysAllowFind": True,
            "DicomAlwaysAllowStore": True,
            "DicomCheckCalledAet": True,
            "DefaultEncoding": "Utf8",
            "LimitFindResults": 0,
            "LimitFindInstances": 0,
            "SaveJobs": False,
            "StableAge": 1,
            "WebDavEnabled": False,
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "StudiesMetadata": "MainDicomTags"},
        }

    def _answers(self) -> bool:
        try:
            return self._get("/system").ok
        except requests.RequestException:
            return False

    def _get(self, path: str) -> requests.Response:
        return requests.get(self.base_url + path, auth=(self.username, self.password), timeout=5)

    def load(self, studies: Sequence[StudyOnFile]) -> None:
        """The archive holds the studies too."""
        from tests.services import dicom_writer  # slow to import, and few test runs need it

        self.load_files(dicom_writer.write(studies, scratch_folder("dicom")))
        self.studies += tuple(studies)

    def load_files(self, paths: Iterable[Path]) -> None:
        """The archive holds the files too. Raises requests.HTTPError where it refuses one."""
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self._store, paths))

    def _store(self, path: Path) -> None:
        headers = {"Content-Type": "application/dicom"}
        answer = requests.post(
            f"{self.base_url}/instances",
            data=path.read_bytes(),
            headers=headers,
            auth=(self.username, self.password),
            timeout=10,
        )
        answer.raise_for_status()

    def log_text(self) -> str:
        """All it has said so far."""
        return self._server.log_text()

    def stop(self) -> None:
        """The archive has ended; `start` brings it back on the same ports."""
        self._server.stop()
