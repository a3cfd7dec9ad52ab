"""The fan-out over real sockets: archives that behave, and every way in which one may not."""

import os
import resource
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import trustme

from gateway.adapters.base import FacilityQuestion, FacilityReply
from gateway.adapters.curl import CurlTransport
from gateway.adapters.fan_out import FanOut
from gateway.deadline import Deadline
from gateway.metrics import ALERTS, FACILITY_ROWS_REFUSED
from gateway.model import Facility, FacilityAuth
from gateway.turnstile import turnstile
from tests.facilities.dicomweb import DICOMwebServer
from tests.facilities.hostile import BlackHole, HostileServer, refused_url
from tests.facilities.little_server import LittleServer, Request
from tests.facilities.rows import a_series_row
from tests.factories_adapters import a_facility, a_record, a_target

SHORT = timedelta(milliseconds=400)
QUERY = timedelta(seconds=5)


class NoRegistry:
    """Nobody is registered; targets are handed in."""

    def all(self) -> list[Facility]:
        return []


@pytest.fixture
def transport() -> Iterator[CurlTransport]:
    made = CurlTransport()
    yield made
    made.close()


@pytest.fixture
def fan_out(transport: CurlTransport) -> FanOut:
    return FanOut(NoRegistry(), transport=lambda: nullcontext(transport))


@pytest.fixture
def archive() -> Iterator[DICOMwebServer]:
    with DICOMwebServer() as server:
        server.add_study("N-1", "2.25.1", series=[a_series_row("2.25.1", "2.25.11")])
        yield server


def ask(fan_out: FanOut, *facilities: Facility, within: timedelta = QUERY) -> list[FacilityReply]:
    targets = [a_target(facility=facility) for facility in facilities]
    return list(fan_out.ask(targets, FacilityQuestion(), Deadline.after(within)))


def at(url: str, id_: str = "north", **changes: object) -> Facility:
    return a_facility(id_, query_url=url, **changes)


def test_a_study_comes_back(fan_out: FanOut, archive: DICOMwebServer) -> None:
    """One archive, one study, one series."""
    (reply,) = ask(fan_out, at(archive.url))

    assert (reply.status, reply.incomplete) == ("answered", False)
    assert [(study.uid, len(study.series or ())) for study in reply.studies] == [("2.25.1", 1)]
    assert reply.elapsed > timedelta(0)


@pytest.mark.parametrize("how", ["gzip", "no-content", "empty-body"])
def test_bodies_of_every_kind_are_read(fan_out: FanOut, archive: DICOMwebServer, how: str) -> None:
    """Compressed, or none at all."""
    archive.manners.gzip = how == "gzip"
    archive.manners.nothing = how
    (found, nobody) = fan_out.ask(
        [a_target(facility=at(archive.url)), a_target(a_record("NOBODY"), facility=at(archive.url))],
        FacilityQuestion(),
        Deadline.after(QUERY),
    )

    assert (len(found.studies), nobody.status, nobody.studies) == (1, "answered", ())


def test_many_archives_take_as_long_as_the_slowest(fan_out: FanOut) -> None:
    """Ten facilities of 100 ms, studies and series: not a second, nor two."""
    with ExitStack() as stack:
        servers = [stack.enter_context(DICOMwebServer()) for _ in range(10)]
        for server in servers:
            server.manners.delay_s = 0.1
            server.add_study("N-1", "2.25.1")
        begun = time.monotonic()
        replies = ask(fan_out, *[at(server.url, f"f{n}") for n, server in enumerate(servers)])

        assert time.monotonic() - begun < 0.5
        assert [len(reply.studies) for reply in replies] == [1] * 10


TIMED_OUT = ("hang", "headers-then-stall", "drip", "drip-headers")
TRANSIENT = (
    "500",
    "502",
    "503",
    "429",
    "reset-in-body",
    "no-answer",
    "short-body",
    "truncated-chunk",
    "endless-headers",
)
REFUSED = ("400", "401", "403", "404", "redirect")
UNREADABLE = (
    *("html", "garbage", "garbage-body", "gzip-garbage", "deep", "nan", "duplicate-keys", "invalid-utf8", "object"),
    *("strings", "many-empty-lists", "one-gb", "declared-gb", "gzip-bomb"),
)


