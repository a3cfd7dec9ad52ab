"""Which records are one person, decided from the records alone: the rule of shared strong identifiers. Pure.

Records that share an identifier whose system names persons (`GATEWAY_STRONG_IDENTIFIER_SYSTEMS`) are one person, unless
given name and birth date both conflict. Since a link to one record is a link to all of its person's, that alone would
depend on which record came first. So the whole set of records that hang together is judged at once, by the same rule
whatever their order:

1. Two records agree when they share a strong identifier and do not contradict each other.
2. Records that agree, directly or through others, are one person if no two of them contradict each other.
3. Otherwise some of them stand between persons that can't be one. Then those agreeing records are one person that are
   contradicted by exactly the same others: a record that agrees with both of two apart persons joins neither.

An identifier carried by more records than a person can have says nothing. An inactive record says nothing either: it
stays with its person and moves where its person moves.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Container, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import combinations
from typing import Literal, TypeVar

from gateway.model import PatientID
from gateway.mpi.demographics import Comparable, contradicts

ALGORITHM = "strong-identifier/1"
MOST_CARRIERS = 200
"""An identifier on more records than this is not one person's (a dummy value, an insurance of a whole group)."""

Action = Literal["new-person", "link", "unlink", "merge"]
Rule = Literal["shares-identifier", "kept-apart", "alone", "follows-its-person"]
ConflictReason = Literal["contradiction", "ambiguous", "overused"]
Node = TypeVar("Node", bound=Hashable)
Groups = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A record as linking sees it."""

    record_id: int
    person_id: PatientID
    active: bool
    strong: Mapping[bytes, str]
    """Its strong identifiers: keyed hash → system."""
    names: Comparable
    fresh: bool = False
    """True for a record that has just come and whose person was made for it alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbourhood:
    """Records that may belong together, complete: every record of every person, every carrier of every identifier."""

    candidates: tuple[Candidate, ...]
    """In the order of their record ids."""
    born: Mapping[PatientID, datetime]
    """Since when each person exists."""
    overused: Mapping[bytes, str] = field(default_factory=dict)
    """Strong identifiers carried by more than MOST_CARRIERS records, which say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a record is where it is: the rule, the identifier system, the records it rests on."""

    rule: Rule
    system: str | None = None
    records: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A record's new person. `previous` is None for a record that has just come."""

    record_id: int
    person_id: PatientID
    previous: PatientID | None
    action: Action
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A strong identifier whose carriers are not one person."""

    system: str
    reason: ConflictReason
    persons: int
    records: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What has to change so that the links are those the rule demands."""

    new_persons: tuple[PatientID, ...]
    moves: tuple[Move, ...]
    retired: Mapping[PatientID, PatientID]
    """Persons who have become part of another → the survivor."""
    conflicts: Mapping[bytes, Conflict]
    """By the identifier's keyed hash."""


def plan_links(around: Neighbourhood, new_person: Callable[[], PatientID]) -> Plan:
    """The least change that makes each group of `group_records` one person; an older person keeps its id."""
    live = [candidate for candidate in around.candidates if candidate.active]
    groups = group_records(live, around.overused)
    owners = _owners(groups, around)
    new_persons = tuple(new_person() for group in groups if group not in owners)
    owners |= dict(zip((group for group in groups if group not in owners), new_persons, strict=True))
    placed = {record_id: owner for group, owner in owners.items() for record_id in group}
    retired = _retired(live, placed, set(owners.values()))
    for candidate in around.candidates:
        if not candidate.active:
            placed[candidate.record_id] = retired.get(candidate.person_id, candidate.person_id)
    carriers = _carriers(live, around.overused)
    return Plan(
        new_persons=new_persons,
        moves=tuple(
            _move(candidate, placed, set(new_persons), retired, carriers)
            for candidate in around.candidates
            if candidate.fresh or placed[candidate.record_id] != candidate.person_id
        ),
        retired=retired,
        conflicts=_conflicts(live, placed, carriers, around.overused),
    )


def group_records(live: Sequence[Candidate], overused: Container[bytes] = ()) -> Groups:
    """The records that are one person, by the rule above: each record in one group, whatever the order of `live`."""
    by_id = {candidate.record_id: candidate for candidate in live}
    agreeing = [
        (one.record_id, other.record_id)
        for sharers in _carriers(live, overused).values()
        for one, other in combinations(sharers, 2)
        if not contradicts(one.names, other.names)
    ]
    groups: list[tuple[int, ...]] = []
    for together in _connected(by_id, agreeing):
        against = _contradicted([by_id[record_id] for record_id in together])
        if not any(against.values()):
            groups.append(together)
            continue
        inside = set(together)
        alike = [(a, b) for a, b in agreeing if a in inside and b in inside and against[a] == against[b]]
        groups.extend(_connected(together, alike))
    return tuple(sorted(groups))


