"""`deploy/orthanc/authorize.py` in a real Orthanc: what it asks the exchange, and what it lets nobody see.

The exchange is a little server here, so that it can be as wrong as it can be; `test_fetching.py` has the real one.
"""

import base64
import http.client
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests.facilities.little_server import LittleServer, response
from tests.services import dicom_files
from tests.services.dicom_files import StudyOnFile, paths_of
from tests.services.orthanc import Orthanc
from tests.services.orthanc_door import orthanc_with_door
from tests.services.process import ServiceFailed

pytestmark = pytest.mark.integration

MINE, OTHER_OF_MINE, ANOTHERS = dicom_files.ARCHIVES["NORTH"][:3]
TOKEN = "Bearer study-token"
Decision = Callable[[dict[str, Any]], bytes | None]


def told(**answer: Any) -> bytes:
    """An answer of the plugin's contract."""
    return response(200, json.dumps(answer).encode(), content_type="application/json")


def permits(*whats: str, validity: int = 1) -> Decision:
    """Says yes to whoever holds the token, for these UIDs (or paths, at level `system`)."""

    def decide(asked: dict[str, Any]) -> bytes:
        what = asked.get("dicom-uid", asked.get("uri"))
        return told(granted=asked["token-value"] == TOKEN and what in whats, validity=validity)

    return decide


class Exchange(LittleServer):
    """The web service, saying what a test has it say; None is silence."""

    root = "/retrieval/orthanc"

    def __init__(self) -> None:
        self.says: Decision = permits(MINE.uid)
        self.asked: list[dict[str, Any]] = []
        super().__init__()

    def _serve(self, plain: socket.socket) -> None:
        # The little server drops bodies; here the body is the question.
        with plain, plain.makefile("rb") as reader:
            line = reader.readline().decode().split(" ")
            headers: dict[str, str] = {}
            while (header := reader.readline().decode().strip()) != "":
                name, _, value = header.partition(":")
                headers[name.lower()] = value.strip()
            question = json.loads(reader.read(int(headers.get("content-length", "0"))) or b"{}")
            self.asked.append({"path": line[1], "authorization": headers.get("authorization"), **question})
            said = self.says(question)
            if said is None:
                self.stopping.wait(30)
            else:
                plain.sendall(said)


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Orthanc, Exchange]]:
    """NORTH's archive behind its door, and the exchange."""
    with Exchange() as exchange:
        archive = orthanc_with_door("NORTH", exchange.url + "/", facility="north", key="north-key-of-the-test")
        archive.load(dicom_files.ARCHIVES["NORTH"])
        yield archive, exchange
        archive.stop()


_tokens = iter(range(1_000_000))


@pytest.fixture
def exchange(running: tuple[Orthanc, Exchange]) -> Exchange:
    """It permits one study; nothing has been asked yet."""
    running[1].says = permits(MINE.uid)
    running[1].asked.clear()
    return running[1]


@pytest.fixture
def archive(running: tuple[Orthanc, Exchange], exchange: Exchange) -> Orthanc:
    """The archive; permissions of earlier tests don't count, since each test has a token of its own."""
    global TOKEN  # one token a test
    TOKEN = f"Bearer study-token-{next(_tokens)}"
    return running[0]


def _status(archive: Orthanc, path: str, method: str = "GET", **headers: str) -> int:
    """The status of a request whose path is sent as it is written."""
    return _answer(archive, path, method, **headers)[0]


