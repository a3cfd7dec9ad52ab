"""Reading a client's keys from its address, against servers on loopback that behave and that do not."""

import ipaddress
import socket
import time
from collections.abc import Iterator

import pytest
import trustme

from gateway.auth.jwks_fetch import JWKSFetcher, JWKSUnavailable, freshness_s, is_public, problems_of_jwks_uri
from tests.facilities.key_server import KeyServer, TLSKeyServer
from tests.factories_auth import a_jwks


@pytest.fixture
def server() -> Iterator[KeyServer]:
    """A key server on loopback."""
    with KeyServer() as running:
        yield running


def test_a_set_is_read_with_the_time_it_may_be_kept(server: KeyServer) -> None:
    """One plain GET, nothing of ours in it."""
    fetched = JWKSFetcher(production=False)(server.url + "/jwks")
    assert fetched.body == a_jwks().encode()
    assert fetched.fresh_s == 60
    assert server.requests[0].method == "GET"
    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/redirect", "the answer was not 200"),
        ("/metadata", "the answer was not 200"),
        ("/nothing", "the answer was not 200"),
        ("/large", "the answer is too large"),
        ("/endless", "the answer is too large"),
        ("/headers", "it could not be reached"),
        ("/cut", "it could not be reached"),
        ("/garbage", "it could not be reached"),
    ],
)
def test_t019_an_answer_that_is_no_key_set_of_sane_size_is_refused(path: str, reason: str, server: KeyServer) -> None:
    """And a redirect is not followed, wherever it leads."""
    with pytest.raises(JWKSUnavailable) as refused:
        JWKSFetcher(production=False)(server.url + path)
    assert refused.value.reason == reason
    assert len(server.requests) == 1


@pytest.mark.parametrize("path", ["/hang", "/drip"])
def test_t019_a_server_that_hangs_or_drips_costs_no_more_than_the_limit(path: str, server: KeyServer) -> None:
    """One limit on the whole, not on each byte."""
    started = time.monotonic()
    with pytest.raises(JWKSUnavailable) as refused:
        JWKSFetcher(production=False, total_ms=300)(server.url + path)
    assert refused.value.reason == "no answer in time"
    assert time.monotonic() - started < 2


def test_t019_a_compressed_answer_is_not_unpacked(server: KeyServer) -> None:
    """We ask for none, so what comes is taken as it is (and is no JSON)."""
    assert len(JWKSFetcher(production=False)(server.url + "/bomb").body) < 65_536


def test_an_address_where_nobody_listens_is_refused() -> None:
    """With our words."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(JWKSUnavailable):
        JWKSFetcher(production=False)(f"http://127.0.0.1:{port}/jwks")


def test_t110_a_proxy_in_the_environment_is_ignored(server: KeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request goes where it is addressed."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert JWKSFetcher(production=False)(server.url + "/jwks").body


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "127.1",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "169.254.169.254",
        "10.0.0.1",
    ],
)
def test_t102_in_production_no_address_of_ours_is_connected_to(host: str, server: KeyServer) -> None:
    """However it is written: the check is on the very address that would be connected to."""
    with pytest.raises(JWKSUnavailable):
        JWKSFetcher(production=True, total_ms=1000)(f"https://{host}:{server.port}/jwks")
    assert server.connections == 0


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"])
def test_t102_a_link_local_address_is_never_connected_to(host: str) -> None:
    """Cloud metadata lives there; not in development either."""
    started = time.monotonic()
    with pytest.raises(JWKSUnavailable) as refused:
        JWKSFetcher(production=False)(f"http://{host}/jwks")
    assert refused.value.reason == "it could not be reached"
    assert time.monotonic() - started < 1


def test_t109_a_certificate_that_does_not_hold_is_refused() -> None:
    """Unknown issuer and wrong name are; the right certificate of a known issuer is not."""
    ours, stranger = trustme.CA(), trustme.CA()
    with ours.cert_pem.tempfile() as ca_file:
        for certificate, holds in (
            (ours.issue_cert("127.0.0.1"), True),
            (ours.issue_cert("ehr.example"), False),
            (stranger.issue_cert("127.0.0.1"), False),
        ):
            with TLSKeyServer(certificate) as server:
                fetcher, uri = JWKSFetcher(production=False, ca_file=ca_file), f"https://127.0.0.1:{server.port}/jwks"
                if holds:
                    assert fetcher(uri).body == a_jwks().encode()
                else:
                    with pytest.raises(JWKSUnavailable):
                        fetcher(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc/passwd",
        "gopher://ehr.example/",
        "ftp://ehr.example/",
        "ehr.example/jwks",
        "https://",
        "https://user:secret@ehr.example/jwks",
        "https://ehr.example\\@127.0.0.1/",
        "https://ehr.example/#@evil",
        "https://ehr.example/a b",
        "https://ehr.example/\r\nX: y",
        "https://１２７.0.0.1/",
        "https://ehr.example:99999/",
        "https://[::1",
    ],
)
def test_t102_an_address_that_two_parsers_may_read_differently_is_refused(uri: str) -> None:
    """At registration and before any fetch."""
    assert problems_of_jwks_uri(uri, production=False)
    with pytest.raises(JWKSUnavailable):
        JWKSFetcher(production=False)(uri)


def test_production_takes_https_only() -> None:
    """And development http too."""
    assert problems_of_jwks_uri("http://ehr.example/jwks", production=True)
    assert not problems_of_jwks_uri("http://ehr.example/jwks", production=False)
    assert not problems_of_jwks_uri("https://ehr.example/jwks", production=True)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07::1", True),
        ("10.1.2.3", False),
        ("192.168.0.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("0.0.0.0", False),
        ("::1", False),
        ("fd00::1", False),
        ("fe80::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.215.14", True),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_t102_addresses_that_lead_back_to_us_are_not_public(address: str, public: bool) -> None:
    """Private, shared, translated, multicast and reserved ranges."""
    assert is_public(ipaddress.ip_address(address)) is public


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ("", 300),
        ("Cache-Control: max-age=60", 60),
        ("cache-control: public, MAX-AGE=60", 60),
        ("Cache-Control: max-age=9999", 300),
        ("Cache-Control: max-age=60\r\nAge: 50", 10),
        ("Cache-Control: max-age=60\r\nAge: 70", 0),
        ("Cache-Control: no-store", 0),
        ("Cache-Control: max-age=60\r\nCache-Control: no-cache", 0),
        ("Cache-Control: max-age=-1", 0),
        ("Cache-Control: max-age=x", 0),
        ("Cache-Control: public", 300),
        ("Expires: Thu, 01 Jan 1970 00:01:40 GMT", 100),
        ("Expires: 0", 0),
        ("Expires: Thu, 01 Jan 1970 00:00:00 GMT\r\nCache-Control: max-age=60", 60),
    ],
)
def test_a_set_is_kept_as_long_as_its_headers_say(headers: str, seconds: float) -> None:
    """RFC 9111 §4.2, and five minutes at most."""
    assert freshness_s(f"HTTP/1.1 200 OK\r\n{headers}\r\n\r\n".encode(), 0.0) == seconds
