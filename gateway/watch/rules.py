"""When should a person look at what is going on? Rules over the audit's records, one after another as stored. Pure.

A rule keeps what it has seen of late; the time is that of the records. The same thing about the same one is told once
in its window, however often it happens.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from gateway.audit.record import AuditKind, AuditRecord
from gateway.purposes import BREAK_GLASS

RAISED = ("raised by", "a rule over the audit")
"""A fact of records that tell of an alert of these rules: they raise no further one."""
WINDOW = timedelta(hours=1)
"""The longest that any rule looks back."""
_GUESSING_WINDOW = timedelta(minutes=10)
_MOST_CALLERS = 20_000
_LOOKING: frozenset[AuditKind] = frozenset(
    (
        *("imaging-search", "imaging-read", "patient-search", "patient-read", "consent-search", "consent-read"),
        "retrieval",
    )
)
"""What people do who look at patients; to read the audit, to feed and to operate is something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that a person should look at."""

    kind: str
    """Which section of the runbook it is."""
    at: datetime
    record: str
    """The record that it was raised by: `audit export` and AuditEvent searches tell the rest."""
    caller: str = ""
    """The client, or the person and the client, by their ids."""
    patient: str | None = None
    count: int = 1
    about: str = ""
    """What else: a facility's id, a declaration's, our words; nothing of a patient's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """How much is too much."""

    not_found: int = 30
    """Look-ups that find nobody, of one caller in ten minutes."""
    patients: int = 50
    """Different patients of whom one person sees something, in an hour."""


class Rule(Protocol):
    """One reason to look."""

    def see(self, record: AuditRecord) -> Iterator[Alert]:
        """The alerts that this further record raises."""
        ...


@dataclass(slots=True)
class _Once:
    """What has been told of late."""

    window: timedelta
    told: OrderedDict[object, datetime] = field(default_factory=OrderedDict)

    def first(self, key: object, at: datetime) -> bool:
        """Whether it wasn't told within the window; it is now."""
        while self.told and next(iter(self.told.values())) < at - self.window:
            self.told.popitem(last=False)
        if key in self.told:
            return False
        self.told[key] = at
        return True


@dataclass(slots=True)
class _Seen:
    """What each caller did of late, the callers that did something last kept."""

    window: timedelta
    by: OrderedDict[str, deque[tuple[datetime, str]]] = field(default_factory=OrderedDict)

    def add(self, caller: str, at: datetime, what: str) -> deque[tuple[datetime, str]]:
        """All that the caller did within the window, this included."""
        seen = self.by.setdefault(caller, deque(maxlen=10_000))
        self.by.move_to_end(caller)
        seen.append((at, what))
        while seen[0][0] < at - self.window:
            seen.popleft()
        if len(self.by) > _MOST_CALLERS:
            self.by.popitem(last=False)
        return seen


class IdentifierGuessing:
    """One caller looks for many whom nobody knows: it tries identifiers out."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._most = thresholds.not_found
        self._seen = _Seen(_GUESSING_WINDOW)
        self._once = _Once(_GUESSING_WINDOW)

    def see(self, record: AuditRecord) -> Iterator[Alert]:
        """An alert with the look-up that is one too many."""
        if record.kind not in _LOOKING or record.patient is not None or record.outcome != "success":
            return
        caller = caller_of(record)
        count = len(self._seen.add(caller, record.recorded, record.id))
        if count >= self._most and self._once.first(caller, record.recorded):
            yield Alert(kind="identifier-guessing", at=record.recorded, record=record.id, caller=caller, count=count)


class BreakGlass:
    """Somebody overrides what a patient decided."""

    def see(self, record: AuditRecord) -> Iterator[Alert]:
        """An alert with each declaration, and none with further tokens of one."""
        if record.kind != "token-issued" or BREAK_GLASS not in record.who.purposes:
            return
        facts = dict(record.details)
        if facts.get("declared") == "before":
            return
        yield Alert(
            kind="break-glass",
            at=record.recorded,
            record=record.id,
            caller=caller_of(record),
            patient=record.patient,
            about=facts.get("declaration", ""),
        )


class ManyPatients:
    """One person sees something of very many patients: they are not all in their care."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._most = thresholds.patients
        self._seen = _Seen(WINDOW)
        self._once = _Once(WINDOW)

    def see(self, record: AuditRecord) -> Iterator[Alert]:
        """An alert with the patient who is one too many. A system that asks for itself is no person."""
        if record.kind not in _LOOKING or record.patient is None or not _is_person(record):
            return
        if not record.released and not record.resources:
            return
        caller = caller_of(record)
        patients = {what for _, what in self._seen.add(caller, record.recorded, record.patient)}
        if len(patients) >= self._most and self._once.first(caller, record.recorded):
            yield Alert(kind="many-patients", at=record.recorded, record=record.id, caller=caller, count=len(patients))


KNOWN_ALERTS: tuple[tuple[str, str], ...] = (
    ("rows of another patient", "rows-of-another-patient"),
    ("rows contradict", "rows-contradict-record"),
    ("a PatientID can't safely be sent", "patient-id-not-sent"),
    ("a study is found under two persons", "study-under-two-persons"),
    ("a consent on file can't be evaluated", "consent-not-evaluable"),
    ("records kept apart", "strong-identifier-conflict"),
    ("a client asks for many different identifiers", "identifier-guessing"),
    ("audit-log-broken", "audit-log-broken"),
    ("audit-checkpoint-not-delivered", "audit-checkpoint-not-delivered"),
    ("break-glass access", "break-glass-use"),
)
"""What the rooms themselves find amiss (records of the kind `alert`), by how their reason begins."""


class FoundByTheRooms:
    """What a room of the gateway found amiss."""

    def __init__(self) -> None:
        self._once = _Once(WINDOW)

    def see(self, record: AuditRecord) -> Iterator[Alert]:
        """An alert, once an hour for the same thing about the same one."""
        if record.kind != "alert" or RAISED in record.details:
            return
        kind = next((kind for words, kind in KNOWN_ALERTS if record.reason.startswith(words)), "other")
        about = dict(record.details).get("about", record.reason if kind == "other" else "")
        if self._once.first((kind, record.patient, about, caller_of(record)), record.recorded):
            yield Alert(
                kind=kind,
                at=record.recorded,
                record=record.id,
                caller=caller_of(record),
                patient=record.patient,
                about=about,
            )


KINDS = (
    *("identifier-guessing", "break-glass", "break-glass-use", "many-patients", "released-under-false-link"),
    *(kind for _, kind in KNOWN_ALERTS if kind not in ("identifier-guessing", "break-glass-use")),
    "other",
)
"""Every kind of notice; each has its section in `deploy/runbook.md`."""


def all_rules(thresholds: Thresholds) -> list[Rule]:
    """Every rule, having seen nothing."""
    return [IdentifierGuessing(thresholds), BreakGlass(), ManyPatients(thresholds), FoundByTheRooms()]


def alerts_in(records: Iterable[AuditRecord], rules: Iterable[Rule]) -> Iterator[Alert]:
    """What the records raise, in order."""
    watching = list(rules)
    for record in records:
        for rule in watching:
            yield from rule.see(record)


def caller_of(record: AuditRecord) -> str:
    """Who asked, by ids: the client, and the person where there is one."""
    who = record.who
    person = who.subject_id or (who.subject if who.subject != who.client_id else None)
    parts = (who.client_id or who.network or "", person or "")
    return " ".join(part for part in parts if part)


def _is_person(record: AuditRecord) -> bool:
    who = record.who
    return bool(who.subject_id) or who.subject not in (None, who.client_id, f"Patient/{record.patient}")
