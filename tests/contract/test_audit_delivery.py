"""Checkpoints reach the places outside, in order and again until they do; what fails is said, and holds nothing up."""

import base64
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.x509.oid import NameOID
from sqlalchemy import Engine, select

from gateway.audit import destinations as destinations_file
from gateway.audit.checkpoints import Checkpoint, Checkpoints
from gateway.audit.delivery import ALERT_AFTER, Delivery
from gateway.audit.destinations import Destination, Folder, NotDelivered, Posted, Syslog, Witness, destinations
from gateway.audit.log import StoredAuditLog, open_audit_log
from gateway.audit.log_keeper import LogKeeper
from gateway.audit.merkle import is_consistent
from gateway.audit.sequence import Sequencer
from gateway.audit.tables import audit_delivery, audit_leaf
from gateway.db.crypto import KeyRing
from gateway.log import Event
from gateway.metrics import AUDIT_CHECKPOINTS_SENT
from tests.audit_tampering import owning
from tests.factories_audit import NOON, a_record

ORIGIN = "exchange.example"
SECOND = timedelta(seconds=1)
NOTE = Checkpoint(
    size=7, root=bytes(range(32)), made_at=NOON, note="exchange.example\n7\nAAEC\n\n— exchange.example AAAA\n"
)


class Place:
    """A place outside that a test can put out of order."""

    kind = "http"
    name = "https://elsewhere.example/checkpoints"

    def __init__(self) -> None:
        self.got: list[int] = []
        self.out_of_order = False

    def deliver(self, made: Checkpoint, before: int) -> None:
        """Taken, or not."""
        if self.out_of_order:
            raise NotDelivered("it is out of order")
        self.got.append(made.size)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        """The time."""
        return self.now


@pytest.fixture
def log(engine: Engine, keys: KeyRing) -> Iterator[StoredAuditLog]:
    """The log, in each database."""
    with open_audit_log(engine, keys) as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    """The clock."""
    return Clock()


@pytest.fixture
def place() -> Place:
    """One place outside."""
    return Place()


@pytest.fixture
def grow(log: StoredAuditLog, engine: Engine, keys: KeyRing) -> Callable[[], int]:
    """The log has a record more, and is signed; its size."""
    checkpoints = Checkpoints(engine, keys, ORIGIN)

    def one_more() -> int:
        log.record([a_record()])
        Sequencer(engine, keys).catch_up()
        made = checkpoints.make(NOON)
        assert made is not None
        return made.size

    return one_more


@pytest.fixture
def delivery(log: StoredAuditLog, engine: Engine, keys: KeyRing, place: Destination, clock: Clock) -> Delivery:
    """What takes checkpoints there."""
    return Delivery(engine, Checkpoints(engine, keys, ORIGIN), log, [place], clock)


def test_each_checkpoint_is_taken_once_and_in_order(delivery: Delivery, place: Place, grow: Callable[[], int]) -> None:
    """A place that is new begins with the newest."""
    delivery.run()
    assert place.got == []
    for _ in range(3):
        grow()
    delivery.run()
    assert place.got == [3]
    grow()
    grow()
    delivery.run()
    delivery.run()

    assert place.got == [3, 4, 5]


def test_what_was_not_taken_is_tried_again_ever_more_slowly_and_then_all_of_it(
    delivery: Delivery, place: Place, grow: Callable[[], int], clock: Clock, log: StoredAuditLog
) -> None:
    """After some failures, once, an alert: metric, log and audit say so."""
    grow()
    delivery.run()
    place.out_of_order = True
    grow()
    failed = AUDIT_CHECKPOINTS_SENT.labels("http", "failed")
    before, tries = failed._value.get(), []
    for second in range(200):
        clock.now = NOON + second * SECOND
        delivery.run()
        if failed._value.get() > before:
            before = failed._value.get()
            tries.append(second)
    assert tries == [0, 2, 6, 14, 30, 62, 126]
    assert len(tries) > ALERT_AFTER
    (alert,) = [record for record in log.read() if record.kind == "alert"]
    assert alert.reason == "audit-checkpoint-not-delivered"
    assert ("place", place.name) in alert.details

    place.out_of_order = False
    grow()
    clock.now += timedelta(minutes=5)
    delivery.run()
    assert place.got == [1, 2, 4], "the alert is a record too"


def test_a_clock_that_was_put_back_keeps_nothing_from_being_tried(
    delivery: Delivery, place: Place, grow: Callable[[], int], clock: Clock
) -> None:
    """A next try that lies further off than any pause is no pause."""
    place.out_of_order = True
    grow()
    delivery.run()
    clock.now -= timedelta(hours=1)
    place.out_of_order = False
    delivery.run()

    assert place.got == [1]


