"""Fetching images from real archives: behind the gate, from Orthanc that asks by itself, and from one that asks nobody.

T93, T94, T97–T100: the gateway decides, and the archives obey.
"""

import http.client
import os
import signal
import ssl
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.services import dicom_files
from tests.services.dicom_files import StudyOnFile, paths_of
from tests.services.fetching import EAST, Fetching, OfflineVerifier

pytestmark = pytest.mark.integration

NORTH, SOUTH = dicom_files.ARCHIVES["NORTH"], dicom_files.ARCHIVES["SOUTH"]
MUELLER_CT, MUELLER_CR, IVANOV, OBRIEN = NORTH[:4]
SOUTH_CT, SOUTH_MR, NGUYEN = SOUTH[:3]
EAST_US = dicom_files.ARCHIVES["EAST"][0]
BAR_ALL = {"type": "deny"}
PERMIT_ALL = {"type": "permit"}
REFUSED = (401, 403)
GATE_DELAY_S, ORTHANC_DELAY_S, OFFLINE_DELAY_S = 1, 10, 300
"""What docs/reference/retrieval.md publishes: how late a revocation may be obeyed."""


NOT_ORTHANCS = ("/thumbnail",)
"""What this Orthanc doesn't have: 404 from the archive itself, once it is let through."""


def at_gate(fetching: Fetching, path: str, token: str | None = "") -> requests.Response:
    """The gate's answer: to the EHR's ordinary token, another, or none."""
    headers = {} if token is None else {"Authorization": f"Bearer {token or fetching.token_of(fetching.ehr)}"}
    path = f"/studies{path}" if path.startswith("?") else path
    return requests.get(fetching.gate.url + path, headers=headers, verify=fetching.gate.certificate, timeout=30)


def at_south(fetching: Fetching, path: str, token: str) -> requests.Response:
    """Orthanc's own answer."""
    path = f"/studies{path}" if path.startswith("?") else path
    return requests.get(fetching.south.dicomweb_url + path, headers={"Authorization": f"Bearer {token}"}, timeout=30)


def _let_through(path: str, answer: requests.Response) -> bool:
    return answer.status_code == (404 if path.endswith(NOT_ORTHANCS) else 200)


def test_t093_the_gate_opens_what_is_permitted_in_every_form(fetching: Fetching) -> None:
    """To the caller's ordinary access token, as SMART Imaging clients send it."""
    opened = {path: at_gate(fetching, path) for path in paths_of(MUELLER_CT)}
    assert [path for path, answer in opened.items() if not _let_through(path, answer)] == []


@pytest.mark.parametrize("study", [MUELLER_CR, IVANOV], ids=["a barred study", "a barred patient"])
def test_t093_the_gate_opens_nothing_of_what_is_barred(fetching: Fetching, study: StudyOnFile) -> None:
    """Metadata, frames, rendered, thumbnails, bulk data, series, instances and lists alike."""
    assert {path: at_gate(fetching, path).status_code for path in paths_of(study)} == dict.fromkeys(
        paths_of(study), 403
    )


def test_t093_a_study_token_opens_its_study_at_the_gate_and_no_other(fetching: Fetching) -> None:
    """Another study of the same patient, which is permitted, and another patient's."""
    token = fetching.bound_token("north", MUELLER_CT)
    assert all(_let_through(path, at_gate(fetching, path, token)) for path in paths_of(MUELLER_CT))
    for study in (MUELLER_CR, OBRIEN):
        assert {at_gate(fetching, path, token).status_code for path in paths_of(study)} == {403}


def test_t093_a_study_token_opens_its_study_at_orthanc_and_no_other(fetching: Fetching) -> None:
    """The same at the archive that asks by itself."""
    token = fetching.bound_token("south", SOUTH_CT)
    opened = {path: at_south(fetching, path, token) for path in paths_of(SOUTH_CT, 1) if "/thumbnail" not in path}
    assert [path for path, answer in opened.items() if not _let_through(path, answer)] == []
    for study in (SOUTH_MR, NGUYEN):
        assert {at_south(fetching, path, token).status_code for path in paths_of(study)} == {403}


def test_nobody_comes_in_without_a_token(fetching: Fetching) -> None:
    """401 with a challenge at the gate, 403 at Orthanc, which knows no challenge."""
    answer = at_gate(fetching, f"/studies/{MUELLER_CT.uid}", None)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert at_gate(fetching, f"/studies/{MUELLER_CT.uid}", "not-a-token").status_code == 401
    assert at_south(fetching, f"/studies/{SOUTH_CT.uid}", "not-a-token").status_code == 403


def test_orthanc_takes_no_token_of_the_exchange_itself(fetching: Fetching) -> None:
    """The archive is another organisation: what opens the gateway is of no use to it."""
    token = fetching.token_of(fetching.ehr)
    assert at_south(fetching, f"/studies/{SOUTH_CT.uid}", token).status_code == 403


