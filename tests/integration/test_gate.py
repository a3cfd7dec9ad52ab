"""The gate that is shipped, in a real nginx: what it asks the gateway, what it lets through, and what it keeps.

The gateway and the archive are little servers here, so that they can be as wrong as they can be;
`test_gate_and_gateway.py` has the real ones.
"""

import socket
import subprocess
from collections.abc import Callable, Iterator

import pycurl
import pytest
import requests
import urllib3

from tests.facilities.little_server import LittleServer, Request, response
from tests.services.gate import SHIPPED, Gate

pytestmark = pytest.mark.integration

VIEWER = "https://viewer.example"
STUDY = "/dicom-web/studies/2.25.1"
TOKEN = {"Authorization": "Bearer the-token"}
PERMIT = (("X-Retrieval-Decision", "permit"),)
Answer = Callable[[Request], bytes | None]


class Scripted(LittleServer):
    """Answers what the test says; None closes the connection after as long as the server lives."""

    def __init__(self, says: Answer) -> None:
        self.says = says
        super().__init__()

    def answer(self, request: Request, connection: socket.socket) -> bool:
        said = self.says(request)
        if said is None:
            self.stopping.wait(30)
            return False
        connection.sendall(said)
        return True


def _permits(_: Request) -> bytes:
    return response(204, headers=PERMIT)


def _bytes(_: Request) -> bytes:
    return response(200, b"an image", content_type="application/dicom")


@pytest.fixture(scope="module")
def gateway() -> Iterator[Scripted]:
    """Says yes, unless a test has it say something else."""
    with Scripted(_permits) as server:
        yield server


@pytest.fixture(scope="module")
def archive() -> Iterator[Scripted]:
    """Gives everything to everybody, as an archive without a login does."""
    with Scripted(_bytes) as server:
        yield server


@pytest.fixture(scope="module")
def running(gateway: Scripted, archive: Scripted) -> Iterator[Gate]:
    """The gate before the two."""
    gate = Gate(
        archive=archive.port,
        gateway=gateway.port,
        key="the-facility-key",
        archive_authorization="Basic Z2F0ZTpnYXRl",
        viewers=f"{VIEWER} http://127.0.0.1:3000",
    )
    yield gate
    gate.stop()


@pytest.fixture
def gate(running: Gate, gateway: Scripted, archive: Scripted) -> Gate:
    """The gate, with nothing asked of anybody yet."""
    gateway.says, archive.says = _permits, _bytes
    gateway.requests.clear()
    archive.requests.clear()
    return running


def _get(gate: Gate, path: str = STUDY, method: str = "GET", **headers: str) -> requests.Response:
    return requests.request(
        method, gate.origin + path, headers={**TOKEN, **headers}, verify=gate.certificate, timeout=20, stream=False
    )


def _raw(gate: Gate, target: str, *headers: str) -> tuple[int, bytes]:
    """Status and body of a GET whose target is sent as it is written."""
    pool = urllib3.connection_from_url(gate.origin, ca_certs=str(gate.certificate), timeout=20)
    connection = pool._get_conn()
    try:
        connection.connect()
        sock = connection.sock
        assert sock is not None
        lines = [f"GET {target} HTTP/1.1", "Host: gate", "Authorization: Bearer the-token", "Connection: close"]
        sock.sendall(("\r\n".join([*lines, *headers]) + "\r\n\r\n").encode("latin-1"))
        told = b""
        while chunk := sock.recv(65536):
            told += chunk
    finally:
        connection.close()
        pool.close()
    return int(told.split(b" ", 2)[1]), told.partition(b"\r\n\r\n")[2]


def test_nginx_accepts_the_configuration(running: Gate) -> None:
    """`nginx -t` has nothing to say against it."""
    assert running.configuration_test.returncode == 0, running.configuration_test.stderr
    assert "warn" not in running.configuration_test.stderr