def _answer(archive: Orthanc, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", archive.http_port, timeout=20)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in ({"Authorization": TOKEN} | headers).items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _json(archive: Orthanc, path: str) -> Any:
    headers = {"Authorization": TOKEN, "Accept": "application/dicom+json"}
    answer = requests.get(archive.dicomweb_url + path, headers=headers, timeout=20)
    assert answer.ok, answer.text
    return answer.json()


def _paths(study: StudyOnFile) -> list[str]:
    """Every way in which something of the study is fetched of this Orthanc."""
    return [f"/dicom-web{path}" for path in paths_of(study) if path[0] == "/" and "/thumbnail" not in path]


def test_t093_what_is_permitted_opens_and_nothing_else_does(archive: Orthanc) -> None:
    """The study in all its forms; another study of the same patient and another patient's in none."""
    assert {path: _status(archive, path) for path in _paths(MINE)} == dict.fromkeys(_paths(MINE), 200)
    for study in (OTHER_OF_MINE, ANOTHERS):
        assert {path: _status(archive, path) for path in _paths(study)} == dict.fromkeys(_paths(study), 403)


def test_the_question_is_that_of_the_plugins_contract(archive: Orthanc, exchange: Exchange) -> None:
    """As the facility, by its key; the token is passed as it came."""
    _status(archive, _paths(MINE)[0])

    (asked,) = exchange.asked
    assert asked == {
        "path": "/retrieval/orthanc/tokens/validate",
        "authorization": "Basic " + base64.b64encode(b"north:north-key-of-the-test").decode(),
        "dicom-uid": MINE.uid,
        "level": "study",
        "method": "get",
        "server-id": "north",
        "token-key": "Authorization",
        "token-value": TOKEN,
    }


def test_a_permitted_series_opens_and_its_study_does_not(archive: Orthanc, exchange: Exchange) -> None:
    """Where the whole study is refused, its series are asked about."""
    series = MINE.series_uid(MINE.series[0])
    exchange.says = permits(series)

    opened = {path: _status(archive, path) for path in _paths(MINE)}
    assert opened == {path: 200 if f"/series/{series}" in path else 403 for path in _paths(MINE)}


def test_a_list_is_asked_about_as_one_where_the_study_is_refused(archive: Orthanc, exchange: Exchange) -> None:
    """What this archive holds of a study that others hold a barred part of."""
    exchange.says = permits(f"/dicom-web/studies/{MINE.uid}/series", f"/dicom-web/studies?StudyInstanceUID={MINE.uid}")
    assert len(_json(archive, f"/studies/{MINE.uid}/series?limit=5")) == len(MINE.series)
    assert len(_json(archive, f"/studies?0020000D={MINE.uid}&includefield=all")) == 1
    assert _status(archive, f"/dicom-web/studies/{MINE.uid}") == 403
    assert _status(archive, f"/dicom-web/studies/{MINE.uid}/metadata") == 403


def test_t094_a_search_finds_that_study_alone(archive: Orthanc) -> None:
    """Whatever else it asks for; a search that doesn't name one permitted study is refused."""
    found = _json(archive, f"/studies?StudyInstanceUID={MINE.uid}&includefield=all&fuzzymatching=true")
    assert [study["0020000D"]["Value"] for study in found] == [[MINE.uid]]
    assert len(_json(archive, f"/instances?0020000D={MINE.uid}")) == MINE.instances
    patient = ANOTHERS.person.patient_id
    for query in (
        "",
        "?limit=10",
        "?includefield=all",
        "?fuzzymatching=true&PatientName=S",
        f"?PatientID={patient}",
        f"?PatientID={MINE.person.patient_id}",
        "?PatientID=*",
        "?StudyInstanceUID=",
        "?StudyInstanceUID=*",
        f"?StudyInstanceUID={MINE.uid[:-2]}??",
        f"?StudyInstanceUID={MINE.uid},{ANOTHERS.uid}",
        f"?StudyInstanceUID={MINE.uid}%5C{ANOTHERS.uid}",
        f"?StudyInstanceUID={MINE.uid}&0020000D={ANOTHERS.uid}",
        f"?StudyInstanceUID={MINE.uid}&0020,000D={ANOTHERS.uid}",
        f"?StudyInstanceUID={MINE.uid}&0020000d={ANOTHERS.uid}",
        f"?StudyInstanceUID={MINE.uid}&0020000D=",
        f"?studyinstanceuid={MINE.uid}",
        f"?StudyInstanceUID={ANOTHERS.uid}",
        f"?StudyInstanceUID={MINE.uid}&PatientID={patient}",
    ):
        for level in ("studies", "series", "instances"):
            assert _status(archive, f"/dicom-web/{level}{query}") == 403, (level, query)


@pytest.mark.parametrize(
    "key", ["StudyInstanceUID", "0020000D", "0020000d", "PatientID", "SeriesInstanceUID", "studyUID"]
)
def test_t094_what_a_path_names_is_not_named_otherwise_behind_it(archive: Orthanc, key: str) -> None:
    """Some archives let a key of the query take the place of the path's."""
    series = MINE.series_uid(MINE.series[0])
    for path in (f"/studies/{MINE.uid}/series", f"/studies/{MINE.uid}/instances", f"/studies/{MINE.uid}/metadata"):
        assert _status(archive, f"/dicom-web{path}?{key}={ANOTHERS.uid}") == 403
    instances = f"/dicom-web/studies/{MINE.uid}/series/{series}/instances"
    assert _status(archive, f"{instances}?{key}={ANOTHERS.series_uid(ANOTHERS.series[0])}") == 403
    assert _status(archive, f"{instances}?limit=2&includefield=00080018&offset=0") == 200


def test_t094_a_repeated_key_shows_nobody_elses_study(archive: Orthanc) -> None:
    """Of two Study Instance UIDs, the one that was judged is the one that is searched for."""
    for first, second in ((MINE.uid, ANOTHERS.uid), (ANOTHERS.uid, MINE.uid)):
        path = f"/dicom-web/studies?StudyInstanceUID={first}&StudyInstanceUID={second}"
        answer = requests.get(archive.base_url + path, headers={"Authorization": TOKEN}, timeout=20)
        assert answer.status_code == 403 or ANOTHERS.uid not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        f"/dicom-web/studies/{MINE.uid}/../{ANOTHERS.uid}",
        f"/dicom-web/studies/{MINE.uid}/../../studies/{ANOTHERS.uid}/metadata",
        f"//dicom-web//studies//{ANOTHERS.uid}",
        f"/dicom-web/studies/{MINE.uid}%2F..%2F{ANOTHERS.uid}",
        f"/dicom-web/studies/%2e%2e/studies/{ANOTHERS.uid}",
        f"/dicom-web/studies/{ANOTHERS.uid};{MINE.uid}",
        f"/dicom-web/studies/{MINE.uid};jsessionid=1",
        f"/dicom-web/studies/{MINE.uid}%252F{ANOTHERS.uid}",
        f"/dicom-web/studies/{ANOTHERS.uid}%20",
        f"/dicom-web/studies/{ANOTHERS.uid}%00{MINE.uid}",
        f"/dicom-web/studies/0{MINE.uid}",
        f"/dicom-web/studies/{'1.' * 40}1",
        f"/dicom-web/studies/{MINE.uid}/series/{ANOTHERS.series_uid(ANOTHERS.series[0])}",
        f"/dicom-web/studies/{MINE.uid}/series/{ANOTHERS.series_uid(ANOTHERS.series[0])}/metadata",
        f"/DICOM-WEB/studies/{ANOTHERS.uid}",
        f"/wado?requestType=WADO&studyUID={ANOTHERS.uid}&seriesUID=1&objectUID=1",
        "/dicom-web/servers",
        "/",
        "/app/explorer.html",
        "/system",
        "/patients",
        "/studies",
        "/instances",
        "/tools/find",
        "/changes",
        "/plugins/explorer.js",
    ],
)
def test_t098_no_other_path_leads_anywhere(archive: Orthanc, path: str) -> None:
    """Tricks with the path, the archive's own interface and its other protocols."""
    assert _status(archive, path) == 403


