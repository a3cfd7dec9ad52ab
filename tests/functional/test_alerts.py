"""A serving gateway tells its operators what to look at: by webhook and mail, and never in an answer's time."""

import json
import time
from collections.abc import Iterator

import pytest

from tests import canary
from tests.functional.small_exchange import SmallExchange, identifier
from tests.services.exchange import domain_of
from tests.services.sinks import MailSink, WebhookSink, webhook

SECRET = "a secret of sixteen and more"


@pytest.fixture(scope="module")
def hook() -> Iterator[WebhookSink]:
    """Where alerts are posted."""
    yield from webhook()


@pytest.fixture(scope="module")
def mailbox() -> Iterator[MailSink]:
    """Where alerts are mailed."""
    with MailSink() as sink:
        yield sink


@pytest.fixture(scope="module")
def exchange(hook: WebhookSink, mailbox: MailSink) -> Iterator[SmallExchange]:
    """It is alerted by three look-ups that find nobody."""
    made = SmallExchange.of_two_persons(
        GATEWAY_ALERT_WEBHOOK=hook.url,
        GATEWAY_ALERT_WEBHOOK_SECRET=SECRET,
        GATEWAY_ALERT_SMTP=mailbox.url,
        GATEWAY_ALERT_MAIL_FROM="gateway@exchange.example",
        GATEWAY_ALERT_MAIL_TO="privacy@exchange.example",
        GATEWAY_ALERT_NOT_FOUND="3",
    )
    yield made
    made.stop()


def test_identifiers_that_are_tried_out_reach_an_operator(
    exchange: SmallExchange, hook: WebhookSink, mailbox: MailSink
) -> None:
    """By every way in the settings, listed with how it went, counted, without a word of whom was looked for."""
    for n in range(4):
        query = {"patient.identifier": f"{domain_of('north')}|{canary.MRN}-guess-{n}"}
        assert exchange.get("/ImagingStudy", query).status_code == 200
    until = time.monotonic() + 30
    while not (hook.posted and mailbox.mails) and time.monotonic() < until:
        time.sleep(0.1)

    (_, body) = hook.posted[0]
    told = json.loads(body)
    assert (told["kind"], told["caller"], told["count"]) == ("identifier-guessing", "ehr", 3)
    assert "identifier-guessing" in mailbox.mails[0][1]
    for text in (body.decode(), mailbox.mails[0][1]):
        assert canary.MRN not in text
    while exchange.gateway.run_json("audit", "notices", "--waiting")["notices"] and time.monotonic() < until:
        time.sleep(0.1)
    listed = exchange.gateway.run_json("audit", "notices", "--id", told["id"])["notices"][0]
    assert {way["by"]: way["delivered"] is not None for way in listed["sent"]} == dict.fromkeys(
        ("log", "webhook", "mail"), True
    )
    assert 'gateway_alerts_total{kind="identifier-guessing"} 1.0' in exchange.gateway.metrics()
    assert '"event":"alert"' in exchange.gateway.log()


def test_what_is_searched_for_is_in_the_index_soon(exchange: SmallExchange) -> None:
    """A serving process follows its own audit; a command does so at once, and then there is nothing left."""
    exchange.search("a", "north")
    until = time.monotonic() + 30
    while 'gateway_audit_followed_total{follower="search"}' not in exchange.gateway.metrics():
        assert time.monotonic() < until
        time.sleep(0.1)
    exchange.gateway.run("audit", "follow", "--once")

    token = exchange.signed_token(scope="system/AuditEvent.rs")
    found = exchange.get("/AuditEvent", {"patient.identifier": identifier("a", "north")}, token=token).json()
    assert found["entry"]


def test_notices_are_listed_in_words_and_an_unknown_one_is_refused(exchange: SmallExchange) -> None:
    """For people; and that they were looked at is in the audit."""
    assert "identifier-guessing" in exchange.gateway.run("audit", "notices", "--kind", "identifier-guessing").stdout
    assert "no notices" in exchange.gateway.run("audit", "notices", "--kind", "break-glass").stdout
    assert "no notice has that id" in exchange.gateway.run("audit", "notices", "--id", "x", expect=1).stderr
    assert [one for one in exchange.audit() if one.get("reason") == "audit notices"]
