"""What a steward decides of who is who: merge, unmerge, split, reassign, answer a review task, undo.

A decision is remembered as what it says of pairs of records, one person's or two persons', and the links follow from
that by the same rule as always (`grouping`). So it holds against whatever matching finds later, it is taken back by
saying nothing any more, and the order of decisions and records doesn't matter but for two that speak of one pair: there
the latest counts.
"""

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise, product
from typing import Literal

from sqlalchemy import Connection, Engine, Select, func, insert, select, update

from gateway.audit.record import AuditRecord, Who
from gateway.audit.within import AuditWithin
from gateway.db.crypto import KeyRing
from gateway.db.session import in_parts
from gateway.errors import LoadRefused
from gateway.model import PatientID
from gateway.mpi.linker import Linker
from gateway.mpi.links import ALGORITHM
from gateway.mpi.pairs import PairStore
from gateway.mpi.store import index_writing
from gateway.mpi.tables import decision, link_event, person, record, review_task, verdict

Kind = Literal["merge", "unmerge", "split", "reassign", "review"]
_MOST_PAIRS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What a decision has brought about."""

    decision: int
    """Its number, by which it can be undone."""
    persons: tuple[PatientID, ...]
    """The persons that the records it is about belong to now."""
    moved: int
    """How many records have another person now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """What a decision says."""

    same: Sequence[tuple[int, int]] = ()
    apart: Sequence[tuple[int, int]] = ()
    leaving: Sequence[int] = ()
    survivor: PatientID | None = None
    task: int | None = None


class Stewardship:
    """Decisions about persons. Each is stored together with what the audit says of it, or isn't made.

    Each method raises LoadRefused where it can't be carried out, DependencyUnavailable and AuditUnavailable."""

    def __init__(
        self, engine: Engine, keys: KeyRing, audit: AuditWithin, *, strong_systems: frozenset[str], who: Who
    ) -> None:
        self._engine = engine
        self._keys = keys
        self._audit = audit
        self._strong_systems = strong_systems
        self._who = who
        self._name = f"{who.subject_role} {who.subject_id}"

    def merge(self, retired: PatientID, survivor: PatientID, note: str, now: datetime) -> Decided:
        """Two persons are one: `survivor`, and `retired` leads to it. Consents of both apply."""

        def words(connection: Connection) -> _Words:
            if retired == survivor:
                raise LoadRefused(["a person can't be merged with itself"])
            return _Words(same=_across(_live(connection, retired), _live(connection, survivor)), survivor=survivor)

        return self._decide("merge", words, note, now)

    def unmerge(self, former: PatientID, note: str, now: datetime) -> Decided:
        """A person that became part of another is a person of its own again, with the records it brought.

        Records that have come since stay where what they say puts them.
        """

        def words(connection: Connection) -> _Words:
            brought, others = _parts_of_merge(connection, former)
            return _Words(apart=_across(brought, others))

        return self._decide("unmerge", words, note, now)

    def split(self, person_id: PatientID, records: Sequence[int], note: str, now: datetime) -> Decided:
        """`records` are another person, all of them one; the person keeps the id with those that stay."""

        def words(connection: Connection) -> _Words:
            chosen, others = _chosen(_live(connection, person_id), records)
            if not others:
                raise LoadRefused(["all active records were named: nothing would be left to part from"])
            return _Words(same=_chain(chosen), apart=_across(chosen, others), leaving=chosen)

        return self._decide("split", words, note, now)

    def reassign(self, record_id: int, to: PatientID, note: str, now: datetime) -> Decided:
        """The record is `to`'s, and not its present person's."""

        def words(connection: Connection) -> _Words:
            present = connection.execute(select(record.c.person_id).where(record.c.record_id == record_id)).scalar()
            if present is None:
                raise LoadRefused([f"there is no record {record_id}"])
            if present == to:
                raise LoadRefused([f"record {record_id} is theirs already"])
            chosen, others = _chosen(_live(connection, PatientID(present)), [record_id])
            apart = _across(chosen, others) if others else ()
            return _Words(same=_across(chosen, _live(connection, to)), apart=apart, leaving=chosen, survivor=to)

        return self._decide("reassign", words, note, now)

    def answer(self, task: int, note: str, now: datetime, *, same: bool) -> Decided:
        """The two persons that a review task asks about are one, or are two whatever matching finds."""

        def words(connection: Connection) -> _Words:
            one, other = _asked_about(connection, task)
            pairs = _across(_live(connection, one), _live(connection, other))
            return _Words(same=pairs, task=task) if same else _Words(apart=pairs, task=task)

        return self._decide("review", words, note, now)

    def undo(self, decision_id: int, note: str, now: datetime) -> Decided:
        """The decision says nothing any more, and a review task that it answered is open again."""
        with index_writing(self._engine) as connection:
            undone = (
                update(decision)
                .where(decision.c.id == decision_id, decision.c.undone_at.is_(None))
                .values(undone_at=now, undone_by=self._name)
            )
            if connection.execute(undone).rowcount != 1:
                raise LoadRefused([f"there is no decision {decision_id} that stands"])
            pairs = connection.execute(
                select(verdict.c.record_id, verdict.c.other_id).where(verdict.c.decision_id == decision_id)
            )
            decided = self._link(connection, decision_id, {one for pair in pairs for one in pair}, _Words(), now)
            self._record(connection, "undo", note, decided, now)
        return decided

    def _decide(self, kind: Kind, words_of: Callable[[Connection], _Words], note: str, now: datetime) -> Decided:
        with index_writing(self._engine) as connection:
            words = words_of(connection)
            decision_id = self._add(connection, kind, note, now)
            pairs = PairStore(connection)
            pairs.add_verdicts(decision_id, words.same, same=True)
            pairs.add_verdicts(decision_id, words.apart, same=False)
            if words.task is not None:
                answered = update(review_task).where(review_task.c.id == words.task)
                connection.execute(answered.values(decision_id=decision_id))
            records = {one for pair in (*words.same, *words.apart) for one in pair}
            decided = self._link(connection, decision_id, records, words, now)
            self._record(connection, kind, note, decided, now)
        return decided

    def _add(self, connection: Connection, kind: Kind, note: str, now: datetime) -> int:
        values = {"kind": kind, "who": self._name, "at": now}
        decision_id: int = connection.execute(insert(decision).returning(decision.c.id), values).scalar_one()
        if note:
            sealed = self._keys.seal(decision.name, str(decision_id), note.encode())
            connection.execute(update(decision).where(decision.c.id == decision_id).values(note=sealed))
        return decision_id

    def _link(
        self,
        connection: Connection,
        decision_id: int,
        records: Iterable[int],
        words: _Words,
        now: datetime,
    ) -> Decided:
        about = sorted(records)
        linker = Linker(connection, self._keys, self._strong_systems, self._name)
        before = _persons_of(connection, about)
        relinked = linker.link(before, now, leaving=words.leaving, survivor=words.survivor)
        persons = _persons_of(connection, about)
        return Decided(decision=decision_id, persons=tuple(sorted(persons)), moved=len(relinked.moves))

    def _record(self, connection: Connection, kind: str, note: str, decided: Decided, now: datetime) -> None:
        details = [("decision", str(decided.decision)), ("records moved", str(decided.moved))]
        if note:
            details.append(("note", note))
        self._audit.record_within(
            connection,
            [
                AuditRecord(
                    id=str(uuid.uuid4()),
                    recorded=now,
                    kind="operator",
                    outcome="success",
                    reason=f"patients {kind}",
                    who=self._who,
                    patient=patient,
                    algorithm=ALGORITHM,
                    details=tuple(details),
                )
                for patient in decided.persons
            ],
        )


