"""When were records taken for one person's that are two persons'? From the history of links, which is never changed."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, or_, select

from gateway.db.session import in_parts, reading
from gateway.errors import LoadRefused
from gateway.model import PatientID
from gateway.mpi.tables import decision, link_event, record, verdict

_RECORD = "record:"


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseLink:
    """For a while, records that are two persons' by now were one's."""

    person: PatientID
    """Whose they were, both: what was asked and answered then was recorded under this id."""
    since: datetime
    until: datetime
    records: tuple[int, int]
    persons: tuple[PatientID, PatientID]
    """Whose they are now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """For a while, some of a person's records were taken for another's."""

    person: PatientID
    """Whose: what was answered then was recorded under this id."""
    since: datetime
    until: datetime
    systems: frozenset[str]
    """The domains of those records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """For a while, records that are another's by now were taken for a person's."""

    person: PatientID
    """Under which id of theirs what was answered then was recorded."""
    since: datetime
    until: datetime
    systems: frozenset[str]
    """The domains of those records."""
    own: frozenset[str]
    """The domains of the records that were there meanwhile and are still the person's."""


@dataclass(frozen=True, slots=True)
class _Stay:
    person: str
    since: datetime
    until: datetime | None


def find_false_links(engine: Engine, link: str) -> Sequence[FalseLink]:
    """The false links that `link` undid or that a record was ever part of, in order of time.

    `link` is the number of a steward's decision (an unmerge, a split, a reassignment, an answer to a review, or one
    that was undone), or `record:` and the number of a record. Raises LoadRefused where there is no such thing,
    DependencyUnavailable.
    """
    with reading(engine) as connection:
        pairs = _pairs_of_record(connection, link) if link.startswith(_RECORD) else _pairs(connection, link)
        numbers = sorted({number for pair in pairs for number in pair})
        stays = _stays(connection, numbers)
        now = _persons(connection, numbers)
    found = [
        FalseLink(person=PatientID(person), since=since, until=until, records=(a, b), persons=(now[a], now[b]))
        for a, b in pairs
        if now[a] != now[b]
        for person, since, until in _together(stays[a], stays[b])
    ]
    return sorted(found, key=lambda one: (one.since, one.records))


def find_stays_elsewhere(engine: Engine, ids: Collection[PatientID]) -> Sequence[Elsewhere]:
    """When and where the records of the one person known by `ids` were with somebody else, in order of time.

    Raises DependencyUnavailable.
    """
    with reading(engine) as connection:
        wanted = select(record.c.record_id, record.c.system).where(record.c.person_id.in_(sorted(ids)))
        systems = {row.record_id: row.system for row in connection.execute(wanted)}
        stays = _stays(connection, sorted(systems))
    found: defaultdict[tuple[datetime, datetime, str], set[str]] = defaultdict(set)
    for number, its in stays.items():
        for one in its:
            if one.person not in ids and one.until is not None:
                found[one.since, one.until, one.person].add(systems[number])
    return [
        Elsewhere(person=PatientID(person), since=since, until=until, systems=frozenset(domains))
        for (since, until, person), domains in sorted(found.items())
    ]


def find_shared(engine: Engine, ids: Collection[PatientID]) -> Sequence[Shared]:
    """When records that are somebody else's were with the one person known by `ids`, in order of time.

    Raises DependencyUnavailable.
    """
    with reading(engine) as connection:
        ever = select(link_event.c.record_id).where(link_event.c.person_id.in_(sorted(ids)))
        wanted = select(record.c.record_id, record.c.system, record.c.person_id).where(record.c.record_id.in_(ever))
        rows = connection.execute(wanted).all()
        stays = _stays(connection, sorted(row.record_id for row in rows))
    systems = {row.record_id: row.system for row in rows}
    own = [(systems[row.record_id], one) for row in rows if row.person_id in ids for one in stays[row.record_id]]
    found: defaultdict[tuple[datetime, datetime, str], set[str]] = defaultdict(set)
    for row in rows:
        for one in stays[row.record_id] if row.person_id not in ids else ():
            if one.person in ids and one.until is not None:
                found[one.since, one.until, one.person].add(row.system)
    return [
        Shared(
            person=PatientID(person),
            since=since,
            until=until,
            systems=frozenset(domains),
            own=frozenset(
                system
                for system, one in own
                if one.person == person and one.since < until and (one.until is None or since < one.until)
            ),
        )
        for (since, until, person), domains in sorted(found.items())
    ]


def _pairs(connection: Connection, link: str) -> list[tuple[int, int]]:
    if not link.isdecimal() or len(link) > 18:
        raise LoadRefused(["expected the number of a decision, or record: and the number of a record"])
    wanted = select(verdict.c.record_id, verdict.c.other_id).where(verdict.c.decision_id == int(link))
    pairs = [(one, other) for one, other in connection.execute(wanted)]
    if not pairs and connection.execute(select(decision.c.id).where(decision.c.id == int(link))).scalar() is None:
        raise LoadRefused([f"there is no decision {link}"])
    return pairs


def _pairs_of_record(connection: Connection, link: str) -> list[tuple[int, int]]:
    number = link.removeprefix(_RECORD)
    if not number.isdecimal() or len(number) > 18:
        raise LoadRefused(["expected record: and the number of a record"])
    mine = int(number)
    if connection.execute(select(record.c.record_id).where(record.c.record_id == mine)).scalar() is None:
        raise LoadRefused([f"there is no record {mine}"])
    ever = connection.execute(
        select(link_event.c.person_id, link_event.c.previous_person_id).where(link_event.c.record_id == mine)
    )
    persons = sorted({person for row in ever for person in row if person is not None})
    others: set[int] = set()
    for part in in_parts(persons):
        there = or_(link_event.c.person_id.in_(part), link_event.c.previous_person_id.in_(part))
        others.update(connection.execute(select(link_event.c.record_id).distinct().where(there)).scalars())
    return [(mine, other) for other in sorted(others - {mine})]


def _stays(connection: Connection, numbers: Sequence[int]) -> Mapping[int, list[_Stay]]:
    """With whom each record was, and from when to when."""
    moves: defaultdict[int, list[tuple[str, datetime]]] = defaultdict(list)
    for part in in_parts(numbers):
        wanted = select(link_event.c.record_id, link_event.c.person_id, link_event.c.at).order_by(link_event.c.id)
        for number, person, at in connection.execute(wanted.where(link_event.c.record_id.in_(part))):
            moves[number].append((person, at))
    return {
        number: [_Stay(person, at, its[n + 1][1] if n + 1 < len(its) else None) for n, (person, at) in enumerate(its)]
        for number, its in moves.items()
    }


def _persons(connection: Connection, numbers: Collection[int]) -> Mapping[int, PatientID]:
    found: dict[int, PatientID] = {}
    for part in in_parts(sorted(numbers)):
        rows = connection.execute(select(record.c.record_id, record.c.person_id).where(record.c.record_id.in_(part)))
        found |= {number: PatientID(person) for number, person in rows}
    return found


def _together(some: Sequence[_Stay], others: Sequence[_Stay]) -> Iterator[tuple[str, datetime, datetime]]:
    for one in some:
        for other in others:
            ends = [until for until in (one.until, other.until) if until is not None]
            since = max(one.since, other.since)
            if one.person == other.person and ends and since < min(ends):
                yield one.person, since, min(ends)
