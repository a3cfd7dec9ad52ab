"""Makes the links in the database those the rule demands, with their reasons and history."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, insert, select, update

from gateway.db.crypto import KeyRing
from gateway.db.prepared import Prepared, PreparedInsert
from gateway.db.session import in_parts
from gateway.model import Identifier, PatientID
from gateway.mpi.demographics import comparable, demographics_of, identifiers_of
from gateway.mpi.grouping import Candidate, Pair
from gateway.mpi.links import MOST_CARRIERS, Conflict, Move, Neighbourhood, Plan, Reason, plan_links
from gateway.mpi.normalise_identifier import is_placeholder
from gateway.mpi.pairs import PairStore
from gateway.mpi.persons import PersonStore
from gateway.mpi.sealed import identifier_key, open_patient
from gateway.mpi.store import new_person_id
from gateway.mpi.tables import conflict, link_event, person, record, record_identifier

_CARRIERS = Prepared(
    select(record_identifier.c.record_id)
    .where(record_identifier.c.identifier_key == bindparam("key"))
    .limit(MOST_CARRIERS + 2)
)
_ROWS = select(
    *(record.c.record_id, record.c.identifier_key, record.c.content),
    *(record.c.person_id, record.c.active, person.c.created_at),
).join(person, person.c.id == record.c.person_id)
_BY_RECORD = Prepared(_ROWS.where(record.c.record_id.in_(bindparam("wanted", expanding=True))))
_BY_PERSON = Prepared(_ROWS.where(record.c.person_id.in_(bindparam("wanted", expanding=True))))
_EVENTS = PreparedInsert(
    link_event,
    *("record_id", "person_id", "previous_person_id", "action", "reason", "algorithm", "score", "who", "at"),
)
_MOVE = update(record).where(record.c.record_id == bindparam("moved"))
_UPDATE_CONFLICT = update(conflict).where(conflict.c.identifier_key == bindparam("key"))
_CONFLICTS = Prepared(
    select(conflict.c.identifier_key, conflict.c.persons, conflict.c.closed_at).where(
        conflict.c.identifier_key.in_(bindparam("wanted", expanding=True))
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Relinked:
    """What linking changed."""

    moves: tuple[Move, ...] = ()
    retired: tuple[PatientID, ...] = ()
    alerts: tuple[Conflict, ...] = ()
    """Conflicts that are new, or have more persons in them than before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A record just added, with a person of its own that it will hardly need."""

    candidate: Candidate
    home: PatientID
    """Whose it was stored as: its own person's, or that of whom it is likely to be."""
    at: datetime

    @property
    def has_row(self) -> bool:
        """Whether its own person is stored."""
        return self.home == self.candidate.person_id