SEARCHES = (
    "",
    "?limit=10",
    "?includefield=all",
    "?fuzzymatching=true&PatientName=S",
    "?PatientID=*",
    f"?PatientID={OBRIEN.person.patient_id}",
    f"?StudyInstanceUID={MUELLER_CT.uid}&PatientID={OBRIEN.person.patient_id}",
    "?StudyInstanceUID=",
    "?StudyInstanceUID=*",
    f"?StudyInstanceUID={MUELLER_CT.uid},{OBRIEN.uid}",
    f"?StudyInstanceUID={MUELLER_CT.uid}%5C{OBRIEN.uid}",
    f"?StudyInstanceUID={MUELLER_CT.uid}&StudyInstanceUID={OBRIEN.uid}",
    f"?StudyInstanceUID={OBRIEN.uid}&StudyInstanceUID={MUELLER_CT.uid}",
    f"?StudyInstanceUID={MUELLER_CT.uid}&0020000D={OBRIEN.uid}",
    f"?StudyInstanceUID={MUELLER_CT.uid}&0020,000D={OBRIEN.uid}",
    f"?StudyInstanceUID={MUELLER_CT.uid}&0020000d={OBRIEN.uid}",
    f"?StudyInstanceUID={MUELLER_CT.uid}&0020000D=",
    f"?StudyInstanceUID={OBRIEN.uid}",
)


@pytest.mark.parametrize("level", ["studies", "series", "instances"])
def test_t094_a_search_with_a_study_token_finds_that_study_alone(fetching: Fetching, level: str) -> None:
    """No UID, another PatientID, wildcards, fuzzy matching, all fields: refused, or that study and no other."""
    token = fetching.bound_token("north", MUELLER_CT)
    found = at_gate(fetching, f"/{level}?StudyInstanceUID={MUELLER_CT.uid}&includefield=all", token)
    assert {row["0020000D"]["Value"][0] for row in found.json()} == {MUELLER_CT.uid}
    for search in SEARCHES:
        answer = at_gate(fetching, f"/{level}{search}", token)
        assert answer.status_code == 403, search


def tricks(base: str) -> list[str]:
    """Ways to write one path so that two programs may read it differently; `base` is the service's own path."""
    mine, other = MUELLER_CT.uid, IVANOV.uid
    series = IVANOV.series_uid(IVANOV.series[0])
    return [
        f"{base}/studies/{mine}/../{other}",
        f"{base}/studies/{mine}/../../studies/{other}/metadata",
        f"{base}/studies/{mine}/..%2f{other}",
        f"{base}/studies/{mine}%2F..%2F{other}",
        f"{base}//studies/{other}",
        f"/{base}/studies/{other}",
        f"{base}/%2e%2e{base}/studies/{other}",
        f"{base}/studies/{other};{mine}",
        f"{base}/studies/{mine};jsessionid=1/../{other}",
        f"{base}/studies/{mine}%252F{other}",
        f"{base}/studies/{mine}%252e%252e/{other}",
        f"{base}/studies/{other}%20",
        f"{base}/studies/{other}%00{mine}",
        f"{base}/studies/{mine}%00/../{other}",
        f"{base}/studies/0{other}",
        f"{base}/studies/{'1.' * 40}1",
        f"{base}/studies/{mine}/series/{series}",
        f"{base}/studies/{mine}/series/{series}/metadata",
        f"{base}/studies/{mine}?StudyInstanceUID={other}",
        f"{base}/studies/{mine}/../{other}?{mine}",
        f"{base}/STUDIES/{other}",
        f"{base}/studies/{mine}\\..\\{other}",
        f"{base}/studies/./{other}",
        f"{base}/servers",
        f"{base}/../instances",
        f"{base}/../tools/find",
        "/instances",
        f"http://127.0.0.1{base}/studies/{other}",
        f"{base}/studies/{other}#{mine}",
    ]


@pytest.mark.parametrize("trick", tricks("/dicom-web"))
def test_t098_no_way_to_write_a_path_leads_past_the_gate(fetching: Fetching, trick: str) -> None:
    """Neither a foreign study's bytes nor a word of it comes back, and never an error of ours."""
    context = ssl.create_default_context(cafile=str(fetching.gate.certificate))
    connection = http.client.HTTPSConnection("127.0.0.1", fetching.gate.port, context=context, timeout=30)
    try:
        connection._validate_path = lambda _: None  # type: ignore[attr-defined]  # written as it stands
        connection.putrequest("GET", trick)
        connection.putheader("Authorization", f"Bearer {fetching.token_of(fetching.ehr)}")
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()

    assert answer.status in (400, 403, 404), (answer.status, body[:200])
    assert IVANOV.uid.encode() not in body
    assert b"N-0002" not in body


