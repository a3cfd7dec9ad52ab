"""Canned archives: one nginx that plays many facilities, each answering QIDO-RS from files after a set delay."""

import json
from dataclasses import dataclass
from pathlib import Path

from tests.services.process import Server, accepts_connections, binary, free_port

_VARIES = "ARCHIVE"
"""The title under which an archive is reached, which neither the gateway nor the limit reads."""
_ECHO_MODULE = "/usr/lib/nginx/modules/ngx_http_echo_module.so"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How much there is to find: each patient has `studies` studies of `series` series in each facility."""

    facilities: int = 10
    patients: int = 50
    studies: int = 5
    series: int = 3
    delay_ms: int = 0
    varied: bool = False
    """True: no answer has the bytes of an earlier one, though it says the same; nobody can save reading it."""


class CannedArchives:
    """`shape.facilities` archives on one loopback port: `url(i)` is the DICOMweb root of facility `i`."""

    def __init__(self, shape: Shape, folder: Path) -> None:
        self.shape = shape
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        for facility in range(shape.facilities):
            for patient in range(shape.patients):
                _write_answers(folder / f"f{facility}", facility, patient, shape)
        (folder / "nginx.conf").write_text(_configuration(folder, self.port, shape))
        self._server = Server("nginx", [binary("nginx"), "-c", str(folder / "nginx.conf")], folder=folder)
        self._server.wait_until(lambda: accepts_connections(self.port))

    def url(self, facility: int) -> str:
        """The DICOMweb root of one facility."""
        return f"http://127.0.0.1:{self.port}/f{facility}/dicom-web"

    def stop(self) -> None:
        """nginx has ended."""
        self._server.stop()


def local_id(facility: int, patient: int) -> str:
    """The PatientID of patient number `patient` in facility number `facility`."""
    return f"F{facility}-{patient:04d}"


def _write_answers(root: Path, facility: int, patient: int, shape: Shape) -> None:
    root.mkdir(exist_ok=True)
    studies, series = [], []
    for number in range(shape.studies):
        study_uid = f"2.25.{facility + 1:04d}{patient + 1:04d}{number + 1:04d}".replace(".0", ".9")
        studies.append(_study(study_uid, facility, patient, number, shape))
        series += [_series(study_uid, facility, patient, count) for count in range(shape.series)]
    name = local_id(facility, patient)
    (root / f"{name}-studies.json").write_text(json.dumps(studies, separators=(",", ":")))
    (root / f"{name}-series.json").write_text(json.dumps(series, separators=(",", ":")))


def _study(uid: str, facility: int, patient: int, number: int, shape: Shape) -> dict[str, object]:
    return {
        "00080020": {"vr": "DA", "Value": [f"20{10 + number % 15:02d}0{1 + number % 9}1{number % 10}"]},
        "00080030": {"vr": "TM", "Value": ["093000"]},
        "00080050": {"vr": "SH", "Value": [f"A{facility}{patient:04d}{number:03d}"]},
        "00080054": {"vr": "AE", "Value": [_VARIES]},
        "00080061": {"vr": "CS", "Value": ["CT"]},
        "00080090": {"vr": "PN", "Value": [{"Alphabetic": "Referrer^Rita"}]},
        "00081030": {"vr": "LO", "Value": [f"CT Chest {number}"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": f"Bench{patient:04d}^Berta"}]},
        "00100020": {"vr": "LO", "Value": [local_id(facility, patient)]},
        "00100030": {"vr": "DA", "Value": ["19700101"]},
        "0020000D": {"vr": "UI", "Value": [uid]},
        "00201206": {"vr": "IS", "Value": [shape.series]},
        "00201208": {"vr": "IS", "Value": [shape.series * 40]},
    }


def _series(study_uid: str, facility: int, patient: int, number: int) -> dict[str, object]:
    return {
        "00080054": {"vr": "AE", "Value": [_VARIES]},
        "00080060": {"vr": "CS", "Value": ["CT"]},
        "0008103E": {"vr": "LO", "Value": [f"axial {number}"]},
        "00180015": {"vr": "CS", "Value": ["CHEST"]},
        "00100020": {"vr": "LO", "Value": [local_id(facility, patient)]},
        "0020000D": {"vr": "UI", "Value": [study_uid]},
        "0020000E": {"vr": "UI", "Value": [f"{study_uid}.{number + 1}"]},
        "00200011": {"vr": "IS", "Value": [number + 1]},
        "00201209": {"vr": "IS", "Value": [40]},
    }


def _configuration(folder: Path, port: int, shape: Shape) -> str:
    sleep = f"echo_sleep {shape.delay_ms / 1000}; echo_exec @canned;" if shape.delay_ms else "echo_exec @canned;"
    varied = f'sub_filter_types application/dicom+json; sub_filter "{_VARIES}" "$request_id";' if shape.varied else ""
    return f"""
load_module {_ECHO_MODULE};
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.err crit;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 10000000; keepalive_timeout 300; open_file_cache max=20000;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port} backlog=4096; root {folder};
    location ~ ^/(?<site>f[0-9]+)/dicom-web/(?<level>studies|series)$ {{ {sleep} }}
    location @canned {{ default_type application/dicom+json; rewrite ^ /$site/$arg_PatientID-$level.json break;
      {varied} }}
  }}
}}
"""