class Linker:
    """Linking, inside one transaction of `index_writing`."""

    def __init__(self, connection: Connection, keys: KeyRing, strong_systems: frozenset[str], who: str) -> None:
        self._connection = connection
        self._keys = keys
        self._strong_systems = strong_systems
        self._who = who
        self._pairs = PairStore(connection)
        self._persons = PersonStore(connection)

    def link(
        self,
        persons: Iterable[PatientID],
        now: datetime,
        *,
        keys: Iterable[bytes] = (),
        fresh: int | None = None,
        arrived: Arrived | None = None,
        leaving: Iterable[int] = (),
        survivor: PatientID | None = None,
    ) -> Relinked:
        """All records that may belong together with those of `persons` are linked as the rule demands.

        `keys` are of identifiers that one of their records has, or had until now; `fresh` is a record just added, and
        so is `arrived`;
        records that are `leaving` don't take their person's id with them; `survivor` keeps its id where persons become
        one.
        """
        around, looked_at = self._neighbourhood(persons, keys, fresh, arrived)
        plan = self._plan(replace(around, leaving=frozenset(leaving), survivor=survivor))
        self._persons.add(plan.new_persons, now)
        self._persons.revive(plan.revived)
        self._store_moves(plan.moves, arrived, now)
        fresh_persons = {one.person_id for one in around.candidates if one.fresh}
        retired = plan.retired
        if arrived is not None and not arrived.has_row:
            retired = {one: into for one, into in retired.items() if one != arrived.candidate.person_id}
        self._persons.retire(retired, now, unseen=fresh_persons)
        alerts = self._store_conflicts(plan, looked_at, now)
        return Relinked(moves=plan.moves, retired=tuple(plan.retired), alerts=alerts)

    def add_alone(self, arrived: Arrived, now: datetime) -> Relinked:
        """The record, which shares no strong identifier with any other and is matched to none, is its own person."""
        one = arrived.candidate
        move = Move(
            record_id=one.record_id,
            person_id=one.person_id,
            previous=None,
            action="new-person",
            reason=Reason(rule="alone"),
        )
        self._note([move], now)
        return Relinked(moves=(move,))

    def find_live_persons(self, after: str, most: int) -> Sequence[PatientID]:
        """Up to `most` persons who are not retired, in id order, from the first one after `after`."""
        statement = select(person.c.id).where(person.c.retired_at.is_(None), person.c.id > after)
        found = self._connection.execute(statement.order_by(person.c.id).limit(most)).scalars()
        return [PatientID(one) for one in found]

    def strong_keys(self, identifiers: Iterable[Identifier]) -> dict[bytes, str]:
        """Those of `identifiers` that name one person: keyed hash → system."""
        return {
            identifier_key(self._keys, identifier): identifier.system
            for identifier in identifiers
            if identifier.system in self._strong_systems and not is_placeholder(identifier.system, identifier.value)
        }

    def _neighbourhood(
        self, persons: Iterable[PatientID], keys: Iterable[bytes], fresh: int | None, arrived: Arrived | None
    ) -> tuple[Neighbourhood, frozenset[bytes]]:
        # Grows until it is closed: every record of each person in it, every carrier of each strong identifier in it,
        # every record that something is said about together with one in it.
        found: dict[int, Candidate] = {}
        pairs: dict[tuple[int, int], Pair] = {}
        born: dict[PatientID, datetime] = {}
        overused: set[bytes] = set()
        new_keys, seen_keys = set(keys), set[bytes]()
        new_persons, seen_persons = set(persons), set[PatientID]()
        paired = set[int]()
        come: list[Candidate] = []
        if arrived is not None:
            come.append(arrived.candidate)
            found[arrived.candidate.record_id] = arrived.candidate
            born[arrived.candidate.person_id] = arrived.at
            seen_persons.add(arrived.candidate.person_id)
        while new_keys or new_persons or paired:
            rows = list(self._rows(_BY_PERSON, sorted(new_persons)))
            carriers = (self._carriers(new_keys, overused) | paired) - found.keys() - {row[0] for row in rows}
            rows += self._rows(_BY_RECORD, sorted(carriers))
            seen_keys |= new_keys
            seen_persons |= new_persons
            come += [self._candidate(row, fresh) for row in rows if row[0] not in found]
            found.update((one.record_id, one) for one in come)
            born.update((PatientID(row[3]), row[5]) for row in rows)
            pairs.update(self._pairs.find([one.record_id for one in come if one.active]))
            come = []
            paired = {record_id for pair in pairs for record_id in pair} - found.keys()
            new_persons = {one.person_id for one in found.values()} - seen_persons
            new_keys = {key for one in found.values() if one.active for key in one.strong} - seen_keys
        around = Neighbourhood(
            candidates=tuple(found[record_id] for record_id in sorted(found)),
            born=born,
            overused={key: one.strong[key] for one in found.values() for key in one.strong if key in overused},
            pairs=tuple(pairs.values()),
        )
        return around, frozenset(seen_keys - overused)

    def _plan(self, around: Neighbourhood) -> Plan:
        plan = plan_links(around, new_person_id)
        if not plan.new_persons and (not plan.moves or (len(plan.moves) == 1 and _is_simple(around))):
            return plan
        former = self._persons.find_former([one.record_id for one in around.candidates], around.born)
        return plan_links(replace(around, former=former), new_person_id) if former else plan

    def _carriers(self, keys: Iterable[bytes], overused: set[bytes]) -> set[int]:
        records: set[int] = set()
        for key in sorted(keys):
            carriers = _CARRIERS.all(self._connection, key=key)
            if len(carriers) > MOST_CARRIERS:
                overused.add(key)
            # The first carrier too many takes the identifier's word away: all of them are judged again without it.
            # After that there is nothing to judge, and there may be very many of them.
            if len(carriers) <= MOST_CARRIERS + 1:
                records.update(record_id for (record_id,) in carriers)
        return records

    def _rows(self, statement: Prepared, wanted: Sequence[int | str]) -> Iterator[tuple[Any, ...]]:
        for part in in_parts(wanted):
            yield from statement.all(self._connection, wanted=part)

    def _candidate(self, row: tuple[Any, ...], fresh: int | None) -> Candidate:
        record_id, source, sealed, person_id, active, _ = row
        patient = open_patient(self._keys, source, sealed)
        return Candidate(
            record_id=record_id,
            person_id=PatientID(person_id),
            active=active,
            strong=self.strong_keys(identifiers_of(patient)),
            names=comparable(demographics_of(patient)),
            fresh=record_id == fresh,
        )

    def _store_moves(self, moves: Sequence[Move], arrived: Arrived | None, now: datetime) -> None:
        own = arrived.candidate.person_id if arrived is not None and not arrived.has_row else None
        if any(move.person_id == own for move in moves):
            self._persons.add([PatientID(str(own))], now)
        changed = [
            {"moved": move.record_id, "person_id": move.person_id, "linked_at": now}
            for move in moves
            if (
                move.person_id != arrived.home
                if arrived is not None and move.record_id == arrived.candidate.record_id
                else move.action != "new-person"
            )
        ]
        if changed:
            self._connection.execute(_MOVE, changed)
        self._note(moves, now)

    def _note(self, moves: Iterable[Move], now: datetime) -> None:
        rows = [
            (
                *(move.record_id, move.person_id, move.previous, move.action),
                *(orjson.dumps(move.reason).decode(), move.algorithm, move.score, self._who, now),
            )
            for move in moves
        ]
        _EVENTS.run(self._connection, rows)

    def _store_conflicts(self, plan: Plan, judged: frozenset[bytes], now: datetime) -> tuple[Conflict, ...]:
        wanted = sorted(judged | plan.conflicts.keys())
        known: dict[bytes, tuple[int, datetime | None]] = {}
        for part in in_parts(wanted):
            for key, persons, closed_at in _CONFLICTS.all(self._connection, wanted=part):
                known[bytes(key)] = (persons, closed_at)
        alerts = []
        for key, found in plan.conflicts.items():
            persons, closed_at = known.get(key, (0, None))
            if found.persons > persons or closed_at is not None:
                alerts.append(found)
            if key not in known:
                self._open_conflict(key, found, now)
            elif (found.persons, None) != known[key]:
                self._update_conflict(key, persons=found.persons, reason=found.reason, closed_at=None)
        for key, (_, closed_at) in known.items():
            if key not in plan.conflicts and closed_at is None:
                self._update_conflict(key, closed_at=now)
        return tuple(alerts)

    def _open_conflict(self, key: bytes, found: Conflict, now: datetime) -> None:
        values = {"identifier_key": key, "system": found.system, "reason": found.reason, "persons": found.persons}
        self._connection.execute(insert(conflict), {**values, "noticed_at": now})

    def _update_conflict(self, key: bytes, **values: object) -> None:
        self._connection.execute(_UPDATE_CONFLICT, {"key": key, **values})


def _is_simple(around: Neighbourhood) -> bool:
    # One person and a record just added: whatever that person was made of before, it stays the one it is.
    return len({one.person_id for one in around.candidates if not one.fresh}) <= 1