def test_t100_a_token_of_one_facility_is_useless_elsewhere(fetching: Fetching) -> None:
    """Müller's CT lies at north and at south: the token for either opens neither the other, nor the gateway."""
    of_north, of_south = fetching.bound_token("north", MUELLER_CT), fetching.bound_token("south", SOUTH_CT)
    path = f"/studies/{MUELLER_CT.uid}/metadata"
    assert at_gate(fetching, path, of_north).status_code == 200
    assert at_south(fetching, path, of_south).status_code == 200
    assert at_gate(fetching, path, of_south).status_code in REFUSED
    assert at_south(fetching, path, of_north).status_code in REFUSED
    east = OfflineVerifier(fetching.gateway, EAST)
    for token in (of_north, of_south, fetching.token_of(fetching.ehr)):
        assert not east.admits(token, EAST_US.person.patient_id, EAST_US.uid, time.time())
        if token != fetching.token_of(fetching.ehr):
            answer = requests.get(
                f"{fetching.gateway.fhir_url}/ImagingStudy?patient={fetching.person_id(MUELLER_CT.person, 'north')}",
                headers={"Authorization": f"Bearer {token}"},
                timeout=30,
            )
            assert answer.status_code == 401


def test_t097_a_revocation_is_obeyed_at_the_gate_by_the_next_request(fetching: Fetching) -> None:
    """Ordinary and study-bound tokens alike; and the way back is as short."""
    path = f"/studies/{OBRIEN.uid}/metadata"
    bound = fetching.bound_token("north", OBRIEN)
    assert [at_gate(fetching, path, token).status_code for token in ("", bound)] == [200, 200]

    fetching.file_consent(OBRIEN.person, "north", BAR_ALL)
    assert [at_gate(fetching, path, token).status_code for token in ("", bound)] == [403, 403]

    fetching.file_consent(OBRIEN.person, "north", PERMIT_ALL)
    assert [at_gate(fetching, path, token).status_code for token in ("", bound)] == [200, 200]


@pytest.mark.slow
def test_t097_a_revocation_is_obeyed_by_orthanc_within_the_published_delay(fetching: Fetching) -> None:
    """What it was told to remember, it forgets in time."""
    path = f"/studies/{NGUYEN.uid}/metadata"
    token = fetching.bound_token("south", NGUYEN)
    assert at_south(fetching, path, token).status_code == 200
    fetching.file_consent(NGUYEN.person, "south", BAR_ALL)
    revoked = time.monotonic()
    while at_south(fetching, path, token).status_code == 200:
        assert time.monotonic() - revoked < ORTHANC_DELAY_S + 1
        time.sleep(0.25)
    assert fetching.exchange("south", NGUYEN).status_code == 400
    fetching.file_consent(NGUYEN.person, "south", PERMIT_ALL)


def test_t097_a_facility_that_asks_about_a_token_is_told_of_a_revocation_at_once(fetching: Fetching) -> None:
    """Introspection: active before, inactive after; the next token is not even issued."""
    token = fetching.bound_token("north", OBRIEN)
    assert fetching.introspect("north", token)["active"] is True
    assert fetching.introspect("south", token) == {"active": False}

    fetching.file_consent(OBRIEN.person, "north", BAR_ALL)
    assert fetching.introspect("north", token) == {"active": False}
    assert fetching.exchange("north", OBRIEN).status_code == 400

    fetching.file_consent(OBRIEN.person, "north", PERMIT_ALL)
    assert fetching.introspect("north", token)["active"] is True


def test_t097_a_token_that_is_checked_offline_ends_within_the_published_delay(fetching: Fetching) -> None:
    """Nobody can call it back: that is its lifetime, and the delay of that way; there is no next one."""
    verifier = OfflineVerifier(fetching.gateway, EAST)
    token = fetching.bound_token("east", EAST_US)
    now = time.time()
    patient = EAST_US.person.patient_id
    assert verifier.admits(token, patient, EAST_US.uid, now)
    assert not verifier.admits(token, patient, MUELLER_CT.uid, now)
    assert not verifier.admits(token, "E.78", EAST_US.uid, now)

    fetching.file_consent(MUELLER_CT.person, "north", BAR_ALL)  # one person, at north and at east
    assert fetching.exchange("east", EAST_US).status_code == 400
    assert not verifier.admits(token, patient, EAST_US.uid, now + OFFLINE_DELAY_S + 1)
    fetching.bar_study(MUELLER_CR, "north")


@pytest.mark.slow
def test_t099_without_the_gateway_no_archive_gives_anything(fetching: Fetching) -> None:
    """It hangs, or is gone: the gate says 503, Orthanc 403, and no byte of an image comes."""
    north, south = f"/studies/{MUELLER_CT.uid}", f"/studies/{SOUTH_CT.uid}"
    tokens = [fetching.bound_token("south", SOUTH_CT) for _ in range(2)]  # no archive has seen them
    processes = [*fetching.gateway.workers, fetching.gateway.server.pid]
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(2) as pool:
            waiting = pool.submit(at_gate, fetching, north), pool.submit(at_south, fetching, south, tokens[0])
            assert [one.result().status_code for one in waiting] == [503, 403]
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)
    assert at_gate(fetching, north).status_code == 200
    fetching.gateway.stop()
    try:
        assert at_gate(fetching, north).status_code == 503
        assert at_south(fetching, south, tokens[1]).status_code == 403
    finally:
        fetching.gateway.start()
    assert at_gate(fetching, north).status_code == 200