def test_what_is_not_filled_in_is_told(tmp_path: object) -> None:
    """A name without a value, and an origin that is none, end the filling in."""
    for values, told in (("GATE_LISTEN=443\n", "no value for"), ("X_ORIGINS=viewer.example\n", "not an origin")):
        env = f"{tmp_path}/gate.env"
        with open(env, "w") as file:
            file.write(values)
        done = subprocess.run(
            [SHIPPED / "fill-in.sh", SHIPPED / "gate.conf.template", env], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert told in done.stderr


def test_the_example_fills_the_template() -> None:
    """Every name of the template has a line in the example, and there is none besides."""
    done = subprocess.run(
        [SHIPPED / "fill-in.sh", SHIPPED / "gate.conf.template", SHIPPED / "gate.env.example"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "${" not in done.stdout.replace("${GATE_…}", "")
    assert '"https://viewer.example" "https://viewer.example";' in done.stdout


def test_the_gateway_is_asked_about_exactly_what_was_asked(gate: Gate, gateway: Scripted) -> None:
    """URI undecoded, method, token and facility key; nothing else that the caller sent, nor what it pretends to be."""
    uri = f"{STUDY}/series/2.25.2/instances/2.25.3/frames/1,2?accept=a%2Fb"
    answer = _get(gate, uri, **{"X-Facility-Key": "forged", "X-Original-URI": "/forged", "Cookie": "a=b"})

    assert answer.content == b"an image"
    (asked,) = gateway.requests
    assert (asked.method, asked.target) == ("GET", "/retrieval/authorize")
    assert asked.headers["x-original-uri"] == uri
    assert asked.headers["x-original-method"] == "GET"
    assert asked.headers["authorization"] == TOKEN["Authorization"]
    assert asked.headers["x-facility-key"] == "the-facility-key"
    assert asked.headers["x-request-id"] == answer.headers["X-Request-Id"]
    assert "cookie" not in asked.headers


def test_the_archive_never_sees_the_callers_token(gate: Gate, archive: Scripted) -> None:
    """It sees the gate's own login, the URI as it was judged, what is wanted, and nothing else of the caller's."""
    _get(gate, f"{STUDY}/metadata", Accept="application/dicom+json", **{"X-Forwarded-Host": "evil.example"})

    (asked,) = archive.requests
    assert asked.target == f"{STUDY}/metadata"
    assert asked.headers["authorization"] == "Basic Z2F0ZTpnYXRl"
    assert asked.headers["accept"] == "application/dicom+json"
    assert "the-token" not in str(asked)
    assert "evil.example" not in str(asked)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_told_as_it_is(gate: Gate, gateway: Scripted, archive: Scripted, status: int) -> None:
    """With its challenge; the archive is not asked."""
    challenge = (("WWW-Authenticate", 'Bearer error="invalid_token"'),)
    gateway.says = lambda _: response(status, b"{}", headers=challenge if status == 401 else ())
    answer = _get(gate)

    assert answer.status_code == status
    assert (answer.headers.get("WWW-Authenticate") == challenge[0][1]) == (status == 401)
    assert archive.requests == []


@pytest.mark.parametrize(
    "said",
    [
        response(500, b"{}"),
        response(503, b"{}", headers=(("Retry-After", "5"),)),
        response(302, headers=(("Location", "/signin"), *PERMIT)),
        response(200, b"<html>Please sign in</html>", content_type="text/html"),
        response(200, b'{"granted":true}', content_type="application/json"),
        response(204),
        response(204, headers=(("X-Retrieval-Decision", "deny"),)),
        response(204, headers=(("X-Retrieval-Decision", "permit, deny"),)),
        response(404, b"{}", headers=PERMIT),
        response(500, b"{}", headers=PERMIT),
        b"nothing of HTTP\r\n\r\n",
    ],
    ids=lambda said: str(said)[:60],
)
def test_t099_an_answer_that_is_no_yes_is_no(
    gate: Gate, gateway: Scripted, archive: Scripted, said: bytes | None
) -> None:
    """Errors, redirects, a sign-in page, silence, and a 200 without the word: nothing is released, and nobody asked."""
    gateway.says = lambda _: said
    answer = _get(gate)

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert answer.content == b'{"error":"unavailable"}'
    assert archive.requests == []


def test_t099_a_gateway_that_is_away_releases_nothing(archive: Scripted) -> None:
    """Nobody listens where the gateway should."""
    with Scripted(_permits) as gone:
        port = gone.port
    archive.requests.clear()
    gate = Gate(archive=archive.port, gateway=port)
    try:
        assert _get(gate).status_code == 503
        assert archive.requests == []
    finally:
        gate.stop()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"])
def test_nothing_is_written_through_the_gate(gate: Gate, gateway: Scripted, archive: Scripted, method: str) -> None:
    """Other methods than reading are refused without asking anybody."""
    assert _get(gate, method=method).status_code == 405
    assert gateway.requests + archive.requests == []


def test_head_is_asked_about_as_head(gate: Gate, gateway: Scripted) -> None:
    """The gateway decides by the method that was asked."""
    assert _get(gate, method="HEAD").status_code == 200
    assert gateway.requests[0].headers["x-original-method"] == "HEAD"


TRICKS = [
    "/dicom-web/studies/2.25.1/../2.25.2",
    "/dicom-web/%2e%2e/dicom-web/studies/2.25.2",
    "/dicom-web//studies/2.25.2",
    "/x/..//dicom-web/studies/2.25.2",
    "/dicom-web/studies/2.25.1%2F..%2F2.25.2",
    "/dicom-web/studies/2.25.1;jsessionid=1",
    "/dicom-web/studies/2.25.1%252F2.25.2",
    "/dicom-web/studies/2.25.1?StudyInstanceUID=2.25.2#x",
    "/%64icom-web/studies/2.25.2",
    "https://gate/dicom-web/studies/2.25.2",
]


@pytest.mark.parametrize("target", TRICKS)
def test_t098_what_is_judged_is_what_the_archive_is_asked(
    gate: Gate, gateway: Scripted, archive: Scripted, target: str
) -> None:
    """Nothing is resolved, decoded or merged between the gateway's decision and the archive."""
    _raw(gate, target)

    judged = [request.headers["x-original-uri"] for request in gateway.requests]
    assert judged in ([], [target.removeprefix("https://gate")])
    assert [request.target for request in archive.requests] in ([], judged)


def test_t098_nor_in_between_over_http2(gate: Gate, gateway: Scripted, archive: Scripted) -> None:
    """Which browsers speak, and in which a target is not written as it is in HTTP/1.1."""
    for target in TRICKS:
        gateway.requests.clear()
        archive.requests.clear()
        curl = pycurl.Curl()
        curl.setopt(pycurl.URL, gate.origin)
        curl.setopt(pycurl.REQUEST_TARGET, target)
        curl.setopt(pycurl.PATH_AS_IS, 1)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2_0)
        curl.setopt(pycurl.CAINFO, str(gate.certificate))
        curl.setopt(pycurl.HTTPHEADER, ["Authorization: Bearer the-token"])
        curl.setopt(pycurl.WRITEFUNCTION, lambda _: None)
        curl.setopt(pycurl.TIMEOUT, 20)
        curl.perform()
        assert curl.getinfo(pycurl.INFO_HTTP_VERSION) == pycurl.CURL_HTTP_VERSION_2_0
        curl.close()
        judged = [request.headers["x-original-uri"] for request in gateway.requests]
        assert judged in ([], [target.removeprefix("https://gate")])
        assert [request.target for request in archive.requests] in ([], judged)


@pytest.mark.parametrize("target", ["/", "/instances", "/system", "/dicom-web", "/dicom-webx/studies", "/_decision"])
def test_other_paths_of_the_archive_are_not_there(
    gate: Gate, gateway: Scripted, archive: Scripted, target: str
) -> None:
    """Only the DICOMweb service stands behind the gate."""
    assert _raw(gate, target)[0] == 404
    assert gateway.requests + archive.requests == []


def test_t101_the_archive_sends_nobody_elsewhere(gate: Gate, archive: Scripted) -> None:
    """Redirects, cookies, links and origins of the archive's choice don't pass."""
    for status in (301, 302, 303, 307, 308):
        archive.says = lambda _, status=status: response(status, headers=(("Location", "https://evil.example/"),))
        answer = requests.get(
            gate.url + "/studies/2.25.1", headers=TOKEN, verify=gate.certificate, allow_redirects=False, timeout=10
        )
        assert answer.status_code == 503
        assert "evil.example" not in str(answer.headers)
    archive.says = lambda _: response(
        200,
        b"an image",
        headers=(
            ("Location", "https://evil.example/"),
            ("Content-Location", "https://evil.example/"),
            ("Refresh", "0;url=https://evil.example/"),
            ("Link", "<https://evil.example/>; rel=preload"),
            ("Set-Cookie", "evil.example=1"),
            ("Access-Control-Allow-Origin", "https://evil.example"),
            ("Access-Control-Allow-Credentials", "true"),
            ("Content-Security-Policy", "default-src https://evil.example"),
        ),
    )
    answer = _get(gate)
    assert answer.content == b"an image"
    assert "evil.example" not in str(answer.headers)


def test_what_passes_is_neither_kept_nor_run(gate: Gate, archive: Scripted) -> None:
    """An HTML "image" runs no script in the gate's origin, and no browser keeps what may be revoked."""
    archive.says = lambda _: response(
        200, b"<script>", content_type="text/html", headers=(("Cache-Control", "public, max-age=9999"),)
    )
    answer = _get(gate)

    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("origin", [VIEWER, "http://127.0.0.1:3000"])
def test_t123_a_viewers_page_may_read(gate: Gate, gateway: Scripted, archive: Scripted, origin: str) -> None:
    """Its preflight is answered by the gate alone; images and refusals are readable, without credentials."""
    preflight = requests.options(
        gate.url + "/studies/2.25.1",
        headers={"Origin": origin, "Access-Control-Request-Method": "GET"},
        verify=gate.certificate,
        timeout=10,
    )
    assert (preflight.status_code, preflight.content) == (204, b"")
    assert gateway.requests + archive.requests == []
    answers = [preflight, _get(gate, Origin=origin)]
    gateway.says = lambda _: response(403, b"{}")
    answers.append(_get(gate, Origin=origin))
    gateway.says = lambda _: response(500, b"{}")
    answers.append(_get(gate, Origin=origin))
    for answer in answers:
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", f"{VIEWER}.evil.com", "http://viewer.example", f"{VIEWER}:8443", "*", ""]
)
def test_t123_no_other_page_reads(gate: Gate, origin: str) -> None:
    """No origin is named to it, in a preflight or in an answer."""
    preflight = _get(gate, method="OPTIONS", Origin=origin, **{"Access-Control-Request-Method": "GET"})
    for answer in (preflight, _get(gate, Origin=origin)):
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_the_gates_log_names_no_study(gate: Gate, gateway: Scripted) -> None:
    """Status and size, and no path, query or token."""
    _get(gate, f"{STUDY}?PatientName=Smith")
    gateway.says = lambda _: response(500, b"{}")
    _get(gate, f"{STUDY}?PatientName=Smith")
    errors = gate.log.with_name("access.log.errors")
    text = gate.log.read_text() + errors.read_text()

    assert " 200 " in text
    assert "decided=500 archive=-" in text
    for secret in ("2.25.1", "Smith", "the-token"):
        assert secret not in text
