"""Every event reaches the audit record repository, whatever ends meanwhile: each at least once, none lost."""

import json
import re
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from fhir.resources.R4B.auditevent import AuditEvent
from hypothesis import given, settings
from sqlalchemy import Engine

from gateway.audit.fhir_audit_event import to_audit_events
from gateway.audit.log import StoredAuditLog, open_audit_log
from gateway.audit.places import Records
from gateway.audit.record import AuditRecord
from gateway.db.crypto import KeyRing
from gateway.watch import atna
from gateway.watch.atna import Feed, RepositoryAway, frame
from gateway.watch.follow import Following, position_of
from tests.factories_audit import NOON, a_record, a_who, any_record
from tests.services.certificate import self_signed
from tests.services.sinks import RepositorySink

BASE = "https://exchange.example"
RFC_5424 = re.compile(
    rb"<85>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z exchange\.example imaging-gateway \d+ FHIR\+AuditEvent - (\{.*\})"
)


@pytest.fixture
def log(engine: Engine, keys: KeyRing) -> Iterator[StoredAuditLog]:
    """The audit, in each database."""
    with open_audit_log(engine, keys) as opened:
        yield opened


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """The repository's, and its key."""
    return self_signed(tmp_path)


class HastySink(RepositorySink):
    """Hangs up after five thousand octets, whatever has come after them."""

    def speak(self, connection: socket.socket) -> None:
        """As many whole messages as there are in what was read."""
        got = b""
        while len(got) <= 5000 and (more := connection.recv(1000)):
            got += more
        while (head := got.partition(b" "))[1] and len(head[2]) >= int(head[0]):
            self.messages.append(head[2][: int(head[0])])
            got = head[2][int(head[0]) :]


class DeafSink(RepositorySink):
    """Accepts, and reads nothing until it is `over`."""

    def __init__(self, certificate: tuple[Path, Path]) -> None:
        """Nothing is read yet."""
        self.over = threading.Event()
        super().__init__(certificate)

    def speak(self, connection: socket.socket) -> None:
        """Not a word."""
        self.over.wait(5)


def _following(engine: Engine, keys: KeyRing, holder: str = "one") -> Following:
    later = NOON + timedelta(days=1)
    return Following(engine=engine, records=Records(engine, keys), holder=holder, clock=lambda: later)


def _ids(messages: list[bytes]) -> list[str]:
    found = []
    for message in messages:
        match = RFC_5424.fullmatch(message)
        assert match, message
        found.append(json.loads(match[1])["id"])
    return found


def _expected(*records: AuditRecord) -> list[str]:
    return [event["id"] for record in records for event in to_audit_events(record, base_url=BASE)]


def test_events_arrive_in_order_as_rfc_5424_messages_counted_in_octets(
    engine: Engine, keys: KeyRing, log: StoredAuditLog, certificate: tuple[Path, Path]
) -> None:
    """Each is the FHIR AuditEvent that a search tells, names of every script included."""
    records = [a_record(), a_record(who=a_who(subject_name="Мария 王小東 😀"))]
    log.record(records)
    with RepositorySink(certificate) as sink:
        feed = Feed(sink.url, BASE, ca=certificate[0])
        assert _following(engine, keys).step(feed) == 2
        messages = sink.wait_for(12)
        feed.close()

    assert _ids(messages) == _expected(*records)
    told = [json.loads(RFC_5424.fullmatch(one)[1]) for one in messages]  # type: ignore[index]
    assert told == [event for record in records for event in to_audit_events(record, base_url=BASE)]
    AuditEvent.model_validate(told[0])
    assert all(message.isascii() for message in messages)