def test_t098_what_stands_after_a_nul_opens_nothing(archive: Orthanc) -> None:
    """Orthanc shows its filter what stands before it, and looks for no more than that."""
    anothers = ANOTHERS.series_uid(ANOTHERS.series[0])
    for path in (
        f"/dicom-web/studies/{MINE.uid}%00/series/{anothers}",
        f"/dicom-web/studies/{MINE.uid}%00/series/{anothers}/metadata",
        f"/dicom-web/studies/{MINE.uid}%00/../{ANOTHERS.uid}",
        f"/dicom-web/studies/{MINE.uid}/series/{MINE.series_uid(MINE.series[0])}%00/instances/"
        + dicom_files.uid_of("image", ANOTHERS.key, ANOTHERS.series[0].number, 1),
        f"/dicom-web/studies?StudyInstanceUID={ANOTHERS.uid}%00{MINE.uid}",
    ):
        status, body = _answer(archive, path)
        assert status in (200, 403, 404)
        assert ANOTHERS.uid.encode() not in body
        assert ANOTHERS.person.patient_id.encode() not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_token_writes_nothing(archive: Orthanc, exchange: Exchange, method: str) -> None:
    """Whatever the exchange would say."""
    assert _status(archive, f"/dicom-web/studies/{MINE.uid}", method, **{"Content-Length": "0"}) == 403
    assert _status(archive, "/dicom-web/studies", method, **{"Content-Length": "0"}) == 403
    assert exchange.asked == []


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Basic Z2F0ZXdheTo=", "token", "Bearer a b"])
def test_who_shows_no_token_is_not_even_asked_about(archive: Orthanc, exchange: Exchange, authorization: str) -> None:
    """No token, another scheme, a wrong password."""
    assert _status(archive, f"/dicom-web/studies/{MINE.uid}", Authorization=authorization) == 403
    assert _status(archive, f"/dicom-web/studies/{MINE.uid}?token=study-token", Authorization=authorization) == 403
    assert exchange.asked == []


