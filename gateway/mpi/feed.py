"""Taking in what domains say of their patients: records stored, links made, what looks wrong reported."""

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Engine

from gateway.audit.record import AuditLog, AuditRecord
from gateway.db.crypto import KeyRing
from gateway.log import Event, event
from gateway.metrics import ALERTS
from gateway.mpi.linker import Linker, Relinked
from gateway.mpi.links import ALGORITHM, Conflict
from gateway.mpi.patient_record import PatientRecord
from gateway.mpi.store import RecordStore, index_writing

Outcome = Literal["loaded", "updated", "unchanged"]
_PERSONS_A_TURN = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class RelinkedAll:
    """What looking at every link again has changed."""

    persons: int
    """How many were looked at."""
    moved: int
    """How many records have another person now."""
    retired: int
    conflicts: int
    """How many conflicts are new or have grown."""


class PatientFeed:
    """The way into the index. `who` is written beside every link that changes."""

    def __init__(
        self, engine: Engine, keys: KeyRing, audit: AuditLog, *, strong_systems: frozenset[str], who: str
    ) -> None:
        self._engine = engine
        self._keys = keys
        self._audit = audit
        self._strong_systems = strong_systems
        self._who = who

    def save(self, patients: Sequence[PatientRecord], now: datetime) -> list[Outcome]:
        """All of `patients` are stored and linked, or none is; what became of each. Conflicts have been alerted.

        A record of a known source identifier replaces what was said before; one that says nothing new does nothing.
        Raises DependencyUnavailable, and AuditUnavailable where an alert can't be recorded (the records are stored).
        """
        outcomes: list[Outcome] = []
        alerts: list[Conflict] = []
        with index_writing(self._engine) as connection:
            records = RecordStore(connection, self._keys)
            linker = Linker(connection, self._keys, self._strong_systems, self._who)
            for patient in patients:
                outcome, relinked = _save(records, linker, patient, now)
                outcomes.append(outcome)
                alerts.extend(relinked.alerts)
        self._alert(alerts, now)
        return outcomes

    def relink(self, now: datetime) -> RelinkedAll:
        """Every link is the one that the rule and the settings demand today. Raises as `save` does.

        Each turn is a transaction of its own, so that queries and feeds go on; a turn that fails leaves those before
        it done.
        """
        persons = moved = retired = conflicts = 0
        last = ""
        while True:
            changed: list[Relinked] = []
            with index_writing(self._engine) as connection:
                linker = Linker(connection, self._keys, self._strong_systems, self._who)
                turn = linker.find_live_persons(last, _PERSONS_A_TURN)
                changed = [linker.link([person], now) for person in turn]
            if not turn:
                return RelinkedAll(persons=persons, moved=moved, retired=retired, conflicts=conflicts)
            last = turn[-1]
            persons += len(turn)
            moved += sum(len(one.moves) for one in changed)
            retired += sum(len(one.retired) for one in changed)
            alerts = [alert for one in changed for alert in one.alerts]
            conflicts += len(alerts)
            self._alert(alerts, now)

    def _alert(self, conflicts: Sequence[Conflict], now: datetime) -> None:
        for found in conflicts:
            event(Event.STRONG_IDENTIFIER_CONFLICT, level=logging.WARNING, reason=found.reason, count=found.persons)
            ALERTS.labels(kind="strong-identifier-conflict").inc()
        self._audit.record([_alert_record(found, self._who, now) for found in conflicts])


def _save(records: RecordStore, linker: Linker, patient: PatientRecord, now: datetime) -> tuple[Outcome, Relinked]:
    keys = linker.strong_keys(patient.identifiers).keys()
    stored = records.find(patient)
    if stored is None:
        added = records.add(patient, now)
        return "loaded", linker.link([added.person_id], now, keys=keys, fresh=added.record_id)
    if stored.content_key == records.content_key(patient):
        return "unchanged", Relinked()
    lost = records.replace(stored, patient, now)
    return "updated", linker.link([stored.person_id], now, keys=keys | lost)


def _alert_record(found: Conflict, who: str, now: datetime) -> AuditRecord:
    return AuditRecord(
        id=str(uuid.uuid4()),
        recorded=now,
        kind="alert",
        outcome="success",
        reason=f"records kept apart despite a shared strong identifier ({found.reason})",
        algorithm=ALGORITHM,
        details=(
            ("identifier system", found.system),
            ("persons", str(found.persons)),
            ("records", " ".join(str(record_id) for record_id in found.records)),
            ("noticed in", who),
        ),
    )
