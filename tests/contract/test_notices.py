"""Alerts become notices, exactly once, and go out until they are taken; nothing of a patient's goes with them."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Engine

from gateway.audit.log import StoredAuditLog, open_audit_log
from gateway.audit.places import Records
from gateway.audit.record import AuditRecord
from gateway.db.crypto import KeyRing
from gateway.db.session import writing
from gateway.errors import DependencyUnavailable
from gateway.watch.alerts import STALE, Alerts
from gateway.watch.channels import Log, Mail, Webhook, channels_of
from gateway.watch.follow import Following
from gateway.watch.notices import Courier, Notice, Notices
from gateway.watch.rules import Thresholds
from tests.factories_audit import NOON, PERSON, a_record, a_who
from tests.services.sinks import MailSink, WebhookSink, webhook

SECRET = "a secret of sixteen and more"
SECOND = timedelta(seconds=1)
GLASS = {
    "kind": "token-issued",
    "who": a_who(purposes=("BTG",)),
    "asked": (),
    "decided": (),
    "released": (),
    "details": (("declaration", "d1"), ("declared", "anew"), ("break_glass_reason", "unconscious")),
}
NOTICE = Notice(
    id="0b9d3a52-8a6e-4a36-9d6f-6f3f0f3f9a99",
    kind="break-glass",
    made_at=NOON,
    facts={"patient": PERSON, "record": "r"},
)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOON + 60 * SECOND

    def __call__(self) -> datetime:
        """The time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The clock."""
    return Clock()


@pytest.fixture
def log(engine: Engine, keys: KeyRing) -> Iterator[StoredAuditLog]:
    """The audit, in each database."""
    with open_audit_log(engine, keys) as opened:
        yield opened


@pytest.fixture
def hook() -> Iterator[WebhookSink]:
    """A webhook."""
    yield from webhook()


@pytest.fixture
def notices(engine: Engine, keys: KeyRing) -> Notices:
    """The notices of the deployment."""
    return Notices(engine, keys)


def _alerts(engine: Engine, keys: KeyRing, log: StoredAuditLog, *channels: str) -> Alerts:
    return Alerts(Records(engine, keys), Notices(engine, keys), log, channels, Thresholds(not_found=3, patients=3))


def _following(engine: Engine, keys: KeyRing, clock: Clock, holder: str = "one") -> Following:
    return Following(engine=engine, records=Records(engine, keys), holder=holder, clock=clock)


def _store(engine: Engine, notices: Notices, one: Notice, *channels: str) -> int:
    with writing(engine) as connection:
        return notices.add(connection, [one], channels)


def test_an_alert_is_a_notice_a_record_of_the_audit_and_is_raised_once(
    engine: Engine, keys: KeyRing, log: StoredAuditLog, notices: Notices, clock: Clock
) -> None:
    """However often it is followed, and whichever process does; its own record raises no further one."""
    log.record([a_record(**GLASS)])
    log.record([a_record(patient=f"p{n}") for n in range(5)])
    following, alerts = _following(engine, keys, clock), _alerts(engine, keys, log, "log")
    while following.step(alerts):
        pass
    following.give_up(alerts.name)
    while _following(engine, keys, clock, "other").step(_alerts(engine, keys, log, "log")):
        pass

    told = notices.list()
    assert sorted(one.notice.kind for one in told) == ["break-glass", "many-patients"]
    recorded = [one.reason for one in log.read() if one.kind == "alert"]
    assert recorded == ["many-patients"]
    assert all(one.ways == (("log", 0, None),) for one in told)


def test_another_process_that_takes_over_knows_what_was_seen_in_the_last_hour(
    engine: Engine, keys: KeyRing, log: StoredAuditLog, notices: Notices, clock: Clock
) -> None:
    """Two patients were seen before it, the third after: the alert is raised, and none is raised twice."""

    def seen(*patients: str) -> list[AuditRecord]:
        return [a_record(patient=one, recorded=NOON + SECOND) for one in patients]

    log.record([*seen("p1", "p2"), a_record(**GLASS)])
    one = _following(engine, keys, clock)
    one.step(_alerts(engine, keys, log))
    one.give_up("alerts")
    log.record(seen("p3"))
    _following(engine, keys, clock, "other").step(_alerts(engine, keys, log))

    assert sorted(one.notice.kind for one in notices.list()) == ["break-glass", "many-patients"]


def test_a_transaction_that_fails_loses_and_repeats_no_alert(
    engine: Engine, keys: KeyRing, log: StoredAuditLog, notices: Notices, clock: Clock
) -> None:
    """The same records come again, and the rules have not counted them twice."""

    class Failing(Alerts):
        fails = True

        def take(self, connection: Any, stored: Any, now: datetime) -> None:
            super().take(connection, stored, now)
            if self.fails:
                raise DependencyUnavailable("the disk is full")

    alerts = Failing(Records(engine, keys), notices, log, (), Thresholds(not_found=3, patients=3))
    log.record([a_record(patient="p1"), a_record(patient="p2")])
    following = _following(engine, keys, clock)
    with pytest.raises(DependencyUnavailable):
        following.step(alerts)
    assert notices.list() == []
    alerts.fails = False
    following.step(alerts)
    assert notices.list() == [], "two patients, though each came twice"
    log.record([a_record(patient="p3")])
    following.step(alerts)

    assert [one.notice.kind for one in notices.list()] == ["many-patients"]


def test_what_happened_long_ago_is_listed_and_sent_to_nobody(
    engine: Engine, keys: KeyRing, log: StoredAuditLog, notices: Notices, clock: Clock
) -> None:
    """An audit that nobody followed must not flood a mailbox once somebody does."""
    log.record([a_record(**GLASS)])
    clock.now = NOON + STALE * 2
    _following(engine, keys, clock).step(_alerts(engine, keys, log, "mail"))

    assert [one.ways for one in notices.list()] == [()]


def test_a_webhook_gets_ids_and_a_signature_that_only_we_can_make(
    engine: Engine, notices: Notices, hook: WebhookSink, clock: Clock
) -> None:
    """HMAC-SHA-256 over the time and the exact body."""
    assert _store(engine, notices, NOTICE, "webhook") == 1
    assert _store(engine, notices, NOTICE, "webhook") == 0
    courier = Courier(notices, [Webhook(hook.url, SECRET)], clock)

    assert (courier.run(), courier.run()) == (1, 0)
    ((headers, body),) = hook.posted
    stated = dict(part.split("=") for part in headers["X-Gateway-Signature"].split(","))
    expected = hmac.new(SECRET.encode(), f"{stated['t']}.".encode() + body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(stated["v1"], expected)
    assert int(stated["t"]) == int(clock.now.timestamp())
    assert json.loads(body) == {
        "id": NOTICE.id,
        "kind": "break-glass",
        "at": "2026-03-05T12:00:00.123456+00:00",
        "patient": PERSON,
        "record": "r",
    }


@pytest.mark.parametrize("status", [500, 302, 404])
def test_what_is_not_taken_is_tried_again_ever_later_until_it_is(
    engine: Engine, notices: Notices, hook: WebhookSink, clock: Clock, status: int
) -> None:
    """A redirect is not followed. Others wait for none of it."""
    _store(engine, notices, NOTICE, "webhook", "log")
    courier = Courier(notices, [Webhook(hook.url, SECRET), Log()], clock)
    hook.status = status
    assert courier.run() == 2
    assert courier.run() == 0
    tries = []
    for _ in range(300):
        clock.now += 5 * SECOND
        if courier.run():
            tries.append(clock.now)
    gaps = [later - earlier for earlier, later in pairwise(tries)]
    assert gaps == sorted(gaps)
    assert gaps[-1] > gaps[0]
    (told,) = notices.list(waiting=True)
    assert [(name, at is None) for name, _, at in told.ways] == [("log", False), ("webhook", True)]
    hook.status = 200
    clock.now += timedelta(hours=1)
    assert courier.run() == 1
    assert notices.list(waiting=True) == []


def test_a_webhook_that_is_not_there_is_no_error_of_ours(engine: Engine, notices: Notices, clock: Clock) -> None:
    """And neither is a way that the settings no longer name."""
    _store(engine, notices, NOTICE, "webhook", "mail")

    assert Courier(notices, [Webhook("http://127.0.0.1:9/hook", SECRET)], clock).run() == 2
    assert [tries for _, tries, _ in notices.list()[0].ways] == [1, 1]


def test_a_mail_says_that_there_is_something_to_look_at_and_nothing_of_whom(
    engine: Engine, notices: Notices, clock: Clock
) -> None:
    """A real SMTP conversation; no id of a patient, a record or a caller."""
    _store(engine, notices, NOTICE, "mail")
    with MailSink() as sink:
        mail = Mail(sink.url, "gateway@exchange.example", ["privacy@exchange.example", "it@exchange.example"])
        assert Courier(notices, [mail], clock).run() == 1
        ((to, text),) = sink.mails

    assert to == ["privacy@exchange.example", "it@exchange.example"]
    assert "Subject: Imaging exchange gateway: break-glass" in text
    assert NOTICE.id in text
    assert PERSON not in text
    assert notices.list(waiting=True) == []


def test_a_mail_that_one_of_them_does_not_get_is_tried_again(engine: Engine, notices: Notices, clock: Clock) -> None:
    """The server refuses one address; and with a password nothing is sent without TLS."""
    _store(engine, notices, NOTICE, "mail")
    with MailSink(refuses="it@exchange.example") as sink:
        mail = Mail(sink.url, "gateway@exchange.example", ["privacy@exchange.example", "it@exchange.example"])
        Courier(notices, [mail], clock).run()
        clock.now += timedelta(hours=1)
        secret = Mail(sink.url.replace("//", "//user:word@"), "gateway@exchange.example", ["it@exchange.example"])
        Courier(notices, [secret], clock).run()

    assert [tries for _, tries, _ in notices.list(waiting=True)[0].ways] == [2]


def test_two_processes_send_a_notice_once(engine: Engine, keys: KeyRing, hook: WebhookSink, clock: Clock) -> None:
    """Whoever claims it first sends it."""
    notices, others = Notices(engine, keys), Notices(engine, keys)
    _store(engine, notices, NOTICE, "webhook")

    assert len(notices.due(clock.now)) == 1
    assert others.due(clock.now) == []


def test_the_log_is_always_a_way_out() -> None:
    """And the others are where the settings name them."""
    some = {"secret": SECRET, "mail_from": "a@b", "mail_to": ["c@d"]}

    assert [one.name for one in channels_of(webhook="", smtp="", **some)] == ["log"]
    named = channels_of(webhook="http://127.0.0.1:9/", smtp="smtp://127.0.0.1:25", **some)
    assert [one.name for one in named] == ["log", "webhook", "mail"]
