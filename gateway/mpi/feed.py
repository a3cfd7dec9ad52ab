"""Taking in what domains say of their patients: records stored, links made, what looks wrong reported."""

import logging
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, Engine

from gateway.audit.record import AuditRecord
from gateway.audit.within import AuditWithin
from gateway.db.crypto import KeyRing
from gateway.log import Event, event
from gateway.metrics import ALERTS
from gateway.model import PatientID
from gateway.mpi.arrival import Arrivals
from gateway.mpi.doubtful import find_doubtful
from gateway.mpi.linker import Linker, Relinked
from gateway.mpi.links import ALGORITHM, Conflict
from gateway.mpi.matching import Matching, MatchingRule
from gateway.mpi.newcomers import Newcomers
from gateway.mpi.pairs import PairStore
from gateway.mpi.patient_record import PatientRecord
from gateway.mpi.ready import Readier, Ready
from gateway.mpi.review import Question, open_tasks
from gateway.mpi.store import RecordStore, StoredRecord, index_writing

Outcome = Literal["loaded", "updated", "unchanged"]
Note = Callable[[Sequence[PatientID], Outcome], Sequence[AuditRecord]]
"""What the audit says of something done, given the persons it was about and how it ended."""
_PERSONS_A_TURN = 200


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
        self,
        engine: Engine,
        keys: KeyRing,
        audit: AuditWithin,
        *,
        strong_systems: frozenset[str],
        who: str,
        matching: MatchingRule | None = None,
    ) -> None:
        """Without `matching`, nothing but strong identifiers and stewards link records."""
        self._engine = engine
        self._keys = keys
        self._audit = audit
        self._strong_systems = strong_systems
        self._who = who
        self._rule = matching

    def save(self, patients: Sequence[PatientRecord], now: datetime) -> list[Outcome]:
        """All of `patients` are stored and linked, or none is; what became of each. Conflicts have been alerted.

        A record of a known source identifier replaces what was said before; one that says nothing new does nothing.
        Raises DependencyUnavailable, and AuditUnavailable where an alert can't be recorded: nothing is stored then.
        """
        with index_writing(self._engine) as connection:
            turn = _Turn(connection, self._keys, self._strong_systems, self._who, self._rule, now)
            outcomes = turn.save_all(patients)
            self.record(connection, turn.alerts, (), now)
        announce(turn.alerts)
        return outcomes

    def file(self, patient: PatientRecord, now: datetime, note: Note) -> Outcome:
        """`patient` is stored, linked and in the audit, or none of it. Raises as `save` does.

        A record that was replaced by another is nobody's but its own once it is active again.
        """
        with index_writing(self._engine) as connection:
            turn = _Turn(connection, self._keys, self._strong_systems, self._who, self._rule, now)
            saved = turn.file(patient)
            self.record(connection, turn.alerts, note([saved.person], saved.outcome), now)
        announce(turn.alerts)
        return saved.outcome

    def save_ready(self, ready: Sequence[Ready], now: datetime, *, link_later: bool = False) -> list[Outcome]:
        """As `save`, for records that were made ready elsewhere, by the same keys and settings.

        With `link_later` a record that is new stays a person of its own until the index is linked again.
        """
        with index_writing(self._engine) as connection:
            turn = _Turn(connection, self._keys, self._strong_systems, self._who, self._rule, now)
            outcomes = turn.save_ready(ready, link_later=link_later)
            self.record(connection, turn.alerts, (), now)
        announce(turn.alerts)
        return outcomes

    def relink(self, now: datetime, *, dry_run: bool = False) -> RelinkedAll:
        """Every link is the one that the rule and the settings demand today; or would be. Raises as `save` does.

        Each turn is a transaction of its own, so that queries and feeds go on; a turn that fails leaves those before
        it done.
        """
        persons = conflicts = 0
        # By id: what was only tried in one turn is met again in another.
        moved, retired = set[int](), set[PatientID]()
        last = ""
        while True:
            with suppress(_TriedOnly), index_writing(self._engine) as connection:
                turn = _Turn(connection, self._keys, self._strong_systems, self._who, self._rule, now)
                looked_at = turn.relink(last)
                if dry_run:
                    raise _TriedOnly
                self.record(connection, turn.alerts, (), now)
            if not looked_at:
                return RelinkedAll(persons=persons, moved=len(moved), retired=len(retired), conflicts=conflicts)
            last = looked_at[-1]
            persons += len(looked_at)
            moved.update(move.record_id for one in turn.relinked for move in one.moves)
            retired.update(person for one in turn.relinked for person in one.retired)
            conflicts += len(turn.alerts)
            if not dry_run:
                announce(turn.alerts)

    def alert(self, conflicts: Sequence[Conflict], now: datetime) -> None:
        """Each of `conflicts` is logged, counted and in the audit. Raises AuditUnavailable."""
        announce(conflicts)
        self._audit.record([_alert_record(found, self._who, now) for found in conflicts])

    def record(
        self, connection: Connection, conflicts: Iterable[Conflict], told: Iterable[AuditRecord], now: datetime
    ) -> None:
        """What was done in the transaction is in the audit with it, each conflict too. Raises AuditUnavailable."""
        records = [*told, *(_alert_record(found, self._who, now) for found in conflicts)]
        if records:
            self._audit.record_within(connection, records)


