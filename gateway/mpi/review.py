"""What a steward is asked: pairs of records that may be one person's, with both sides of the question."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Engine, Row, Select, bindparam, func, or_, select

from gateway.db.crypto import KeyRing
from gateway.db.prepared import Prepared, PreparedInsert
from gateway.db.session import reading
from gateway.model import Identifier, PatientID
from gateway.mpi.sealed import open_patient, source_identifier
from gateway.mpi.tables import decision, record, review_task

TaskKind = Literal["possible-match", "possible-duplicate", "no-longer-alike"]
"""A record that may be a person's; two persons that may be one; a record that matching had linked and now would not."""

_one, _other = record.alias("one"), record.alias("other")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Two records of which a steward should say whether they are one person's."""

    one: int
    other: int
    kind: TaskKind
    score: float
    guards: tuple[str, ...]
    algorithm: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewTask:
    """An open question, with the persons that the two records belong to today."""

    number: int
    kind: str
    score: float
    """The match weight in bits."""
    guards: tuple[str, ...]
    """Why matching didn't link them by itself."""
    algorithm: str
    opened_at: datetime
    records: tuple[int, int]
    persons: tuple[PatientID, PatientID]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two records, as its domain sent it."""

    record_id: int
    person: PatientID
    identifier: Identifier
    patient: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The open tasks of one kind."""

    kind: str
    tasks: int
    since: datetime
    """When the oldest of them was opened."""


def _open_tasks() -> Select[Any]:
    # A task whose records have become one person's otherwise has nothing left to ask.
    return (
        select(review_task, _one.c.person_id.label("one_person"), _other.c.person_id.label("other_person"))
        .join(_one, _one.c.record_id == review_task.c.record_id)
        .join(_other, _other.c.record_id == review_task.c.other_id)
        .outerjoin(decision, decision.c.id == review_task.c.decision_id)
        .where(
            or_(review_task.c.decision_id.is_(None), decision.c.undone_at.is_not(None)),
            _one.c.person_id != _other.c.person_id,
            _one.c.active,
            _other.c.active,
        )
    )


_BETWEEN = Prepared(
    _open_tasks().where(
        or_(
            (_one.c.person_id == bindparam("this")) & (_other.c.person_id == bindparam("that")),
            (_one.c.person_id == bindparam("that")) & (_other.c.person_id == bindparam("this")),
        )
    )
)


class ReviewQueue:
    """The open questions, as a steward sees them. Every method raises DependencyUnavailable."""

    def __init__(self, engine: Engine, keys: KeyRing) -> None:
        self._engine = engine
        self._keys = keys

    def list(self, after: int = 0, most: int = 50) -> Sequence[ReviewTask]:
        """Up to `most` open tasks, the oldest first, from the one after number `after`."""
        page = _open_tasks().where(review_task.c.id > after).order_by(review_task.c.id).limit(most)
        with reading(self._engine) as connection:
            return [_task(row) for row in connection.execute(page)]

    def count(self) -> int:
        """How many tasks are open."""
        with reading(self._engine) as connection:
            counted = select(func.count()).select_from(_open_tasks().subquery())
            return connection.execute(counted).scalar_one()

    def waiting(self) -> Sequence[Waiting]:
        """How many tasks are open, and since when the oldest is, for each kind that has any."""
        open_ = _open_tasks().subquery()
        counted = select(open_.c.kind, func.count(), func.min(open_.c.opened_at)).group_by(open_.c.kind)
        with reading(self._engine) as connection:
            rows = connection.execute(counted.order_by(open_.c.kind)).all()
        return [Waiting(kind=kind, tasks=tasks, since=since) for kind, tasks, since in rows]

    def find(self, number: int) -> tuple[ReviewTask, tuple[Side, Side]] | None:
        """The open task with its two records side by side; None where there is no open task of that number."""
        with reading(self._engine) as connection:
            row = connection.execute(_open_tasks().where(review_task.c.id == number)).one_or_none()
            if row is None:
                return None
            task = _task(row)
            return task, (self._side(connection, task.records[0]), self._side(connection, task.records[1]))

    def _side(self, connection: Connection, record_id: int) -> Side:
        row = connection.execute(select(record).where(record.c.record_id == record_id)).one()
        patient = open_patient(self._keys, row.identifier_key, row.content)
        return Side(
            record_id=record_id,
            person=PatientID(row.person_id),
            identifier=source_identifier(patient, row.system),
            patient=patient,
        )


def open_tasks(connection: Connection, questions: Iterable[Question], now: datetime) -> int:
    """Each question is put, unless the same two persons are asked about already; how many are new."""
    opened = 0
    for question in questions:
        persons = dict(_PERSONS.all(connection, wanted=[question.one, question.other]))
        this, that = persons[question.one], persons[question.other]
        if this == that or _BETWEEN.first(connection, this=this, that=that) is not None:
            continue
        pair = (min(question.one, question.other), max(question.one, question.other))
        told = (question.kind, question.score, " ".join(question.guards), question.algorithm)
        _ADD.run(connection, [(*pair, *told, now)])
        opened += 1
    return opened


_PERSONS = Prepared(
    select(record.c.record_id, record.c.person_id).where(record.c.record_id.in_(bindparam("wanted", expanding=True)))
)
_ADD = PreparedInsert(review_task, *("record_id", "other_id", "kind", "score", "guards", "algorithm", "opened_at"))


def _task(row: Row[Any]) -> ReviewTask:
    return ReviewTask(
        number=row.id,
        kind=row.kind,
        score=row.score,
        guards=tuple(row.guards.split()),
        algorithm=row.algorithm,
        opened_at=row.opened_at,
        records=(row.record_id, row.other_id),
        persons=(PatientID(row.one_person), PatientID(row.other_person)),
    )
