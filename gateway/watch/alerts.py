"""The follower that raises alerts: what the rules find becomes notices, a record of the audit, and a count."""

import uuid
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import Connection

from gateway.audit.places import Records, Span
from gateway.audit.record import AuditRecord
from gateway.audit.within import AuditWithin
from gateway.metrics import ALERTS
from gateway.watch.follow import Stored
from gateway.watch.notices import Notice, Notices, new_id
from gateway.watch.rules import RAISED, WINDOW, Alert, Rule, Thresholds, alerts_in, all_rules

NAME = "alerts"
STALE = timedelta(days=1)
"""What is older when it is come to (an audit that was long followed by nobody) is listed, and sent to nobody."""
_MOST_BEFORE = 20_000
_FOUND_BY_RULES = frozenset(("identifier-guessing", "many-patients"))
"""Alerts that no room has recorded and counted yet."""


class Alerts:
    """Keeps what the rules have seen; another process that takes over looks at the last hour again."""

    name = NAME

    def __init__(
        self,
        records: Records,
        notices: Notices,
        audit: AuditWithin,
        channels: Sequence[str],
        thresholds: Thresholds,
    ) -> None:
        self._records = records
        self._notices = notices
        self._audit = audit
        self._channels = channels
        self._thresholds = thresholds
        self._rules: list[Rule] = []
        self._seen_to: int | None = None

    def before(self, position: int, stored: Stored) -> None:
        """The rules know what came within their window before these records. Raises AuditRecordBroken."""
        first = stored[0][0]
        if self._seen_to == position:
            return
        self._rules = all_rules(self._thresholds)
        span = Span(descends=True, after=first, since=first.recorded_at - WINDOW)
        places = [place for place in self._records.places(span, _MOST_BEFORE) if place.seq < first.seq]
        numbers = sorted(place.seq for place in places)
        known = self._records.read(numbers)
        for _ in alerts_in((known[number] for number in numbers if number in known), self._rules):
            pass  # raised when they were come to the first time

    def take(self, connection: Connection, stored: Stored, now: datetime) -> None:
        """What these records raise is stored."""
        found = list(alerts_in((record for _, record in stored), self._rules))
        self._seen_to = stored[-1][0].seq
        for alert in found:
            channels = self._channels if now - alert.at < STALE else ()
            self._notices.add(connection, [_notice(alert)], channels)
        raised = [alert for alert in found if alert.kind in _FOUND_BY_RULES]
        self._audit.record_within(connection, [_record(alert, now) for alert in raised])
        for alert in raised:
            ALERTS.labels(kind=alert.kind).inc()

    def forget(self) -> None:
        """What has been seen counts no more: the transaction failed, or another process follows."""
        self._seen_to = None


def _notice(alert: Alert) -> Notice:
    facts = {name: value for name, value in asdict(alert).items() if name not in ("kind", "at") and value}
    return Notice(id=new_id(), kind=alert.kind, made_at=alert.at, facts=facts)


def _record(alert: Alert, now: datetime) -> AuditRecord:
    return AuditRecord(
        id=str(uuid.uuid4()),
        recorded=now,
        kind="alert",
        outcome="success",
        reason=alert.kind,
        patient=alert.patient,
        details=(RAISED, ("record", alert.record), ("caller", alert.caller), ("count", str(alert.count))),
    )