def _contradicted(candidates: Sequence[Candidate]) -> dict[int, frozenset[Comparable]]:
    # Records that say the same of the person are contradicted by the same others, so each saying is compared once.
    sayings = {candidate.names for candidate in candidates}
    against = {one: frozenset(other for other in sayings if contradicts(one, other)) for one in sayings}
    return {candidate.record_id: against[candidate.names] for candidate in candidates}


def _carriers(live: Iterable[Candidate], overused: Container[bytes]) -> dict[bytes, list[Candidate]]:
    carriers: defaultdict[bytes, list[Candidate]] = defaultdict(list)
    for candidate in live:
        for key in candidate.strong:
            if key not in overused:
                carriers[key].append(candidate)
    return dict(carriers)


def _connected(nodes: Iterable[Node], edges: Iterable[tuple[Node, Node]]) -> list[tuple[Node, ...]]:
    parent = {node: node for node in nodes}

    def root(node: Node) -> Node:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for one, other in edges:
        parent[root(one)] = root(other)
    groups: defaultdict[Node, list[Node]] = defaultdict(list)
    for node in sorted(parent):  # type: ignore[type-var]
        groups[root(node)].append(node)
    return [tuple(group) for group in groups.values()]


def _owners(groups: Groups, around: Neighbourhood) -> dict[tuple[int, ...], PatientID]:
    # The oldest person chooses first, and chooses the group that most of its records are in.
    group_of = {record_id: group for group in groups for record_id in group}
    shares: defaultdict[PatientID, Counter[tuple[int, ...]]] = defaultdict(Counter)
    first: dict[PatientID, int] = {}
    for candidate in around.candidates:
        if candidate.active:
            first.setdefault(candidate.person_id, candidate.record_id)
            shares[candidate.person_id][group_of[candidate.record_id]] += 1
    owners: dict[tuple[int, ...], PatientID] = {}
    fresh = {candidate.person_id for candidate in around.candidates if candidate.fresh}
    for person in sorted(shares, key=lambda person: (person in fresh, around.born[person], first[person])):
        free = [(-count, group) for group, count in shares[person].items() if group not in owners]
        if free:
            owners[min(free)[1]] = person
    return owners


def _retired(
    live: Sequence[Candidate], placed: Mapping[int, PatientID], owners: set[PatientID]
) -> dict[PatientID, PatientID]:
    went: defaultdict[PatientID, Counter[PatientID]] = defaultdict(Counter)
    for candidate in live:
        if candidate.person_id not in owners:
            went[candidate.person_id][placed[candidate.record_id]] += 1
    return {person: min((-count, owner) for owner, count in where.items())[1] for person, where in went.items()}


def _move(
    candidate: Candidate,
    placed: Mapping[int, PatientID],
    new_persons: set[PatientID],
    retired: Mapping[PatientID, PatientID],
    carriers: Mapping[bytes, Sequence[Candidate]],
) -> Move:
    owner = placed[candidate.record_id]
    if candidate.fresh:
        action: Action = "new-person" if owner == candidate.person_id else "link"
    elif candidate.person_id in retired:
        action = "merge"
    else:
        action = "unlink" if owner in new_persons else "link"
    return Move(
        record_id=candidate.record_id,
        person_id=owner,
        previous=None if candidate.fresh else candidate.person_id,
        action=action,
        reason=_reason(candidate, placed, carriers),
    )


def _reason(
    candidate: Candidate, placed: Mapping[int, PatientID], carriers: Mapping[bytes, Sequence[Candidate]]
) -> Reason:
    if not candidate.active:
        return Reason(rule="alone" if candidate.fresh else "follows-its-person")
    owner, apart = placed[candidate.record_id], Reason(rule="alone")
    for key, system in sorted(candidate.strong.items(), key=lambda item: (item[1], item[0])):
        others = [other for other in carriers.get(key, ()) if other.record_id != candidate.record_id]
        same = [other.record_id for other in others if placed[other.record_id] == owner]
        if same:
            return Reason(rule="shares-identifier", system=system, records=(min(same),))
        if others:
            records = sorted(other.record_id for other in others)
            apart = Reason(rule="kept-apart", system=system, records=tuple(records[:_MOST_NAMED]))
    return apart


_MOST_NAMED = 10


def _conflicts(
    live: Sequence[Candidate],
    placed: Mapping[int, PatientID],
    carriers: Mapping[bytes, Sequence[Candidate]],
    overused: Mapping[bytes, str],
) -> dict[bytes, Conflict]:
    conflicts = {
        key: Conflict(system=system, reason="overused", persons=MOST_CARRIERS + 1, records=())
        for key, system in overused.items()
    }
    for key, sharers in carriers.items():
        persons = {placed[sharer.record_id] for sharer in sharers}
        if len(persons) == 1:
            continue
        against = _contradicted(sharers)
        conflicts[key] = Conflict(
            system=sharers[0].strong[key],
            reason="contradiction" if any(against.values()) else "ambiguous",
            persons=len(persons),
            records=tuple(sorted(sharer.record_id for sharer in sharers)[:_MOST_NAMED]),
        )
    return conflicts