@pytest.mark.parametrize(
    "said",
    [
        response(500, b"{}"),
        response(401, b"{}"),
        response(302, headers=(("Location", "/elsewhere"),)),
        response(200, b"<html>Please sign in</html>", content_type="text/html"),
        response(200, b"null"),
        response(200, b"[]"),
        response(200, b'{"granted":true'),
        response(204),
        told(granted=True),
        told(granted=True, validity=0),
        told(granted=True, validity=-1),
        told(granted=True, validity=True),
        told(granted=True, validity="60"),
        told(granted=True, validity=1e9),
        told(granted="true", validity=60),
        told(granted=1, validity=60),
        told(validity=60),
        b"nothing of HTTP\r\n\r\n",
    ],
    ids=lambda said: str(said)[-60:],
)
def test_t099_an_answer_that_is_no_yes_is_no(archive: Orthanc, exchange: Exchange, said: bytes | None) -> None:
    """Errors, redirects, a sign-in page, silence, and answers that the contract doesn't know; none is remembered."""
    exchange.says = lambda _: said
    assert _status(archive, f"/dicom-web/studies/{MINE.uid}/metadata") == 403
    exchange.says = permits(MINE.uid)
    assert _status(archive, f"/dicom-web/studies/{MINE.uid}/metadata") == 200


def test_t099_an_exchange_that_is_away_releases_nothing() -> None:
    """Nobody listens where it should."""
    with Exchange() as gone:
        url = gone.url
    archive = orthanc_with_door("NORTH", url, facility="north", key="north-key-of-the-test")
    try:
        archive.load([MINE])
        assert _status(archive, f"/dicom-web/studies/{MINE.uid}") == 403
    finally:
        archive.stop()


def test_t097_a_permission_is_remembered_no_longer_than_it_was_said_to_hold(
    archive: Orthanc, exchange: Exchange
) -> None:
    """Within its validity nobody is asked again; after it, what has been revoked is refused."""
    path = f"/dicom-web/studies/{MINE.uid}/metadata"
    exchange.says = permits(MINE.uid, validity=2)
    assert _status(archive, path) == 200
    exchange.says = permits()
    assert _status(archive, path) == 200
    assert len(exchange.asked) == 1
    exchange.stopping.wait(2.1)
    assert _status(archive, path) == 403
    assert len(exchange.asked) == 2


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"LocalUsers": {"gateway": ""}}, "Authorization.LocalUsers.gateway needs a secret"),
        ({"WebServicePassword": ""}, "Authorization.WebServicePassword needs a secret"),
        ({"WebServiceRootUrl": "hie.example"}, "Authorization.WebServiceRootUrl must be"),
    ],
)
def test_an_archive_whose_door_can_not_stand_does_not_start(settings: dict[str, Any], told: str) -> None:
    """Rather than to stand open: the example as it is shipped is such."""
    with pytest.raises(ServiceFailed, match=told):
        orthanc_with_door("NORTH", "http://127.0.0.1:9/", facility="north", key="north-key-of-the-test", **settings)


def test_a_permission_is_its_tokens_alone(archive: Orthanc, exchange: Exchange) -> None:
    """What one token opened is asked about anew for another."""
    path = f"/dicom-web/studies/{MINE.uid}/metadata"
    exchange.says = permits(MINE.uid, validity=60)
    assert _status(archive, path) == 200
    assert _status(archive, path, Authorization="Bearer somebody-elses") == 403


def test_local_users_come_in_by_their_password(archive: Orthanc, exchange: Exchange) -> None:
    """The gateway's own queries, for one, and without asking the exchange."""
    answer = requests.get(f"{archive.dicomweb_url}/studies", auth=(archive.username, archive.password), timeout=20)
    assert len(answer.json()) == len(dicom_files.ARCHIVES["NORTH"])
    assert exchange.asked == []


def test_the_log_holds_no_token_and_no_uid(archive: Orthanc, exchange: Exchange) -> None:
    """A refusal for want of a decision is told in words alone."""
    exchange.says = lambda _: response(500, b"{}")
    _status(archive, f"/dicom-web/studies/{MINE.uid}")

    text = archive.log_text()
    assert "refused, since ValueError while deciding" in text
    assert "study-token" not in text
    assert "north-key-of-the-test" not in text