@pytest.mark.parametrize(
    ("manner", "status"),
    [
        *((manner, "timed_out") for manner in TIMED_OUT),
        *((manner, "unreachable") for manner in TRANSIENT),
        *((manner, "refused") for manner in REFUSED),
        *((manner, "unreadable") for manner in UNREADABLE),
    ],
)
def test_t106_t136_a_bad_facility_fails_alone_and_in_time(
    fan_out: FanOut, archive: DICOMwebServer, manner: str, status: str
) -> None:
    """The good one is heard, the bad one is named for what it is, and no deadline is passed."""
    with HostileServer(manner) as bad:
        begun = time.monotonic()
        replies = ask(fan_out, at(bad.url, "bad", deadline=SHORT * 3), at(archive.url))
        took = time.monotonic() - begun

    assert [reply.status for reply in replies] == [status, "answered"]
    assert len(replies[1].studies) == 1
    assert took < 2.5
    if status == "timed_out":
        assert took < SHORT.total_seconds() * 3 + 0.3


def test_t136_a_port_that_is_closed_and_one_that_swallows_everything(fan_out: FanOut, archive: DICOMwebServer) -> None:
    """Refused is known at once, a black hole at its deadline."""
    with BlackHole() as hole:
        replies = ask(
            fan_out,
            at(refused_url(), "closed"),
            at(hole.url, "hole", deadline=SHORT),
            at("http://archive.invalid/dicom-web", "no-name", deadline=SHORT),
            at(archive.url),
        )

    assert [reply.status for reply in replies][:2] == ["unreachable", "timed_out"]
    assert replies[2].status in ("unreachable", "timed_out")
    assert replies[0].elapsed < SHORT < replies[1].elapsed + timedelta(milliseconds=5)
    assert replies[3].status == "answered"


def test_studies_that_came_in_time_are_kept_when_series_hang(fan_out: FanOut, archive: DICOMwebServer) -> None:
    """The facility is named incomplete, and its studies are shown."""
    archive.manners.series_delay_s = 30
    (reply,) = ask(fan_out, at(archive.url, deadline=SHORT))

    assert (reply.status, reply.incomplete, [study.series for study in reply.studies]) == ("answered", True, [None])


def test_the_querys_deadline_comes_before_the_facilitys(fan_out: FanOut) -> None:
    """A patient facility does not make a query late; a little is kept back for what comes after."""
    with HostileServer("hang") as bad:
        begun = time.monotonic()
        (reply,) = ask(fan_out, at(bad.url, deadline=timedelta(seconds=30)), within=SHORT)

    assert time.monotonic() - begun < SHORT.total_seconds()
    assert reply.status == "timed_out"


def test_t106_ten_thousand_rows_are_cut_off_and_said(fan_out: FanOut) -> None:
    """What the cap allows is kept."""
    with HostileServer("ten-thousand") as bad:
        (reply,) = ask(fan_out, at(bad.url))

    assert (reply.status, len(reply.studies), reply.incomplete) == ("answered", 5000, True)


@pytest.mark.parametrize("manner", ["one-gb", "gzip-bomb", "many-empty-lists"])
def test_t106_an_enormous_body_does_not_fill_the_memory(fan_out: FanOut, manner: str) -> None:
    """The transfer is broken off at the cap; the decoded size counts."""
    with HostileServer(manner) as bad:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        ask(fan_out, at(bad.url))
        grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024

        assert grown_mb < 160
        assert bad.sent < 64_000_000


def test_t107_rows_of_another_patient_are_dropped_counted_and_alerted(fan_out: FanOut) -> None:
    """Log, metric and reply say how many, never whose."""
    rows = FACILITY_ROWS_REFUSED.labels("bad", "another-patient")
    alerts = ALERTS.labels("rows-of-another-patient")
    before = (rows._value.get(), alerts._value.get())
    with HostileServer("other-patients") as bad:
        (reply,) = ask(fan_out, at(bad.url, "bad"))

    assert (reply.status, reply.studies) == ("answered", ())
    assert reply.dropped >= 5
    assert rows._value.get() == before[0] + reply.dropped
    assert alerts._value.get() == before[1] + 1


def test_t104_a_redirect_is_not_followed(fan_out: FanOut, archive: DICOMwebServer) -> None:
    """Whereto it leads is not asked, and gets no credentials."""
    auth = FacilityAuth(type="basic", username="gw", password="gw")
    with HostileServer("redirect", elsewhere=archive.url + "/studies") as bad:
        (reply,) = ask(fan_out, at(bad.url, auth=auth))

    assert reply.status == "refused"
    assert archive.requests == []


