"""Every event reaches the audit record repository, whatever ends meanwhile: each at least once, none lost."""

import json
import re
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
from gateway.watch.atna import Feed, RepositoryAway, frame
from gateway.watch.follow import Following
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
    """The position is stored; what may have been under way as the connection ended comes again."""
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
        assert _ids(sink.wait_for(12)) == _expected(first, second)
        feed.close()
        following.give_up(feed.name)
        log.record([third])
        again = Feed(sink.url, BASE, ca=certificate[0])
        assert _following(engine, keys, "another process").step(again) == 1
        assert _ids(sink.wait_for(18))[12:] == _expected(third)
        again.close()


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
