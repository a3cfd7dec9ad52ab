"""The ways by which notices go out: a signed webhook, e-mail, the log."""

import hashlib
import hmac
import logging
import smtplib
import ssl
from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

import orjson
import requests

from gateway.db.base import EPOCH
from gateway.log import Event, event
from gateway.watch.notices import Channel, Notice, NotTaken

_WITHIN_S = 10
SIGNATURE = "X-Gateway-Signature"


class Webhook:
    """A notice is posted as JSON, and whoever takes it can tell that it is ours, and when it was sent.

    `X-Gateway-Signature: t=<seconds>,v1=<hex>`, where the latter is the HMAC-SHA-256 of `<seconds>.<body>`.
    """

    name = "webhook"

    def __init__(self, url: str, secret: str) -> None:
        self._url = url
        self._secret = secret.encode()

    def send(self, one: Notice, now: datetime) -> None:
        """It was answered with 2xx. No redirect, proxy or credential of the environment is used."""
        body = orjson.dumps({"id": one.id, "kind": one.kind, "at": one.made_at, **one.facts})
        headers = {"Content-Type": "application/json", SIGNATURE: signature(self._secret, now, body)}
        with requests.Session() as session:
            session.trust_env = False
            try:
                with session.post(
                    self._url, data=body, headers=headers, timeout=_WITHIN_S, allow_redirects=False, stream=True
                ) as answer:
                    status = answer.status_code
            except requests.RequestException as exc:
                raise NotTaken("the webhook can't be reached") from exc
        if not 200 <= status < 300:
            raise NotTaken(f"the webhook answered {status}")


def signature(secret: bytes, now: datetime, body: bytes) -> str:
    """What `X-Gateway-Signature` says."""
    seconds = int((now - EPOCH).total_seconds())
    return f"t={seconds},v1={hmac.new(secret, f'{seconds}.'.encode() + body, hashlib.sha256).hexdigest()}"


class Mail:
    """A mail says that there is something to look at, and where; nothing of whom it is about."""

    name = "mail"

    def __init__(self, server: str, sender: str, to: Sequence[str]) -> None:
        """`server` is `smtp://[user:password@]host:port` or `smtps://…`."""
        self._server = urlsplit(server)
        self._sender = sender
        self._to = to

    def send(self, one: Notice, now: datetime) -> None:
        """The server has taken it for all who get it."""
        try:
            with self._connected() as connection:
                if self._server.username:
                    connection.login(unquote(self._server.username), unquote(self._server.password or ""))
                refused = connection.send_message(self._mail(one, now))
        except (OSError, smtplib.SMTPException) as exc:
            raise NotTaken("the mail server does not take it") from exc
        if refused:
            raise NotTaken("the mail server refused some who are to get it")

    def _connected(self) -> smtplib.SMTP:
        host, port = self._server.hostname or "", self._server.port or 0
        context = ssl.create_default_context()
        if self._server.scheme == "smtps":
            return smtplib.SMTP_SSL(host, port, timeout=_WITHIN_S, context=context)
        connection = smtplib.SMTP(host, port, timeout=_WITHIN_S)
        connection.ehlo()
        if connection.has_extn("starttls"):
            connection.starttls(context=context)
        elif self._server.username:
            connection.close()
            raise smtplib.SMTPNotSupportedError("no password is sent without TLS")
        return connection

    def _mail(self, one: Notice, now: datetime) -> EmailMessage:
        mail = EmailMessage()
        mail["From"] = self._sender
        mail["To"] = ", ".join(self._to)
        mail["Date"] = now
        mail["Subject"] = f"Imaging exchange gateway: {one.kind}"
        mail["Message-ID"] = f"<{one.id}@{self._sender.rpartition('@')[2]}>"
        mail.set_content(
            f"{one.kind}, {one.made_at:%Y-%m-%d %H:%M:%S} UTC, notice {one.id}.\n\n"
            f"What it is about, at the gateway:  python -m gateway audit notices --id {one.id}\n"
            f"What to do:  deploy/runbook.md, section {one.kind}\n"
        )
        return mail


class Log:
    """A line of the gateway's own log."""

    name = "log"

    def send(self, one: Notice, now: datetime) -> None:
        """It is written."""
        event(Event.ALERT, level=logging.WARNING, reason=one.kind, reference=one.id, count=one.facts.get("count", 1))


def channels_of(*, webhook: str, secret: str, smtp: str, mail_from: str, mail_to: Sequence[str]) -> Sequence[Channel]:
    """The ways out that the settings name; the log always."""
    found: list[Channel] = [Log()]
    if webhook:
        found.append(Webhook(webhook, secret))
    if smtp:
        found.append(Mail(smtp, mail_from, mail_to))
    return found
