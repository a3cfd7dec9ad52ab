"""Doing what a re-linking has planned, some persons at a time, each judged once more as it is by then."""

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from sqlalchemy import Connection, Engine, bindparam, select

from gateway.audit.record import AuditLog, AuditRecord, Who
from gateway.db.crypto import KeyRing
from gateway.db.session import in_parts
from gateway.model import PatientID
from gateway.mpi.bulk.relink import Change, RelinkPlan
from gateway.mpi.decide import Member, are_one
from gateway.mpi.feed import PatientFeed
from gateway.mpi.linker import Linker, Relinked
from gateway.mpi.links import Move
from gateway.mpi.match import Matcher
from gateway.mpi.pairs import Matched, PairStore
from gateway.mpi.review import Question, open_tasks
from gateway.mpi.sealed import open_comparable
from gateway.mpi.store import index_writing
from gateway.mpi.tables import record

CHANGES_A_TRANSACTION = 100
"""A fraction of a second of writing, after which feeds get their turn."""
_MEMBERS = select(
    *(record.c.record_id, record.c.person_id, record.c.identifier_key, record.c.comparable, record.c.updated_at)
).where(
    record.c.active,
    record.c.comparable.is_not(None),
    record.c.person_id.in_(bindparam("wanted", expanding=True)),
)
_OWNERS = select(record.c.record_id, record.c.person_id).where(
    record.c.record_id.in_(bindparam("wanted", expanding=True)), record.c.active
)


@dataclass(slots=True, kw_only=True)
class Applied:
    """What has been done of a plan."""

    merged: int = 0
    """Persons that have become part of another."""
    split: int = 0
    """Persons that have come out of another."""
    asked: int = 0
    """Tasks that are new."""
    passed_over: int = 0
    """Changes that no longer hold: what they rest on is another by now."""
    moved: int = 0
    """Records that have another person."""


@dataclass(slots=True)
class _Batch:
    """The persons that one transaction is about, as they are."""

    members: dict[PatientID, list[Member]] = field(default_factory=lambda: defaultdict(list))
    person: dict[int, PatientID] = field(default_factory=dict)
    changed_at: dict[int, datetime] = field(default_factory=dict)
    apart: set[frozenset[int]] = field(default_factory=set)
    same: set[frozenset[int]] = field(default_factory=set)
    matched: set[frozenset[int]] = field(default_factory=set)

    def join(self, one: PatientID, other: PatientID) -> None:
        """The two are judged as one person from now on."""
        for member in self.members.pop(other):
            self.members[one].append(member)
            self.person[member.record_id] = one


