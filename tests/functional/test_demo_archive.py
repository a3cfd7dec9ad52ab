"""The demo's archive is a DICOMweb archive: a real client searches and fetches, and strangers get nothing."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from dicomweb_client import DICOMwebClient
from requests.auth import HTTPBasicAuth

from deploy.demo import dicom_files, samples
from deploy.demo.samples import SOUTH, WANG, YILMAZ_SOUTH, uid

ROOT = Path(__file__).parents[2]
THORAX = uid("study", "yilmaz-thorax")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The archive of South, serving its files."""
    folder = tmp_path_factory.mktemp("south")
    dicom_files.write(SOUTH, samples.HOLDINGS["south"], folder)
    process = subprocess.Popen(
        [sys.executable, "-m", "deploy.demo.archive", str(folder), "--user", "gw:secret"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    yield f"http://127.0.0.1:{process.stdout.readline().strip()}/dicom-web"
    process.terminate()
    assert process.wait(5) == 0
    process.stdout.close()


@pytest.fixture
def client(url: str) -> DICOMwebClient:
    """An independent DICOMweb client with an account."""
    session = requests.Session()
    session.auth = HTTPBasicAuth("gw", "secret")
    return DICOMwebClient(url=url, session=session)


def _uids(rows: list[dict[str, dict[str, object]]]) -> list[object]:
    return [row["0020000D"]["Value"][0] for row in rows]  # type: ignore[index]


def test_a_patients_studies_are_found_by_exactly_their_patient_id(client: DICOMwebClient) -> None:
    """With what a study row carries: modalities, counts, issuer, the name in its own script."""
    rows = client.search_for_studies(search_filters={"PatientID": YILMAZ_SOUTH.mrn})
    (thorax,) = [row for row in rows if row["0020000D"]["Value"] == [THORAX]]

    assert len(rows) == 3
    assert thorax["00080061"]["Value"] == ["CT"]
    assert (thorax["00201206"]["Value"], thorax["00201208"]["Value"]) == ([2], [11])
    assert thorax["00100021"]["Value"] == ["SOUTH"]
    (wang,) = client.search_for_studies(search_filters={"PatientID": WANG.mrn})
    assert wang["00100010"]["Value"][0]["Ideographic"] == "王^小東"
    assert client.search_for_studies(search_filters={"PatientID": YILMAZ_SOUTH.mrn[:-1]}) == []


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"ModalitiesInStudy": "US"}, 2),
        ({"StudyDate": "20260101-20261231"}, 3),
        ({"StudyDate": "-20251231"}, 2),
        ({"StudyDate": "20260521"}, 1),
        ({"PatientName": "yilmaz*"}, 3),
        ({"StudyInstanceUID": THORAX}, 1),
        ({"00100020": "0100388"}, 1),
        ({"NoSuchAttribute": "x"}, 5),
    ],
)
def test_studies_are_matched_as_dicom_says(url: str, filters: dict[str, str], found: int) -> None:
    """Single values, ranges, wildcards, lists, tags; what is no attribute is ignored."""
    reply = requests.get(f"{url}/studies", params=filters, auth=("gw", "secret"), timeout=5)

    assert len(reply.json()) == found


def test_limit_and_offset_page_through_everything_once(client: DICOMwebClient) -> None:
    """Pages do not overlap."""
    pages = [client.search_for_studies(limit=2, offset=offset) for offset in (0, 2, 4)]

    assert [len(page) for page in pages] == [2, 2, 1]
    assert len({str(uid) for page in pages for uid in _uids(page)}) == 5


def test_series_and_instances_are_searched_under_their_study_and_by_patient(client: DICOMwebClient, url: str) -> None:
    """QIDO-RS at every level."""
    series = client.search_for_series(THORAX)
    by_patient = requests.get(f"{url}/series?PatientID={YILMAZ_SOUTH.mrn}", auth=("gw", "secret"), timeout=5).json()

    assert sorted(row["00200011"]["Value"][0] for row in series) == [2, 3]
    assert {row["0020000E"]["Value"][0] for row in series} < {row["0020000E"]["Value"][0] for row in by_patient}
    assert len(by_patient) == 5
    assert len(client.search_for_instances(THORAX)) == 11
    assert len(client.search_for_instances(THORAX, series[0]["0020000E"]["Value"][0])) in (5, 6)


def test_studies_series_instances_frames_and_metadata_are_retrieved(client: DICOMwebClient) -> None:
    """WADO-RS gives the files as they are, as multipart/related."""
    images = client.retrieve_study(THORAX)
    one = images[0]

    assert len(images) == 11
    assert {image.StudyInstanceUID for image in images} == {THORAX}
    assert len(one.PixelData) == 2 * one.Rows * one.Columns
    assert len(client.retrieve_series(THORAX, one.SeriesInstanceUID)) in (5, 6)
    again = client.retrieve_instance(THORAX, one.SeriesInstanceUID, one.SOPInstanceUID)
    assert again.PixelData == one.PixelData
    (frame,) = client.retrieve_instance_frames(THORAX, one.SeriesInstanceUID, one.SOPInstanceUID, [1])
    assert frame == one.PixelData
    assert len(client.retrieve_study_metadata(THORAX)) == 11
    assert "7FE00010" not in client.retrieve_instance_metadata(THORAX, one.SeriesInstanceUID, one.SOPInstanceUID)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/studies/2.25.1", 404),
        (f"/studies/{THORAX}/series/1/instances/1/frames/1", 404),
        ("/", 404),
        ("/studies/../../etc/passwd", 404),
        ("/studies?limit=x", 400),
        ("/studies?StudyDate=yesterday", 400),
    ],
)
def test_what_is_not_there_or_makes_no_sense_is_said(url: str, path: str, status: int) -> None:
    """404 and 400, and never a traceback."""
    reply = requests.get(url + path, auth=("gw", "secret"), timeout=5)

    assert reply.status_code == status
    assert "Traceback" not in reply.text


@pytest.mark.parametrize("header", [None, "Basic Z3c6d3Jvbmc=", "Basic !!!", "Bearer x", "Basic"])
def test_who_has_no_account_gets_nothing(url: str, header: str | None) -> None:
    """401 with the scheme, for searching and for retrieving."""
    for path in ("/studies", f"/studies/{THORAX}"):
        reply = requests.get(url + path, headers={"Authorization": header} if header else {}, timeout=5)
        assert reply.status_code == 401
        assert reply.headers["WWW-Authenticate"].startswith("Basic")
        assert reply.content == b""


def test_the_same_samples_are_the_same_bytes(tmp_path: Path) -> None:
    """Two demos, or two runs of one, hold the same files; a finished file is left as it is."""
    for name in ("a", "b", "a"):
        assert dicom_files.write(SOUTH, samples.HOLDINGS["south"], tmp_path / name) == 30
    first, second = (sorted((tmp_path / name).iterdir()) for name in "ab")

    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
