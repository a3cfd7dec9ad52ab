"""What comes in by HTTP before anybody looks at a parameter: tokens on every route, methods, framing, headers.

T1, T10, T11, T119, T122, T126 and T132 of the security tests, on real sockets.
"""

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests

from gateway.app import create_app
from gateway.config import Settings
from tests import canary
from tests.functional.small_exchange import SmallExchange, hold_study, identifier, uids

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
OPEN = {
    "/fhir/r4/metadata",
    "/fhir/r4/.well-known/smart-configuration",
    "/.well-known/smart-configuration",
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/livez",
    "/cds-services",
    "/readyz",
    "/metrics",
}
"""Every route that anybody reads without proving anything. One more is a decision, made here."""
PROVEN_WITHIN = {
    "/oauth/token",
    "/oauth/introspect",
    "/oauth/revoke",
    "/retrieval/view/token",
    "/pages/gateway.css",
    "/signout",
    "/signin/set-password/some-word",
}
"""What is open and says nothing of anybody: the proof is in the request, or there is nothing to prove."""
EVIL = "evil.example"


@pytest.fixture(scope="module")
def exchange() -> Iterator[SmallExchange]:
    """One facility, one person with one study."""
    made = SmallExchange()
    hold_study(made.add_archive("north"), "a", "2.25.1")
    made.add_person("a", "north")
    yield made.start()
    made.stop()


@pytest.fixture(scope="module")
def guards(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], frozenset[str]]:
    """The methods of every route of the application, by a path that it matches and the guard that stands before it."""
    folder: Path = tmp_path_factory.mktemp("routes")
    app = create_app(Settings.from_env({"GATEWAY_DATA_DIR": str(folder)}))
    found: dict[tuple[str, str], frozenset[str]] = {}
    try:
        for rule in app.url_map.iter_rules():
            key = _path(rule.rule), app.extensions["gateway.guards"][rule.endpoint.split(".")[0]].name
            found[key] = found.get(key, frozenset()) | frozenset(rule.methods or ())
    finally:
        app.extensions["gateway.close"]()
    return found


@pytest.fixture(scope="module")
def routes(guards: dict[tuple[str, str], frozenset[str]]) -> list[tuple[str, frozenset[str]]]:
    """Those that are for who has an access token; what pages and facilities' questions ask for is T151's."""
    return [(path, methods) for (path, guard), methods in guards.items() if guard == "requires_token"]


EXAMPLES = {
    "<id_>": "some-id",
    "<path:rest>": "some/where/else",
    "<version>": "1",
    "<name>": "gateway.css",
    "<word>": "some-word",
    "<kind>": "some-kind",
}


def _path(rule: str) -> str:
    for variable, example in EXAMPLES.items():
        rule = rule.replace(variable, example)
    assert "<" not in rule, "a new kind of route needs an example here"
    return rule


def test_t001_every_route_but_the_open_ones_asks_for_a_token(
    exchange: SmallExchange, routes: list[tuple[str, frozenset[str]]]
) -> None:
    """401 with a challenge that names no error, before anything else is said; other methods are 404 or 405."""
    unguarded = []
    for path, methods in routes:
        for method in METHODS:
            answer = requests.request(method, exchange.gateway.url + path, timeout=10)
            challenged = answer.headers.get("WWW-Authenticate", "")
            told = answer.status_code == 401 and challenged.startswith("Bearer") and "error=" not in challenged
            if not told and (method in methods or answer.status_code not in (404, 405)):
                unguarded.append((method, path, answer.status_code, challenged))
            assert "X-Request-Id" in answer.headers
            assert answer.headers["Cache-Control"] == "no-store"
            if answer.content and path.startswith("/fhir"):
                assert answer.json()["resourceType"] == "OperationOutcome"
    assert unguarded == []


