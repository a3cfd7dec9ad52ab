"""Real archives, real clients: what Orthanc and tiny_pacs hold is found by one search and fetched where it lies."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from dicomweb_client import DICOMwebClient
from fhirpy import SyncFHIRClient

from tests import canary
from tests.services import node
from tests.services.dicom_files import ARCHIVES, StudyOnFile, uid_of
from tests.services.exchange import Exchange, identifier
from tests.services.fhir_validator import FHIRValidator
from tests.services.orthanc import Orthanc

pytestmark = pytest.mark.integration

MUELLER = identifier("north", "N-0001")
HELD_BY = {
    "mueller-ct": {"north", "south"},
    "mueller-cr": {"north"},
    "mueller-mr": {"south"},
    "mueller-us": {"east", "west"},
}


def _matches(bundle: dict[str, Any], mode: str = "match") -> list[dict[str, Any]]:
    return [entry["resource"] for entry in bundle.get("entry", []) if entry["search"]["mode"] == mode]


def _uid(study: dict[str, Any]) -> str:
    values: list[str] = [i["value"] for i in study["identifier"] if i.get("system") == "urn:dicom:uid"]
    return values[0].removeprefix("urn:oid:")


def _facilities(element: dict[str, Any]) -> set[str]:
    return {endpoint["reference"].removeprefix("Endpoint/") for endpoint in element.get("endpoint", [])}


@pytest.fixture
def mueller(real_exchange: Exchange) -> dict[str, Any]:
    """The answer about one person who is known at four facilities under four names and numbers."""
    return real_exchange.search(**{"patient.identifier": MUELLER, "_include": "ImagingStudy:endpoint"})


def test_one_search_finds_a_persons_studies_at_every_facility(mueller: dict[str, Any]) -> None:
    """Each study comes once, newest first, and names every facility that holds it."""
    found = {_uid(study): _facilities(study) for study in _matches(mueller)}
    assert found == {uid_of("study", key): holders for key, holders in HELD_BY.items()}
    assert mueller["total"] == len(HELD_BY)
    started = [study["started"] for study in _matches(mueller)]
    assert started == sorted(started, reverse=True)


def test_a_study_held_twice_is_the_union_of_what_is_held(mueller: dict[str, Any]) -> None:
    """SOUTH holds a series that NORTH lacks: the study has both series, and each says who holds it."""
    study = next(study for study in _matches(mueller) if _uid(study) == uid_of("study", "mueller-ct"))
    holders = {series["uid"]: _facilities(series) for series in study["series"]}
    plain, contrast = (uid_of("series", "mueller-ct", number) for number in (1, 2))
    assert holders == {plain: {"north", "south"}, contrast: {"south"}}
    assert study["numberOfSeries"] == 2
    assert study["numberOfInstances"] == 5


def test_the_included_endpoints_are_those_named(mueller: dict[str, Any]) -> None:
    """Every Endpoint that a study names is in the Bundle, and no other."""
    named = {facility for study in _matches(mueller) for facility in _facilities(study)}
    assert {endpoint["id"] for endpoint in _matches(mueller, "include")} == named


def test_the_same_number_elsewhere_is_somebody_else(real_exchange: Exchange) -> None:
    """PatientID 1001 is one person at NORTH and another at SOUTH; neither sees the other's study."""
    for facility, key in (("north", "obrien-us"), ("south", "nguyen-cr")):
        bundle = real_exchange.search(**{"patient.identifier": identifier(facility, "1001")})
        assert [_uid(study) for study in _matches(bundle)] == [uid_of("study", key)]


def test_every_resource_is_valid_r4(
    real_exchange: Exchange, fhir_validator: FHIRValidator, mueller: dict[str, Any]
) -> None:
    """Bundles, errors and the CapabilityStatement hold before checkers that know nothing of the gateway."""
    assert fhir_validator.problems(mueller) == []
    assert fhir_validator.problems(real_exchange.get("metadata").json()) == []
    refused = real_exchange.get("ImagingStudy", {"patient.identifier": MUELLER, "modality:not": "CT"})
    assert refused.status_code == 400
    assert fhir_validator.problems(refused.json()) == []
    for facility in ("north", "west"):
        for path in (f"Endpoint/{facility}", f"Organization/{facility}"):
            assert fhir_validator.problems(real_exchange.get(path).json()) == []
    study = _matches(mueller)[0]
    for path in (f"ImagingStudy/{study['id']}", study["subject"]["reference"]):
        answer = real_exchange.get(path)
        assert answer.status_code == 200
        assert fhir_validator.problems(answer.json()) == []


def _held(facility: str, uid: str) -> StudyOnFile:
    archive = "EAST" if facility == "west" else facility.upper()
    return next(study for study in ARCHIVES[archive] if study.uid == uid)


