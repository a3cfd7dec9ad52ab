"""The EHR's side of the demo: ask the gateway, check the answer against what the archives hold, fetch the images."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pydicom
import requests
from pydicom.filebase import DicomBytesIO

from deploy.demo import samples
from deploy.demo.exchange_files import EHR_ACCOUNT
from deploy.demo.samples import SITES


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, and how long it took."""

    bundle: dict[str, Any]
    seconds: float

    @property
    def studies(self) -> list[dict[str, Any]]:
        """The ImagingStudy resources, in order."""
        return [entry["resource"] for entry in self.bundle.get("entry", []) if entry["search"]["mode"] == "match"]

    @property
    def endpoints(self) -> Mapping[str, dict[str, Any]]:
        """The included Endpoints, by reference."""
        resources = [entry["resource"] for entry in self.bundle.get("entry", [])]
        return {f"Endpoint/{one['id']}": one for one in resources if one["resourceType"] == "Endpoint"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Images that were fetched by a link of the answer."""

    facility: str
    images: int
    size: int


def search_url(fhir_base: str) -> str:
    """The query of the demo: everything about the patient, with the addresses of the archives."""
    north = samples.NORTH
    parameters = {
        "patient.identifier": f"{north.identifier_system}|{samples.ASKED_ABOUT.mrn}",
        "_include": "ImagingStudy:endpoint",
    }
    return f"{fhir_base}/ImagingStudy?{urlencode(parameters, safe=':|')}"


def ask(url: str, token: str) -> Answer:
    """The gateway's answer to `url`. Raises requests.RequestException."""
    started = time.monotonic()
    reply = requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=30)
    seconds = time.monotonic() - started
    reply.raise_for_status()
    return Answer(bundle=reply.json(), seconds=seconds)


def uid_of(study: Mapping[str, Any]) -> str:
    """The Study Instance UID of an ImagingStudy."""
    found = [one["value"] for one in study["identifier"] if one.get("system") == "urn:dicom:uid"]
    return str(found[0]).removeprefix("urn:oid:") if found else ""


def holders_of(element: Mapping[str, Any]) -> set[str]:
    """The facilities whose Endpoints a study or series names."""
    return {str(one["reference"]).removeprefix("Endpoint/") for one in element.get("endpoint", [])}


def problems_in(answer: Answer) -> list[str]:
    """Where the answer differs from what the archives hold and the patient permits; empty if nowhere."""
    permitted = [site for site in SITES if site != samples.WITHHELD]
    held = [(site, study) for site in permitted for study in samples.studies_of_the_patient(site)]
    expected = {study.uid: {site.id for site, same in held if same.uid == study.uid} for _, study in held}
    found = {uid_of(study): holders_of(study) for study in answer.studies}
    problems = []
    if found != expected:
        problems.append(f"expected these studies and holders: {expected}; got: {found}")
    if answer.bundle.get("total") != len(expected):
        problems.append(f"expected total {len(expected)}, got {answer.bundle.get('total')}")
    if set(answer.endpoints) != {f"Endpoint/{site.id}" for site in permitted}:
        problems.append(f"expected the addresses of {len(permitted)} archives, got {sorted(answer.endpoints)}")
    problems += _series_problems(answer)
    if any(entry["search"]["mode"] == "outcome" for entry in answer.bundle.get("entry", [])):
        problems.append("a facility is named as not having answered")
    text = str(answer.bundle)
    withheld = [samples.WITHHELD.id, *(study.uid for study in samples.studies_of_the_patient(samples.WITHHELD))]
    problems += [f"the answer betrays {word}" for word in withheld if re.search(rf"\b{re.escape(word)}\b", text)]
    return problems


def _series_problems(answer: Answer) -> list[str]:
    problems = []
    for study in answer.studies:
        sources = [same for site in SITES for same in samples.studies_of_the_patient(site) if same.uid == uid_of(study)]
        expected = {source.series_uid(series): series.images for source in sources for series in source.series}
        found = {series["uid"]: series.get("numberOfInstances") for series in study.get("series", [])}
        if found != expected:
            problems.append(f"{study.get('description')}: expected series {expected}, got {found}")
    return problems


def fetch(answer: Answer, names: Mapping[str, str]) -> list[Fetched]:
    """The images of the first study, from every archive that holds it, with the EHR's own account there.

    Raises requests.RequestException, and pydicom's errors where what came is not DICOM.
    """
    study = answer.studies[0]
    fetched = []
    for endpoint in (answer.endpoints[one["reference"]] for one in study["endpoint"]):
        reply = requests.get(
            f"{endpoint['address']}/studies/{uid_of(study)}",
            headers={"Accept": 'multipart/related; type="application/dicom"'},
            auth=EHR_ACCOUNT,
            timeout=30,
        )
        reply.raise_for_status()
        parts = _parts(reply)
        images = [pydicom.dcmread(DicomBytesIO(part)) for part in parts]
        if any(image.StudyInstanceUID != uid_of(study) for image in images):
            raise pydicom.errors.InvalidDicomError("images of another study")
        fetched.append(Fetched(facility=names[endpoint["id"]], images=len(images), size=sum(map(len, parts))))
    return fetched


def _parts(reply: requests.Response) -> list[bytes]:
    found = re.search(r'boundary="?([^";]+)', reply.headers["Content-Type"])
    boundary = f"--{found[1] if found else ''}".encode()
    chunks = reply.content.split(boundary)[1:-1]
    return [chunk.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for chunk in chunks]


def viewer_account() -> str:
    """The EHR's account at the archives, as curl takes it."""
    return ":".join(EHR_ACCOUNT)