def test_nothing_is_lost_while_the_repository_is_away_or_the_gateway_starts_again(
    engine: Engine, keys: KeyRing, log: StoredAuditLog, certificate: tuple[Path, Path]
) -> None:
    """The position is stored, and goes on from there."""
    first, second, third = a_record(), a_record(), a_record()
    log.record([first])
    with RepositorySink(certificate) as sink:
        port = sink.port
        feed = Feed(sink.url, BASE, ca=certificate[0])
        following = _following(engine, keys)
        following.step(feed)
        sink.wait_for(6)
    log.record([second])
    with pytest.raises(RepositoryAway):
        following.step(feed)
    with pytest.raises(RepositoryAway):
        following.step(feed)
    with RepositorySink(certificate, port=port) as sink:
        assert following.step(feed) == 1
        assert _ids(sink.wait_for(6)) == _expected(second)
        feed.close()
        following.give_up(feed.name)
        log.record([third])
        again = Feed(sink.url, BASE, ca=certificate[0])
        assert _following(engine, keys, "another process").step(again) == 1
        assert _ids(sink.wait_for(12))[6:] == _expected(third)
        again.close()


def test_a_repository_that_hangs_up_again_and_again_misses_nothing(
    engine: Engine, keys: KeyRing, log: StoredAuditLog, certificate: tuple[Path, Path]
) -> None:
    """It reads little of each connection and leaves the rest unread: what it had read no proof of comes again."""
    records = [a_record() for _ in range(12)]
    log.record(records)
    with HastySink(certificate) as sink:
        feed = Feed(sink.url, BASE, ca=certificate[0])
        following, dealt_with = _following(engine, keys), 0
        for _ in range(400):
            try:
                dealt_with += following.step(feed)
            except RepositoryAway:
                assert position_of(engine, feed.name) == 0
            if dealt_with == len(records):
                break
        heard = list(dict.fromkeys(_ids(sink.messages)))

    assert dealt_with == len(records)
    assert heard == _expected(*records)


def test_events_that_are_taken_but_never_read_do_not_count_as_sent(
    engine: Engine, keys: KeyRing, log: StoredAuditLog, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repository whose machine takes everything while its program hangs gets it again later."""
    monkeypatch.setattr(atna, "_WITHIN_S", 0.3)
    log.record([a_record()])
    with DeafSink(certificate) as sink:
        with pytest.raises(RepositoryAway):
            _following(engine, keys).step(Feed(sink.url, BASE, ca=certificate[0]))
        sink.over.set()
    assert position_of(engine, "atna") == 0


def test_only_a_repository_that_shows_who_it_is_gets_anything(
    engine: Engine, keys: KeyRing, log: StoredAuditLog, certificate: tuple[Path, Path]
) -> None:
    """One whose certificate nobody vouches for gets nothing (ITI-19)."""
    log.record([a_record()])
    with RepositorySink(certificate) as sink:
        stranger = Feed(sink.url, BASE)
        with pytest.raises(RepositoryAway):
            _following(engine, keys).step(stranger)
        assert sink.messages == []


def test_the_gateway_shows_its_own_certificate_where_it_is_asked_for(
    engine: Engine, keys: KeyRing, log: StoredAuditLog, certificate: tuple[Path, Path]
) -> None:
    """Mutual TLS: with one the events arrive."""
    log.record([a_record()])
    with RepositorySink(certificate, clients=certificate[0]) as sink:
        feed = Feed(sink.url, BASE, ca=certificate[0], cert=certificate[0], key=certificate[1])
        assert _following(engine, keys).step(feed) == 1
        assert len(sink.wait_for(6)) == 6
        feed.close()


@settings(max_examples=30)
@given(any_record)
def test_t086_whatever_a_record_says_it_is_one_message_a_line_of_ascii(record: AuditRecord) -> None:
    """No control character of a caller's gets into a frame, and each says its own length."""
    for event in to_audit_events(record, base_url=BASE):
        length, _, message = frame(event, host="exchange.example", process=1).partition(b" ")
        assert int(length) == len(message)
        assert all(0x20 <= octet < 0x7F for octet in message)
        assert json.loads(message.partition(b" - ")[2]) == event