def test_two_processes_do_not_deliver_at_the_same_time(
    log: StoredAuditLog, engine: Engine, keys: KeyRing, grow: Callable[[], int], clock: Clock
) -> None:
    """While one is at it, the other leaves the place alone."""
    grow()
    checkpoints = Checkpoints(engine, keys, ORIGIN)
    other = Delivery(engine, checkpoints, log, [slow := Place()], clock)

    class Slow(Place):
        def deliver(self, made: Checkpoint, before: int) -> None:
            other.run()
            super().deliver(made, before)

    Delivery(engine, checkpoints, log, [first := Slow()], clock).run()
    other.run()

    assert (first.got, slow.got) == ([1], [])
    with engine.connect() as connection:
        assert connection.execute(select(audit_delivery.c.size, audit_delivery.c.failures)).all() == [(1, 0)]


def test_a_keeper_logs_signs_and_delivers_by_itself_and_outlives_what_fails(
    log: StoredAuditLog, engine: Engine, keys: KeyRing, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """In a serving process: within seconds. A log that was changed is said once, in the log and in the audit."""
    checkpoints = Checkpoints(engine, keys, ORIGIN)

    def now() -> datetime:
        return datetime.now(UTC)

    keeper = LogKeeper(
        Sequencer(engine, keys),
        checkpoints,
        Delivery(engine, checkpoints, log, [place], now),
        log,
        now,
        every_records=1,
        every=SECOND,
        pause=timedelta(seconds=0.05),
    )
    log.record([a_record()])
    keeper.start()
    _wait_until(lambda: place.got == [1])
    with owning(engine) as connection:
        connection.exec_driver_sql("DELETE FROM audit_leaf")
        connection.execute(audit_leaf.insert().values(log_index=0, seq=1, hash=bytes(32)))
    log.record([a_record()])
    _wait_until(lambda: any(record.kind == "alert" for record in log.read()))
    log.record([a_record()])
    _wait_until(lambda: _logged(engine) >= 4)
    keeper.close()

    assert [record.reason for record in log.read() if record.kind == "alert"] == ["audit-log-broken"]
    assert [record.message for record in caplog.records].count(Event.AUDIT_LOG_NOT_KEPT) == 1
    assert place.got == [1]


def _logged(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM audit_leaf").scalar_one())


def _wait_until(holds: Callable[[], bool]) -> None:
    done = threading.Event()
    for _ in range(300):
        if holds():
            return
        done.wait(0.05)
    raise AssertionError


def test_a_folder_gets_a_file_a_checkpoint_and_none_is_overwritten(tmp_path: Path) -> None:
    """The note and nothing else, complete; twice changes nothing; another log's of the same size is kept too."""
    folder = Folder(tmp_path)
    folder.deliver(NOTE, 0)
    folder.deliver(NOTE, 0)
    (file,) = tmp_path.iterdir()
    assert file.read_text() == NOTE.note
    assert file.name == "000000000007-00010203.txt"

    other = Checkpoint(size=7, root=bytes(32), made_at=NOON, note="another\n7\nAAAA\n\n— another AAAA\n")
    folder.deliver(other, 0)
    assert len(list(tmp_path.iterdir())) == 2

    file.write_text("something else")
    with pytest.raises(NotDelivered, match="has its file's name"):
        folder.deliver(NOTE, 0)
    assert file.read_text() == "something else"
    with pytest.raises(NotDelivered, match="can't be written to"):
        Folder(tmp_path / "not there").deliver(NOTE, 0)


class Listener:
    """An HTTP server that keeps what it was sent and answers as it is told."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str]] = []
        self.answer: Callable[[str], tuple[int, str]] = lambda _: (204, "")
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                outer.got.append((self.path, body))
                status, said = outer.answer(body)
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(said.encode())

            def log_message(self, *_: object) -> None:
                """Silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def listener() -> Iterator[Listener]:
    """An HTTP server."""
    made = Listener()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_another_facility_gets_the_note_by_post(listener: Listener) -> None:
    """2xx is taken for taken; anything else, a redirect included, is not."""
    posted = Posted(f"{listener.url}/checkpoints?of=us")
    posted.deliver(NOTE, 0)
    assert listener.got == [("/checkpoints?of=us", NOTE.note)]

    for status in (302, 400, 500):
        listener.answer = lambda _, status=status: (status, "")  # type: ignore[misc]
        with pytest.raises(NotDelivered, match=str(status)):
            posted.deliver(NOTE, 0)
    assert {path for path, _ in listener.got} == {"/checkpoints?of=us"}
    with pytest.raises(NotDelivered, match="can't be reached"):
        Posted("http://127.0.0.1:1/").deliver(NOTE, 0)


def test_a_place_that_answers_byte_by_byte_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """In its head or its body: it holds up nobody for longer than one that is silent."""
    monkeypatch.setattr(destinations_file, "_WITHIN_S", 0.5)
    ended = threading.Event()

    def drip(server: socket.socket, begins: bytes) -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            connection.sendall(begins)
            while not ended.wait(0.1):
                connection.sendall(b"x")

    for begins in (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n"):
        with socket.create_server(("127.0.0.1", 0)) as server:
            thread = threading.Thread(target=drip, args=(server, begins))
            thread.start()
            with pytest.raises(NotDelivered, match="in time"):
                Posted(f"http://127.0.0.1:{server.getsockname()[1]}/").deliver(NOTE, 0)
            thread.join(5)
            assert not thread.is_alive()


class WitnessOfOneLog:
    """A witness as C2SP's tlog-witness describes it, but for checking and making signatures."""

    def __init__(self) -> None:
        self.size = 0
        self.root = b""

    def __call__(self, body: str) -> tuple[int, str]:
        """Its answer to an add-checkpoint request."""
        head, _, note = body.partition("\n\n")
        old, *proof = head.split("\n")
        origin, size, root = note.split("\n")[:3]
        assert origin == ORIGIN
        if old != f"old {self.size}":
            return 409, f"{self.size}\n"
        new_root = base64.b64decode(root)
        path = [base64.b64decode(line) for line in proof]
        if self.size and not is_consistent(self.size, int(size), path, self.root, new_root):
            return 422, ""
        self.size, self.root = int(size), new_root
        return 200, "— witness.example/w1 AAAA\n"


def test_a_witness_sees_that_each_checkpoint_continues_the_one_before(
    listener: Listener, engine: Engine, keys: KeyRing, grow: Callable[[], int]
) -> None:
    """By a consistency proof; where it saw another one last, from that; one that is ahead has seen this one too."""
    listener.answer = witness = WitnessOfOneLog()
    checkpoints = Checkpoints(engine, keys, ORIGIN)
    (place,) = destinations(
        folder=None, urls=(f"{listener.url}/add-checkpoint",), syslog="", origin=ORIGIN, checkpoints=checkpoints
    )
    assert isinstance(place, Witness)
    for _ in range(7):
        grow()
    made = {one.size: one for one in checkpoints.after(0)}

    place.deliver(made[3], 2)
    assert witness.size == 3
    place.deliver(made[6], 3)
    place.deliver(made[7], 3)
    assert (witness.size, len(listener.got)) == (7, 5)
    place.deliver(made[5], 4)
    place.deliver(made[7], 7)
    assert witness.size == 7

    witness.root = bytes(32)
    witness.size = 5
    with pytest.raises(NotDelivered, match="422"):
        place.deliver(made[7], 5)
    listener.answer = lambda _: (409, "many\n")
    with pytest.raises(NotDelivered, match="without a size"):
        place.deliver(made[7], 5)


MESSAGE = re.compile(
    r"<109>1 2026-03-05T12:00:00\.123456Z exchange\.example gateway - audit-checkpoint - (\{[ -~]*\})", re.ASCII
)


def _checkpoint_in(message: bytes) -> str:
    match = MESSAGE.fullmatch(message.decode("ascii"))
    assert match, message
    return str(json.loads(match[1])["checkpoint"])


def test_a_log_server_gets_one_line_by_udp() -> None:
    """RFC 5424 in a datagram, ASCII only, from which the note comes back as it was."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        Syslog(f"udp://127.0.0.1:{server.getsockname()[1]}", ORIGIN).deliver(NOTE, 0)

        assert _checkpoint_in(server.recv(65_535)) == NOTE.note


@pytest.mark.parametrize("scheme", ["tcp", "tls"])
def test_a_log_server_gets_a_counted_message_by_tcp_and_tls(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 6587 octet counting; by TLS to whom a known authority vouches for, and to nobody else."""
    certificate = _certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    got: list[bytes] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        thread = threading.Thread(target=_serve_once, args=(server, certificate if scheme == "tls" else None, got))
        thread.start()
        Syslog(f"{scheme}://localhost:{server.getsockname()[1]}", ORIGIN).deliver(NOTE, 0)
        thread.join(5)
        length, _, message = b"".join(got).partition(b" ")
        assert int(length) == len(message)
        assert _checkpoint_in(message) == NOTE.note

        if scheme == "tls":
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
            (tmp_path / "none.pem").write_text("")
            thread = threading.Thread(target=_serve_once, args=(server, certificate, []))
            thread.start()
            with pytest.raises(NotDelivered):
                Syslog(f"tls://localhost:{server.getsockname()[1]}", ORIGIN).deliver(NOTE, 0)
            thread.join(5)
    with pytest.raises(NotDelivered, match="can't be reached"):
        Syslog(f"{scheme}://127.0.0.1:1", ORIGIN).deliver(NOTE, 0)


def _serve_once(server: socket.socket, certificate: Path | None, got: list[bytes]) -> None:
    plain, _ = server.accept()
    with plain:
        try:
            stream = plain
            if certificate:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(certificate)
                stream = context.wrap_socket(plain, server_side=True)
            with stream:
                while part := stream.recv(4096):
                    got.append(part)
        except OSError:
            got.append(b"refused")


def _certificate(folder: Path) -> Path:
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "localhost.pem"
    path.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    return path