def test_t001_the_open_routes_are_open_and_are_all_there(
    guards: dict[tuple[str, str], frozenset[str]], exchange: SmallExchange
) -> None:
    """The list of what needs no token is complete, and none of them asks for one."""
    opened = {path for path, guard in guards if guard in ("open_to_anyone", "only_from")}
    assert opened == OPEN | PROVEN_WITHIN
    for path in OPEN:
        assert requests.get(exchange.gateway.url + path, timeout=10).status_code == 200, path


def test_t002_a_token_that_does_not_hold_is_told_so_on_every_route(
    exchange: SmallExchange, routes: list[tuple[str, frozenset[str]]]
) -> None:
    """`error="invalid_token"`, and not a word of the token."""
    expired = exchange.signed_token(exp=1)
    for token in (
        "not-a-token",
        expired,
        exchange.signed_token(iss="https://evil.example"),
        exchange.token[:-8] + "AAAAAAAA",
    ):
        for path, methods in routes:
            if "GET" not in methods:
                continue
            answer = requests.get(exchange.gateway.url + path, headers={"Authorization": f"Bearer {token}"}, timeout=10)
            assert answer.status_code == 401
            assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
            assert token not in f"{answer.headers}{answer.text}"


def test_t010_a_token_in_url_or_form_is_not_read_and_not_logged(exchange: SmallExchange) -> None:
    """Only the header counts, and a URL that carries a token is refused although the header is there."""
    token = exchange.token
    for options in ({"params": {"access_token": token}}, {"params": {"access_token": token}, "token": None}):
        answer = exchange.get("/ImagingStudy", **options)
        assert answer.status_code == 401
        assert token not in answer.text
    assert exchange.request("POST", "/ImagingStudy/_search", data={"access_token": token}).status_code == 401
    assert token not in exchange.gateway.log()


def raw(exchange: SmallExchange, data: bytes) -> tuple[int, bytes]:
    """The status and the whole of what the gateway answers to these bytes until it closes; 0 where it says nothing."""
    with closing(socket.create_connection(("127.0.0.1", exchange.gateway.port), timeout=10)) as connection:
        said = b""
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65536):
                said += chunk
        except OSError:
            pass  # closed with our bytes unread, which is a refusal too
    if not said.startswith(b"HTTP/1.1 200"):
        canary.record(said, "the answer to a broken request")
    return (int(said.split(b" ", 2)[1]) if said.startswith(b"HTTP/1.") else 0), said


def head(exchange: SmallExchange, line: str, *lines: str, host: bool = True) -> bytes:
    """A request's line and headers, with the EHR's token."""
    name = [f"Host: 127.0.0.1:{exchange.gateway.port}"] if host else []
    return "\r\n".join([line, *name, f"Authorization: Bearer {exchange.token}", *lines, "", ""]).encode("latin-1")


SEARCH = "POST /fhir/r4/ImagingStudy/_search HTTP/1.1"
FORM = "Content-Type: application/x-www-form-urlencoded"
CHUNKED = "Transfer-Encoding: chunked"
GET = "GET /fhir/r4/ImagingStudy?patient=x HTTP/1.1"
SMUGGLED = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"