def test_t110_the_environment_changes_nothing(
    fan_out: FanOut, archive: DICOMwebServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No proxy, no `.netrc`."""
    with LittleProxy() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        (tmp_path / ".netrc").write_text("default login evil password evil\n")
        monkeypatch.setenv("HOME", str(tmp_path))
        (reply,) = ask(fan_out, at(archive.url))

        assert proxy.requests == []
    assert reply.status == "answered"
    assert all("authorization" not in request.headers for request in archive.requests)


class LittleProxy(LittleServer):
    """Remembers who comes by."""

    def answer(self, request: object, connection: object) -> bool:
        """Nobody should."""
        return False


def test_connections_are_kept(fan_out: FanOut, archive: DICOMwebServer) -> None:
    """The second query opens none."""
    for _ in range(5):
        ask(fan_out, at(archive.url))

    assert archive.connections == 2


def test_a_kept_connection_that_died_is_no_failure(fan_out: FanOut, archive: DICOMwebServer) -> None:
    """An archive may close an idle connection at any moment, even as the next question is on its way."""
    archive.manners.closes_idle_after_s = 0.02
    for pause in (0.0, 0.01, 0.018, 0.02, 0.022, 0.03, 0.05) * 6:
        time.sleep(pause)
        (reply,) = ask(fan_out, at(archive.url))
        assert reply.status == "answered"
        assert not reply.incomplete


def test_credentials_reach_their_own_facility_alone(fan_out: FanOut, archive: DICOMwebServer) -> None:
    """Basic and bearer; the other facility sees neither."""
    with DICOMwebServer() as other:
        other.manners.authorization = "Bearer tok"
        other.add_study("N-1", "2.25.2")
        replies = ask(
            fan_out,
            at(archive.url, auth=FacilityAuth(type="basic", username="gw", password="pä:ss")),
            at(other.url, "south", auth=FacilityAuth(type="bearer", token="tok")),
        )

        assert [reply.status for reply in replies] == ["answered", "answered"]
        assert {request.headers["authorization"] for request in archive.requests} == {"Basic Z3c6cMOkOnNz"}
        assert {request.headers["authorization"] for request in other.requests} == {"Bearer tok"}


def test_a_url_goes_out_as_it_is_written(fan_out: FanOut, archive: DICOMwebServer) -> None:
    """No re-encoding: an old Orthanc decodes nothing (`^`, `|`, quotes)."""
    target = a_target(a_record('A^B|"C"'), facility=at(archive.url))
    fan_out.ask([target], FacilityQuestion(wants_series=False), Deadline.after(QUERY))

    assert archive.targets[0].startswith('/studies?PatientID=A^B|"C"&limit=1000&offset=0&')


def test_descriptors_above_1023_are_watched_too(fan_out: FanOut, archive: DICOMwebServer) -> None:
    """A server with many clients has such descriptors, and `select` can't see them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        archive.manners.delay_s = 0.3
        begun = time.thread_time()
        (reply,) = ask(fan_out, at(archive.url))
        used = time.thread_time() - begun
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert reply.status == "answered"
    assert used < 0.1, "waiting must not burn the processor"


def test_threads_do_not_share_a_transport(archive: DICOMwebServer) -> None:
    """Each request thread has its own connections, and hears its own answers."""
    fan_out = FanOut(NoRegistry())
    for number in range(8):
        archive.add_study(f"P-{number}", f"2.25.10{number}")
    wrong: list[str] = []

    def work(number: int) -> None:
        target = a_target(a_record(f"P-{number}"), facility=at(archive.url))
        for _ in range(20):
            (reply,) = fan_out.ask([target], FacilityQuestion(), Deadline.after(QUERY))
            if [study.uid for study in reply.studies] != [f"2.25.10{number}"]:
                wrong.append(reply.status)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


@pytest.mark.parametrize("adapter", ["dimse", "fhir"])
def test_a_facility_that_can_not_be_asked_is_said_to_be_unreachable(fan_out: FanOut, adapter: str) -> None:
    """Never an empty answer."""
    (reply,) = ask(fan_out, at("http://127.0.0.1:9", adapter=adapter))

    assert reply.status == "unreachable"


def test_a_fault_of_our_own_names_every_facility(archive: DICOMwebServer) -> None:
    """It does not look like an answer."""

    def broken() -> CurlTransport:
        msg = "no transport"
        raise RuntimeError(msg)

    (reply,) = ask(FanOut(NoRegistry(), transport=broken), at(archive.url))

    assert (reply.status, reply.studies) == ("unreachable", ())


class TestTLS:
    """T109: a facility is who its certificate says, or it is not asked."""

    @pytest.fixture
    def authority(self) -> trustme.CA:
        return trustme.CA()

    @pytest.fixture
    def ca_file(self, authority: trustme.CA, tmp_path: Path) -> str:
        path = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(str(path))
        return str(path)

    def test_t109_a_trusted_certificate_is_taken(self, fan_out: FanOut, authority: trustme.CA, ca_file: str) -> None:
        """By the facility's own authority."""
        with TLSArchive(authority, "127.0.0.1") as server:
            (reply,) = ask(fan_out, at(server.url, auth=FacilityAuth(ca_file=ca_file)))

        assert (reply.status, len(reply.studies)) == ("answered", 1)

    @pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
    @pytest.mark.parametrize("case", ["unknown authority", "wrong name", "old TLS"])
    def test_t109_anything_else_is_refused(
        self, fan_out: FanOut, authority: trustme.CA, ca_file: str, case: str
    ) -> None:
        """Self-signed, for another name, or spoken in TLS 1.1: no question is sent."""
        name = "other.example" if case == "wrong name" else "127.0.0.1"
        auth = FacilityAuth(ca_file=None if case == "unknown authority" else ca_file)
        newest = ssl.TLSVersion.TLSv1_1 if case == "old TLS" else ssl.TLSVersion.MAXIMUM_SUPPORTED
        with TLSArchive(authority, name, newest=newest) as server:
            (reply,) = ask(fan_out, at(server.url, auth=auth))

            assert server.requests == []
        assert reply.status == "unreachable"

    def test_a_client_certificate_is_shown(
        self, fan_out: FanOut, authority: trustme.CA, ca_file: str, tmp_path: Path
    ) -> None:
        """mTLS: without it the archive does not speak."""
        ours = authority.issue_cert("gateway.example")
        ours.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
        ours.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
        auth = FacilityAuth(
            type="mtls", cert_file=str(tmp_path / "cert.pem"), key_file=str(tmp_path / "key.pem"), ca_file=ca_file
        )
        with TLSArchive(authority, "127.0.0.1", wants_certificate=True) as server:
            with_it, without = ask(
                fan_out, at(server.url, auth=auth), at(server.url, auth=replace(auth, cert_file=None, key_file=None))
            )

        assert (with_it.status, without.status) == ("answered", "unreachable")


class TLSArchive(DICOMwebServer):
    """The same archive behind TLS."""

    def __init__(
        self,
        authority: trustme.CA,
        name: str,
        *,
        newest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
        wants_certificate: bool = False,
    ) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if newest is not ssl.TLSVersion.MAXIMUM_SUPPORTED:
            self._context.set_ciphers("ALL:@SECLEVEL=0")
            self._context.minimum_version = newest
        self._context.maximum_version = newest
        authority.issue_cert(name).configure_cert(self._context)
        if wants_certificate:
            self._context.verify_mode = ssl.CERT_REQUIRED
            authority.configure_trust(self._context)
        super().__init__()
        self.add_study("N-1", "2.25.1", series=[a_series_row("2.25.1", "2.25.11")])

    @property
    def url(self) -> str:
        """HTTPS."""
        return super().url.replace("http:", "https:")

    def wrap(self, connection):  # type: ignore[no-untyped-def]
        """The connection after its handshake."""
        return self._context.wrap_socket(connection, server_side=True)


class Meeting(DICOMwebServer):
    """Answers once so many have asked at the same time."""

    def __init__(self, many: int) -> None:
        super().__init__()
        self.together = threading.Barrier(many)

    def answer(self, request: Request, connection: socket.socket) -> bool:
        """The archive's answer, when all are there."""
        self.together.wait(10)
        return super().answer(request, connection)


def test_queries_that_take_turns_ask_their_facilities_at_the_same_time() -> None:
    """Who waits for a facility keeps nobody from asking another, or the same."""
    queries = 4
    with Meeting(many=2 * queries) as archive, ThreadPoolExecutor(queries) as pool:
        archive.add_study("N-1", "2.25.1", series=[a_series_row("2.25.1", "2.25.11")])

        def query() -> FacilityReply:
            with turnstile.inside(10):
                (reply,) = ask(FanOut(NoRegistry()), at(archive.url), within=timedelta(seconds=10))
            return reply

        replies = [one.result(20) for one in [pool.submit(query) for _ in range(queries)]]
    assert [(reply.status, len(reply.studies)) for reply in replies] == [("answered", 1)] * queries