class PlanDoer:
    """Carries out a plan made at `planned`. What has changed since then is left to whoever changed it."""

    def __init__(
        self,
        engine: Engine,
        keys: KeyRing,
        audit: AuditLog,
        feed: PatientFeed,
        *,
        matcher: Matcher,
        strong_systems: frozenset[str],
        who: Who,
    ) -> None:
        self._engine = engine
        self._keys = keys
        self._audit = audit
        self._feed = feed
        self._matcher = matcher
        self._strong_systems = strong_systems
        self._who = who

    def apply(self, plan: RelinkPlan, planned: datetime, clock: Callable[[], datetime]) -> Iterator[Applied]:
        """The plan is carried out, splits first; after each transaction, what has been done so far.

        Stopped, what was done stays: a new plan has only what is left. Raises DependencyUnavailable, and
        AuditUnavailable where it can't be recorded (it holds all the same).
        """
        done = Applied()
        for kind in ("split", "merge", "review-merge"):
            changes = iter([change for change in plan.changes if change.kind == kind])
            while batch := list(islice(changes, CHANGES_A_TRANSACTION)):
                self._turn(batch, planned, clock(), done)
                yield done

    def _turn(self, changes: Sequence[Change], planned: datetime, now: datetime, done: Applied) -> None:
        with index_writing(self._engine) as connection:
            pairs = PairStore(connection)
            batch = self._read(connection, pairs, changes)
            holding = [change for change in changes if self._holds(change, batch, planned)]
            done.passed_over += len(changes) - len(holding)
            for change in holding:
                if change.kind == "split":
                    pairs.part(change.records[0], [change.records[1]])
            pairs.add_matches((self._matched(one) for one in holding if one.kind == "merge"), now)
            persons = {person for change in holding for person in change.persons if change.kind != "review-merge"}
            name = f"{self._who.subject_role} {self._who.subject_id}"
            linker = Linker(connection, self._keys, self._strong_systems, name)
            relinked = linker.link(persons, now) if persons else Relinked()
            questions = (_question(one, self._matcher.algorithm.label) for one in holding if one.kind != "merge")
            done.asked += open_tasks(connection, questions, now)
        done.moved += len(relinked.moves)
        done.merged += len(relinked.retired)
        done.split += len({move.person_id for move in relinked.moves if move.action == "unlink"})
        self._feed.alert(relinked.alerts, now)
        self._audit.record(list(self._records(relinked.moves, now)))

    def _read(self, connection: Connection, pairs: PairStore, changes: Sequence[Change]) -> _Batch:
        batch = _Batch()
        numbers = sorted({number for change in changes for number in change.records})
        owners: set[PatientID] = set()
        for part in in_parts(numbers):
            owners.update(PatientID(one.person_id) for one in connection.execute(_OWNERS, {"wanted": part}))
        for persons in in_parts(sorted(owners)):
            for number, person, source, sealed, changed in connection.execute(_MEMBERS, {"wanted": persons}):
                batch.members[PatientID(person)].append(Member(number, open_comparable(self._keys, source, sealed)))
                batch.person[number] = PatientID(person)
                batch.changed_at[number] = changed
        words = {"apart": batch.apart, "same": batch.same, "matched": batch.matched}
        for pair in pairs.find(sorted(batch.person)).values():
            words[pair.verdict].add(frozenset((pair.one, pair.other)))
        return batch

    def _holds(self, change: Change, batch: _Batch, planned: datetime) -> bool:
        # A split rests on the pair being linked by matching alone, a merge on all that the two persons' records say.
        pair, (one, other) = frozenset(change.records), change.records
        if not pair <= batch.person.keys() or any(batch.changed_at[number] > planned for number in pair):
            return False
        owner, stranger = batch.person[one], batch.person[other]
        if change.kind == "split":
            return owner == stranger and pair in batch.matched
        if owner == stranger or pair in batch.matched:
            return False
        some, others = batch.members[owner], batch.members[stranger]
        if change.kind == "review-merge":
            return not any(frozenset((a.record_id, b.record_id)) in batch.apart for a in some for b in others)
        if not are_one(some, others, self._matcher, batch.apart):
            return False
        batch.join(owner, stranger)
        return True

    def _matched(self, change: Change) -> Matched:
        one, other = change.records
        return Matched(one=one, other=other, score=change.bits, algorithm=self._matcher.algorithm.label)

    def _records(self, moves: Iterable[Move], now: datetime) -> Iterator[AuditRecord]:
        # One for each person that came to another, or out of it.
        ways: defaultdict[tuple[PatientID | None, PatientID, str], list[int]] = defaultdict(list)
        for move in moves:
            ways[move.previous, move.person_id, move.action].append(move.record_id)
        for (previous, person, action), numbers in ways.items():
            yield AuditRecord(
                id=str(uuid.uuid4()),
                recorded=now,
                kind="operator",
                outcome="success",
                reason=f"patients relink: {action}",
                who=self._who,
                patient=person,
                algorithm=self._matcher.algorithm.label,
                details=(("previous person", previous or ""), ("records", " ".join(map(str, sorted(numbers))))),
            )


def _question(change: Change, label: str) -> Question:
    return Question(
        one=change.records[0],
        other=change.records[1],
        kind="no-longer-alike" if change.kind == "split" else "possible-duplicate",
        score=change.bits,
        guards=change.why,
        algorithm=label,
    )