BROKEN: dict[str, tuple[tuple[str, ...], bytes]] = {
    "length and chunked": ((SEARCH, FORM, "Content-Length: 5", CHUNKED), b"0\r\n\r\n" + SMUGGLED),
    "chunked and length": ((SEARCH, FORM, CHUNKED, "Content-Length: 5"), b"0\r\n\r\n" + SMUGGLED),
    "two lengths": ((SEARCH, FORM, "Content-Length: 5", "Content-Length: 6"), b"a=b&c=d"),
    "a list of lengths": ((SEARCH, FORM, "Content-Length: 5, 6"), b"a=b&c=d"),
    "a signed length": ((SEARCH, FORM, "Content-Length: +5"), b"a=b&c"),
    "a length in hex": ((SEARCH, FORM, "Content-Length: 0x5"), b"a=b&c"),
    "chunked twice": ((SEARCH, FORM, CHUNKED, CHUNKED), b"0\r\n\r\n"),
    "chunked not last": ((SEARCH, FORM, "Transfer-Encoding: chunked, identity"), b"0\r\n\r\n"),
    "an unknown coding": ((SEARCH, FORM, "Transfer-Encoding: xchunked"), b"0\r\n\r\n"),
    "chunked with a tail": ((SEARCH, FORM, "Transfer-Encoding: chunked\x0b"), b"0\r\n\r\n"),
    "a folded header": ((SEARCH, FORM, "X-Folded: a\r\n b", "Content-Length: 0"), b""),
    "a space before the colon": ((SEARCH, FORM, "Content-Length : 5"), b"a=b&c"),
    "a header without a colon": ((GET, "nonsense"), b""),
    "a NUL in a header": ((GET, "X-A: a\x00b"), b""),
    "a bare CR in a header": ((GET, "X-A: a\rX-B: b"), b""),
    "two hosts": ((GET, f"Host: {EVIL}"), b""),
    "a chunk size in the negative": ((SEARCH, FORM, CHUNKED), b"-1\r\n\r\n0\r\n\r\n"),
    "a chunk size with 0x": ((SEARCH, FORM, CHUNKED), b"0x5\r\na=b&c\r\n0\r\n\r\n"),
    "a chunk extension with a bare LF": ((SEARCH, FORM, CHUNKED), b"5;a\nb\r\na=b&c\r\n0\r\n\r\n"),
    "a chunk that is longer than it says": ((SEARCH, FORM, CHUNKED), b"3\r\na=b&c\r\n0\r\n\r\n"),
    "absolute form to another host": ((GET.replace("/fhir", f"http://{EVIL}/fhir"),), b""),
    "absolute form of another scheme": ((GET.replace("/fhir", f"ftp://{EVIL}/fhir"),), b""),
    "a path that does not begin with a slash": ((GET.replace("/fhir", "fhir"),), b""),
    "another version": ((GET.replace("1.1", "2.0"),), b""),
    "no version": (("GET /livez",), b""),
    "absolute form with no host in it": ((GET.replace("/fhir", "http:///fhir"),), b""),
    "authority form": (("CONNECT evil.example:443 HTTP/1.1",), b""),
    "a method with a bracket": ((GET.replace("GET", "G{T"),), b""),
    "a line that is too long": (("GET /fhir/r4/ImagingStudy?patient=" + "x" * 30_000 + " HTTP/1.1",), b""),
    "a header that is too long": ((GET, "X-A: " + "x" * 30_000), b""),
    "too many headers": ((GET, *(f"X-{n}: a" for n in range(1000))), b""),
}


@pytest.mark.parametrize("name", BROKEN)
def test_t119_a_request_that_can_be_read_in_two_ways_is_refused(exchange: SmallExchange, name: str) -> None:
    """400 (or 414, 431, 501, 505), the connection closed, and nothing after it is taken for a second request."""
    lines, body = BROKEN[name]
    status, said = raw(exchange, head(exchange, *lines) + body)

    assert status in (400, 414, 431, 501), said[:300]
    assert b"X-Request-Id: " in said
    assert said.count(b"HTTP/1.1 ") == 1
    assert b"Traceback" not in said
    assert len(said) < 2048
    assert EVIL.encode() not in said


def test_t119_a_request_without_a_host_is_refused(exchange: SmallExchange) -> None:
    """RFC 9112 §3.2."""
    assert raw(exchange, head(exchange, "GET /livez HTTP/1.1", host=False))[0] == 400


def test_t119_absolute_form_to_the_same_host_is_what_it_says(exchange: SmallExchange) -> None:
    """RFC 9112 §3.2.2: a server accepts it."""
    line = f"GET http://127.0.0.1:{exchange.gateway.port}/livez HTTP/1.1"
    assert raw(exchange, head(exchange, line, "Connection: close"))[0] == 200


