"""The exchange whose archives give images only to whom the gateway permits, once a run: it takes a while to make."""

from collections.abc import Iterator, Mapping

import pytest

from tests.services import dicom_files, phantom_files
from tests.services.fetching import Fetching
from tests.services.orthanc import Orthanc
from tests.services.person import add_user
from tests.services.process import scratch_folder
from tests.services.viewer import Viewer

NORTH = dicom_files.ARCHIVES["NORTH"]
MUELLER_CR, IVANOV = NORTH[1:3]


@pytest.fixture(scope="session")
def viewer() -> Iterator[Viewer]:
    """OHIF, which `fetching` starts."""
    made = Viewer()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def fetching(viewer: Viewer, orthanc_archives: Mapping[str, Orthanc]) -> Iterator[Fetching]:
    """North behind its gate, with pictures that can be recognised; south and east; a clinician, and the viewer.

    Ivanov has barred everybody, Müller one study. A test leaves consents as it found them.
    """
    north = Orthanc("NORTH")
    north.load_files(phantom_files.write(NORTH, scratch_folder("phantoms")))
    north.studies = NORTH
    made = Fetching(north, orthanc_archives["EAST"], viewers=viewer.origin, GATEWAY_VIEWER_CLIENT="viewer")
    made.gateway.run(
        *("clients", "add", "viewer", "--name", "Viewer", "--organization", viewer.origin, "--app", "--public"),
        *("--redirect-uri", f"{viewer.origin}/", "--launch-url", viewer.launch_url, "--purpose", "TREAT"),
        *("--scope", "patient/ImagingStudy.rs user/ImagingStudy.rs"),
    )
    add_user(made.gateway, "doc", "clinician", "--subject-id", "urn:oid:2.25.7")
    made.start()
    viewer.start(gateway=made.gateway.url, images=made.gate.origin)
    made.file_consent(IVANOV.person, "north", {"type": "deny"})
    made.bar_study(MUELLER_CR, "north")
    yield made
    made.stop()
    north.stop()