def announce(conflicts: Iterable[Conflict]) -> None:
    """Each of `conflicts` is logged and counted."""
    for found in conflicts:
        event(Event.STRONG_IDENTIFIER_CONFLICT, level=logging.WARNING, reason=found.reason, count=found.persons)
        ALERTS.labels(kind="strong-identifier-conflict").inc()


def no_note(_persons: Sequence[PatientID], _outcome: Outcome) -> Sequence[AuditRecord]:
    """Nothing: what was done is recorded by whoever had it done."""
    return ()


@dataclass(frozen=True, slots=True)
class _Saved:
    outcome: Outcome
    person: PatientID


class _TriedOnly(Exception):
    """The transaction is rolled back: only what it would have done was asked."""


class _Turn:
    """The records of one transaction of `index_writing`, each stored, matched and linked before the next."""

    def __init__(
        self,
        connection: Connection,
        keys: KeyRing,
        strong_systems: frozenset[str],
        who: str,
        rule: MatchingRule | None,
        now: datetime,
    ) -> None:
        self._connection = connection
        self._records = RecordStore(connection, keys)
        self._linker = Linker(connection, keys, strong_systems, who)
        self._matching = Matching(connection, keys, rule) if rule else None
        self._newcomers = Newcomers(connection, who)
        self._readier = Readier(keys, strong_systems, matched=rule is not None)
        self._keys = keys
        self._who = who
        self._arrivals = Arrivals(connection, keys, self._records, self._linker, self._matching)
        self._now = now
        self.relinked: list[Relinked] = []

    @property
    def alerts(self) -> list[Conflict]:
        """Conflicts that are new or have grown."""
        return [alert for one in self.relinked for alert in one.alerts]

    def save_all(self, patients: Sequence[PatientRecord]) -> list[Outcome]:
        """Each is stored and linked: at once those that nobody else can be, then the others, each after the other."""
        if len(patients) < 2:
            return [self._save(one).outcome for one in patients]
        ready = [self._readier.ready(one, self._now.date()) for one in patients]
        alone = self._newcomers.add_alone(ready, self._now)
        rest = ((place, one) for place, one in enumerate(patients) if place not in alone)
        saved = {place: self._save(one, ready[place]).outcome for place, one in rest}
        return [saved.get(place, "loaded") for place in range(len(patients))]

    def save_ready(self, ready: Sequence[Ready], *, link_later: bool) -> list[Outcome]:
        """Each is stored, and linked where that isn't left for later."""
        alone = self._newcomers.add_alone(ready, self._now, link_later=link_later)
        rest = ((place, one) for place, one in enumerate(ready) if place not in alone)
        saved = {place: self._save(one.opened(self._keys), one).outcome for place, one in rest}
        return [saved.get(place, "loaded") for place in range(len(ready))]

    def file(self, patient: PatientRecord) -> _Saved:
        """The record is stored and linked; what its domain said when it was replaced holds no longer."""
        stored = self._records.find(patient)
        if stored is not None and patient.active and not stored.active:
            PairStore(self._connection).withdraw_merges(stored.record_id, self._who, self._now)
        return self._save_as(stored, patient, None)

    def _save(self, patient: PatientRecord, ready: Ready | None = None) -> _Saved:
        return self._save_as(self._records.find(patient), patient, ready)

    def _save_as(self, stored: StoredRecord | None, patient: PatientRecord, ready: Ready | None) -> _Saved:
        if stored is None:
            ready = ready or self._readier.ready(patient, self._now.date())
            arrival = self._arrivals.add(patient, ready, self._now)
            self.relinked.append(arrival.relinked)
            open_tasks(self._connection, arrival.asked, self._now)
            return _Saved("loaded", arrival.person)
        if stored.content_key == self._records.content_key(patient):
            return _Saved("unchanged", stored.person_id)
        strong = self._linker.strong_keys(patient.identifiers).keys()
        lost = self._records.replace(stored, patient, self._now)
        returning = not stored.active
        questions = self._match(stored.record_id, patient.content, strong, active=patient.active, returning=returning)
        moved = self._link([stored.person_id], questions, keys=strong | lost)
        return _Saved("updated", moved.get(stored.record_id, stored.person_id))

    def relink(self, after: str) -> Sequence[PatientID]:
        """The persons that come after that id are linked as they should be, and matched where they never were."""
        if self._matching is None:
            persons = find_doubtful(self._connection, after, _PERSONS_A_TURN)
        else:
            persons = self._linker.find_live_persons(after, _PERSONS_A_TURN)
        if persons:
            self._link(persons, [])
        if self._matching is not None:
            for one in self._records.find_unmatched(persons):
                strong = self._linker.strong_keys(one.identifiers).keys()
                self._link([one.person_id], self._match(one.record_id, one.content, strong))
        return persons

    def _match(
        self, record_id: int, content: bytes, strong: Collection[bytes], *, active: bool = True, returning: bool = False
    ) -> list[Question]:
        if self._matching is None:
            return []
        return self._matching.take_in(record_id, content, strong, self._now, active=active, returning=returning)

    def _link(
        self,
        persons: Sequence[PatientID],
        questions: Sequence[Question],
        *,
        keys: Iterable[bytes] = (),
    ) -> Mapping[int, PatientID]:
        relinked = self._linker.link(persons, self._now, keys=keys)
        self.relinked.append(relinked)
        open_tasks(self._connection, questions, self._now)
        return {move.record_id: move.person_id for move in relinked.moves}


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