def test_t119_a_chunk_extension_is_passed_over_and_moves_nothing(exchange: SmallExchange) -> None:
    """RFC 9112 §7.1.1: a well-formed one is ignored, and the body is what the chunks hold."""
    body = f"patient.identifier={identifier('a', 'north')}".encode()
    chunked = b"%x;name=value\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    status, said = raw(exchange, head(exchange, SEARCH, FORM, CHUNKED, "Connection: close") + chunked)

    assert status == 200
    assert b'"total":1' in said
    assert said.count(b"HTTP/1.1 ") == 1


UNREAD = {
    "too large a form": ("POST /oauth/token HTTP/1.1", FORM, 413),
    "too large a question": ("POST /retrieval/view/token HTTP/1.1", FORM, 413),
    "a question of nobody": ("POST /retrieval/orthanc/tokens/validate HTTP/1.1", "Content-Type: application/json", 401),
    "a search of nobody": (SEARCH, FORM, 401),
    "a form where none belongs": ("POST /livez HTTP/1.1", FORM, 405),
}


@pytest.mark.parametrize(
    ("name", "framing"),
    [
        *((name, "Content-Length: 300000") for name in UNREAD),
        *((name, CHUNKED) for name, (_, _, status) in UNREAD.items() if status != 413),
    ],
)
def test_t119_what_is_refused_without_reading_it_ends_the_connection_and_says_so(
    exchange: SmallExchange, name: str, framing: str
) -> None:
    """`Connection: close` (RFC 9112 §9.6), and what is left of the body is never taken for a request."""
    line, kind, expected = UNREAD[name]
    whole = [line, f"Host: 127.0.0.1:{exchange.gateway.port}", kind, framing, "", ""]
    begun = (b"4000\r\n" if framing == CHUNKED else b"") + SMUGGLED * (16_384 // len(SMUGGLED))
    with closing(socket.create_connection(("127.0.0.1", exchange.gateway.port), timeout=10)) as connection:
        # As a client does that keeps the connection: it has more to send, and closes nothing.
        connection.sendall("\r\n".join(whole).encode() + begun)
        said = b""
        while b"\r\n\r\n" not in said and (chunk := connection.recv(65536)):
            said += chunk
        connection.shutdown(socket.SHUT_WR)
        while chunk := connection.recv(65536):
            said += chunk

    assert said.startswith(b"HTTP/1.1 %d " % expected), said[:300]
    assert b"\r\nConnection: close\r\n" in said
    assert said.count(b"HTTP/1.1 ") == 1


def test_a_connection_goes_on_where_what_came_was_read(exchange: SmallExchange) -> None:
    """A refusal as such ends none: with its body read, or without any."""
    name = f"Host: 127.0.0.1:{exchange.gateway.port}"
    unread = "\r\n".join(["POST /fhir/r4/ImagingStudy/_search HTTP/1.1", name, "Content-Length: 0", "", ""]).encode()
    read = "\r\n".join(["POST /oauth/token HTTP/1.1", name, FORM, "Content-Length: 3", "", "a=b"]).encode()
    last = "\r\n".join(["GET /livez HTTP/1.1", name, "Connection: close", "", ""]).encode()
    _, said = raw(exchange, unread + read + last)
    assert said.count(b"HTTP/1.1 ") == 3
    assert said.count(b"\r\nConnection: keep-alive\r\n") == 2


def test_t119_the_worker_is_alive_after_all_that(exchange: SmallExchange) -> None:
    """It answers as before."""
    assert uids(exchange.search("a", "north")) == ["2.25.1"]


def test_t119_what_the_server_logs_of_a_broken_request_quotes_nothing(exchange: SmallExchange) -> None:
    """Neither its line nor its headers."""
    secret = "CNRY-90210-in-a-broken-line"
    raw(exchange, head(exchange, f"GET /{secret} HTTP/7.{secret}"))
    raw(exchange, head(exchange, GET, f"X-A{{{secret}: a"))

    assert secret not in exchange.gateway.log()


@pytest.mark.parametrize("path", ["/ImagingStudy?patient=x", "/ImagingStudy/some-id", "/Patient/some-id", "/Endpoint"])
def test_t126_other_methods_get_no_more_than_get(exchange: SmallExchange, path: str) -> None:
    """HEAD needs the same token and has no body; OPTIONS and TRACE are refused, and nothing is echoed."""
    for method in ("OPTIONS", "TRACE"):
        answer = exchange.request(method, path, headers={"X-Echo": "echoed"})
        assert answer.status_code in (401, 405)
        assert "echoed" not in f"{answer.headers}{answer.text}"
    assert exchange.request("HEAD", path, token=None).status_code == 401
    got, headed = exchange.get(path), exchange.request("HEAD", path)
    assert headed.status_code == got.status_code
    assert headed.content == b""


def test_t126_a_method_override_is_ignored(exchange: SmallExchange) -> None:
    """By header, by parameter and by form."""
    asked = {"patient.identifier": identifier("a", "north")}
    for override in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        assert exchange.get("/ImagingStudy", asked, headers={override: "DELETE"}).json()["total"] == 1
        assert exchange.request("POST", "/ImagingStudy/x", headers={override: "GET"}).status_code == 405
    assert exchange.get("/ImagingStudy", {**asked, "_method": "DELETE"}).json()["total"] == 1


def test_t132_no_header_from_outside_is_reflected(exchange: SmallExchange) -> None:
    """Links, challenges and documents use the configured base, whatever `Host` and its like say."""
    poison = {
        "Host": EVIL,
        "X-Forwarded-Host": EVIL,
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Port": "666",
        "X-Original-URL": f"/{EVIL}",
        "Forwarded": f"host={EVIL}",
        "Accept-Language": EVIL,
        "Origin": f"https://{EVIL}",
        "Referer": f"https://{EVIL}",
        "X-Request-Id": f"{EVIL}/<script>",
    }
    asked = {"patient.identifier": identifier("a", "north"), "_include": "ImagingStudy:endpoint"}
    for path, params in (
        ("/ImagingStudy", asked),
        ("/metadata", None),
        ("/.well-known/smart-configuration", None),
        ("/nowhere", None),
    ):
        answer = exchange.get(path, params, headers=poison)
        assert EVIL not in f"{answer.headers}{answer.text}"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        public = path in ("/metadata", "/.well-known/smart-configuration")
        assert answer.headers.get("Access-Control-Allow-Origin") == ("*" if public else None)
    refused = exchange.get("/ImagingStudy", asked, token=None, headers=poison)
    assert EVIL not in f"{refused.headers}{refused.text}"


@pytest.mark.parametrize(
    "path",
    [
        "/fhir/r4//metadata",
        "/fhir/r4///ImagingStudy",
        "/fhir/r4/ImagingStudy//some-id",
        "/fhir/r4/.well-known//smart-configuration",
        "/oauth//token",
        "/.well-known//jwks.json",
        "/livez//",
    ],
)
def test_t132_a_path_that_is_nearly_right_leads_nowhere(exchange: SmallExchange, path: str) -> None:
    """404 and no redirect: it would go to the host that the caller names."""
    headers = {"Host": EVIL, "Authorization": f"Bearer {exchange.token}"}
    answer = requests.get(exchange.gateway.url + path, headers=headers, timeout=10, allow_redirects=False)
    assert answer.status_code == 404
    assert "Location" not in answer.headers
    assert EVIL not in f"{answer.headers}{answer.text}"
    if path.startswith("/fhir/r4"):
        assert answer.json()["resourceType"] == "OperationOutcome"


def test_x_request_id_is_taken_from_outside_only_where_it_is_one(exchange: SmallExchange) -> None:
    """A harmless one is kept, so that a caller can find its request again; anything else is replaced."""
    assert exchange.get("/metadata", headers={"X-Request-Id": "r-17"}).headers["X-Request-Id"] == "r-17"
    for bad in ("a b", "a" * 65, "<x>", "ä", ""):
        assert exchange.get("/metadata", headers={"X-Request-Id": bad.encode("latin-1")}).headers["X-Request-Id"] != bad
