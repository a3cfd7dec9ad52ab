"""A person as an operator sees them: every record, active or not, why it is linked, and how that came about."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, func, or_, select

from gateway.db.crypto import KeyRing
from gateway.db.session import reading
from gateway.errors import LoadRefused
from gateway.model import Demographics, Identifier, PatientID, PatientRef
from gateway.mpi.demographics import demographics_of
from gateway.mpi.sealed import identifier_key, open_patient, source_identifier
from gateway.mpi.tables import conflict, decision, link_event, person, record, record_identifier, verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkEvent:
    """One record's change of person."""

    record_id: int
    action: str
    person_id: PatientID
    previous: PatientID | None
    reason: dict[str, Any]
    """`rule`, and where they matter `system` and `records`."""
    algorithm: str
    score: float | None
    """The match weight in bits, where matching linked it."""
    who: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PastDecision:
    """What a steward decided about one of the person's records; undone decisions say nothing any more."""

    number: int
    kind: str
    who: str
    at: datetime
    undone_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedRecord:
    """A source record of the person, with the event that put it there."""

    record_id: int
    identifier: Identifier
    demographics: Demographics
    active: bool
    linked_at: datetime
    updated_at: datetime
    why: LinkEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenConflict:
    """A strong identifier on one of the person's records that other persons carry too."""

    system: str
    reason: str
    persons: int
    noticed_at: datetime
    records: tuple[int, ...]
    """Those that carry it, whose person is another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonHistory:
    """Who the person is, and how they came to be."""

    id: PatientID
    created_at: datetime
    former_ids: tuple[PatientID, ...]
    """Ids of persons that have become this one; they still resolve."""
    records: tuple[LinkedRecord, ...]
    events: tuple[LinkEvent, ...]
    """Of the person's records and of records that have left, in the order they happened."""
    conflicts: tuple[OpenConflict, ...]
    decisions: tuple[PastDecision, ...]
    """In the order they were made."""


def find_history(engine: Engine, keys: KeyRing, ref: PatientRef) -> PersonHistory | None:
    """The person meant, whether retired id, inactive record or any identifier; None where there is nobody.

    Raises LoadRefused where an identifier is carried by several persons, naming their ids; DependencyUnavailable.
    """
    with reading(engine) as connection:
        found = _persons(connection, keys, ref)
        if len(found) > 1:
            raise LoadRefused([f"that identifier is carried by {len(found)} persons: {', '.join(sorted(found))}"])
        return _history(connection, keys, found[0]) if found else None


def _persons(connection: Connection, keys: KeyRing, ref: PatientRef) -> Sequence[str]:
    if ref.identifier is None:
        living = select(func.coalesce(person.c.survivor_id, person.c.id)).where(person.c.id == (ref.id or ""))
    else:
        living = (
            select(record.c.person_id)
            .distinct()
            .join(record_identifier, record_identifier.c.record_id == record.c.record_id)
            .where(record_identifier.c.identifier_key == identifier_key(keys, ref.identifier))
        )
    return connection.execute(living).scalars().all()


def _history(connection: Connection, keys: KeyRing, person_id: str) -> PersonHistory:
    created_at = connection.execute(select(person.c.created_at).where(person.c.id == person_id)).scalar_one()
    former = connection.execute(select(person.c.id).where(person.c.survivor_id == person_id).order_by(person.c.id))
    rows = connection.execute(select(record).where(record.c.person_id == person_id).order_by(record.c.record_id)).all()
    events = _events(connection, person_id)
    why = {event.record_id: event for event in events if event.person_id == person_id}
    records = []
    for row in rows:
        patient = open_patient(keys, row.identifier_key, row.content)
        records.append(
            LinkedRecord(
                record_id=row.record_id,
                identifier=source_identifier(patient, row.system),
                demographics=demographics_of(patient),
                active=row.active,
                linked_at=row.linked_at,
                updated_at=row.updated_at,
                why=why[row.record_id],
            )
        )
    return PersonHistory(
        id=PatientID(person_id),
        created_at=created_at,
        former_ids=tuple(PatientID(one) for one in former.scalars()),
        records=tuple(records),
        events=tuple(events),
        conflicts=tuple(_conflicts(connection, person_id, [one.record_id for one in records])),
        decisions=tuple(_decisions(connection, [one.record_id for one in records])),
    )


def _events(connection: Connection, person_id: str) -> list[LinkEvent]:
    # What happened to a record before it came here belongs to the story too.
    ever_here = select(link_event.c.record_id).where(
        or_(link_event.c.person_id == person_id, link_event.c.previous_person_id == person_id)
    )
    rows = connection.execute(select(link_event).where(link_event.c.record_id.in_(ever_here)).order_by(link_event.c.id))
    return [
        LinkEvent(
            record_id=row.record_id,
            action=row.action,
            person_id=PatientID(row.person_id),
            previous=None if row.previous_person_id is None else PatientID(row.previous_person_id),
            reason=orjson.loads(row.reason),
            algorithm=row.algorithm,
            score=row.score,
            who=row.who,
            at=row.at,
        )
        for row in rows
    ]


def _decisions(connection: Connection, records: Sequence[int]) -> Iterable[PastDecision]:
    about = or_(verdict.c.record_id.in_(records), verdict.c.other_id.in_(records))
    found = select(decision).where(decision.c.id.in_(select(verdict.c.decision_id).where(about)))
    for row in connection.execute(found.order_by(decision.c.id)):
        yield PastDecision(number=row.id, kind=row.kind, who=row.who, at=row.at, undone_at=row.undone_at)


def _conflicts(connection: Connection, person_id: str, records: Sequence[int]) -> Iterable[OpenConflict]:
    own = select(record_identifier.c.identifier_key).where(record_identifier.c.record_id.in_(records))
    standing = select(conflict).where(conflict.c.closed_at.is_(None), conflict.c.identifier_key.in_(own))
    for row in connection.execute(standing.order_by(conflict.c.id)).all():
        others = connection.execute(
            select(record.c.record_id)
            .join(record_identifier, record_identifier.c.record_id == record.c.record_id)
            .where(record_identifier.c.identifier_key == row.identifier_key, record.c.person_id != person_id)
            .order_by(record.c.record_id)
            .limit(20)
        )
        yield OpenConflict(
            system=row.system,
            reason=row.reason,
            persons=row.persons,
            noticed_at=row.noticed_at,
            records=tuple(others.scalars()),
        )