def _across(some: Sequence[int], others: Sequence[int]) -> list[tuple[int, int]]:
    if len(some) * len(others) > _MOST_PAIRS:
        raise LoadRefused([f"{len(some)} and {len(others)} records are too many for one decision"])
    return list(product(some, others))


def _chain(records: Sequence[int]) -> list[tuple[int, int]]:
    return list(pairwise(records))


def _live(connection: Connection, person_id: PatientID) -> list[int]:
    found = select(record.c.record_id).where(record.c.person_id == person_id, record.c.active)
    records = connection.execute(found.order_by(record.c.record_id)).scalars().all()
    if not records:
        raise LoadRefused([f"Patient/{person_id} is nobody who has an active record"])
    return list(records)


def _chosen(present: Sequence[int], records: Sequence[int]) -> tuple[list[int], list[int]]:
    strangers = sorted(set(records) - set(present))
    if strangers or not records:
        named = ", ".join(map(str, strangers)) or "none"
        raise LoadRefused([f"expected active records of the person, not {named}"])
    return sorted(set(records)), [one for one in present if one not in records]


def _persons_of(connection: Connection, records: Sequence[int]) -> set[PatientID]:
    found: set[PatientID] = set()
    for part in in_parts(records):
        rows = connection.execute(select(record.c.person_id).distinct().where(record.c.record_id.in_(part)))
        found.update(PatientID(one) for one in rows.scalars())
    return found


def _parts_of_merge(connection: Connection, former: PatientID) -> tuple[list[int], list[int]]:
    survivor = connection.execute(select(person.c.survivor_id).where(person.c.id == former)).scalar()
    if survivor is None:
        raise LoadRefused([f"Patient/{former} is not part of another person"])
    left = select(link_event.c.record_id, func.max(link_event.c.id)).where(link_event.c.previous_person_id == former)
    merged_by = _numbers(connection, left.group_by(link_event.c.record_id))
    present = _live(connection, PatientID(survivor))
    brought = [one for one in present if one in merged_by]
    if not brought:
        raise LoadRefused([f"no record that Patient/{former} brought is still with Patient/{survivor}"])
    at = min(merged_by[one] for one in brought)
    first = select(link_event.c.record_id, func.min(link_event.c.id)).where(link_event.c.record_id.in_(present))
    came = _numbers(connection, first.group_by(link_event.c.record_id))
    others = [one for one in present if one not in merged_by and came[one] < at]
    if not others:
        raise LoadRefused([f"Patient/{survivor} has no record but those that Patient/{former} brought"])
    return brought, others


def _numbers(connection: Connection, statement: Select[int, int]) -> dict[int, int]:
    return dict(iter(connection.execute(statement)))


def _asked_about(connection: Connection, task: int) -> tuple[PatientID, PatientID]:
    one, other = record.alias(), record.alias()
    asked = (
        select(one.c.person_id, other.c.person_id)
        .select_from(review_task)
        .join(one, one.c.record_id == review_task.c.record_id)
        .join(other, other.c.record_id == review_task.c.other_id)
        .outerjoin(decision, decision.c.id == review_task.c.decision_id)
        .where(review_task.c.id == task, (decision.c.id.is_(None)) | (decision.c.undone_at.is_not(None)))
    )
    row = connection.execute(asked).one_or_none()
    if row is None:
        raise LoadRefused([f"there is no open review task {task}"])
    if row[0] == row[1]:
        raise LoadRefused(["the two are one person by now: split them if they shouldn't be"])
    return PatientID(row[0]), PatientID(row[1])