def _session(exchange: Exchange, facility: str) -> requests.Session:
    session = requests.Session()
    archive = exchange.archives[facility]
    if isinstance(archive, Orthanc):
        session.auth = (archive.username, archive.password)
    else:
        session.headers["Authorization"] = f"Bearer {archive.token}"
    return session


def test_a_dicomweb_client_fetches_each_study_from_each_endpoint(
    real_exchange: Exchange, mueller: dict[str, Any]
) -> None:
    """WADO-RS at the address of each Endpoint gives that facility's images of the study, all of them."""
    addresses = {endpoint["id"]: endpoint["address"] for endpoint in _matches(mueller, "include")}
    for study in _matches(mueller):
        for facility in _facilities(study):
            with _session(real_exchange, facility) as session:
                client = DICOMwebClient(addresses[facility], session=session)
                images = client.retrieve_study(_uid(study))
            assert {image.StudyInstanceUID for image in images} == {_uid(study)}
            assert len(images) == _held(facility, _uid(study)).instances


def test_fhirpy_searches_as_an_ehr(real_exchange: Exchange) -> None:
    """A Python FHIR client finds the studies, page by page."""
    token = real_exchange.client.token(real_exchange.gateway)
    client = SyncFHIRClient(real_exchange.gateway.fhir_url, authorization=f"Bearer {token}")
    search = client.resources("ImagingStudy").search(**{"patient.identifier": MUELLER}).limit(1)
    found = search.fetch_all()
    assert {_uid(dict(study)) for study in found} == {uid_of("study", key) for key in HELD_BY}


def test_fhir_kit_client_searches_as_an_app(real_exchange: Exchange, fhir_validator: FHIRValidator) -> None:
    """A JavaScript FHIR client reads the SMART configuration and the capabilities, and walks every page."""
    answer = node.run_script(
        "search.mjs",
        {
            "baseUrl": real_exchange.gateway.fhir_url,
            "token": real_exchange.client.token(real_exchange.gateway),
            "search": {"patient.identifier": MUELLER, "_include": "ImagingStudy:endpoint", "_count": "1"},
        },
    )
    assert answer["smart"]["tokenUrl"] == f"{real_exchange.gateway.url}/oauth/token"
    assert answer["capabilities"]["fhirVersion"] == "4.0.1"
    assert len(answer["pages"]) == len(HELD_BY)
    studies = [study for page in answer["pages"] for study in _matches(page)]
    assert [_uid(study) for study in studies] == list(dict.fromkeys(_uid(study) for study in studies))
    assert {_uid(study) for study in studies} == {uid_of("study", key) for key in HELD_BY}
    for page in answer["pages"]:
        assert fhir_validator.problems(page) == []


@pytest.fixture
def exchange_of_its_own() -> Iterator[tuple[Exchange, Orthanc]]:
    """An exchange of two archives, of which the test may stop one."""
    from tests.services import exchange

    archives = {}
    for name in ("NORTH", "SOUTH"):
        archives[name.lower()] = Orthanc(name)
        archives[name.lower()].load(ARCHIVES[name])
    running = exchange.start(archives)
    yield running, archives["south"]
    running.gateway.stop()
    for archive in archives.values():
        archive.stop()


def test_an_archive_that_is_down_is_named_and_the_rest_is_shown(
    exchange_of_its_own: tuple[Exchange, Orthanc], fhir_validator: FHIRValidator
) -> None:
    """200 with an OperationOutcome that names the facility; once it is back, its studies are too."""
    exchange, south = exchange_of_its_own
    south.stop()
    partial = exchange.search(**{"patient.identifier": MUELLER})
    assert {_uid(study) for study in _matches(partial)} == {
        uid_of("study", key) for key in ("mueller-ct", "mueller-cr")
    }
    issues = [issue for outcome in _matches(partial, "outcome") for issue in outcome["issue"]]
    assert [issue["severity"] for issue in issues] == ["warning"]
    assert "south" in issues[0]["diagnostics"]
    assert fhir_validator.problems(partial) == []
    south.start()
    assert len(_matches(exchange.search(**{"patient.identifier": MUELLER}))) == 3


def test_the_planted_patient_is_found_by_who_asks_and_seen_by_nobody_else(real_exchange: Exchange) -> None:
    """The canary's studies are in the answer; log, metrics and errors are searched when the gateway ends."""
    bundle = real_exchange.search(**{"patient.identifier": identifier("north", f"{canary.MRN}-N")})
    assert bundle["total"] == 3
    bad = real_exchange.get("ImagingStudy", {"patient.identifier": f"{canary.MRN}|", "subject": canary.FAMILY})
    assert bad.status_code == 400
    unknown = real_exchange.get(f"ImagingStudy/{canary.MRN}")
    assert unknown.status_code == 404
    assert canary.found_in(real_exchange.gateway.log() + real_exchange.gateway.metrics(), "log and metrics") == []
