"""What has to change so that records are linked as they should be: which person each belongs to, and why. Pure."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import combinations
from typing import Literal

from gateway.model import PatientID
from gateway.mpi.grouping import Candidate, Groups, Pair, carriers_of, contradicted, group_records

ALGORITHM = "strong-identifier/1"
MOST_CARRIERS = 200
"""An identifier on more records than this is not one person's (a dummy value, an insurance of a whole group)."""

Action = Literal["new-person", "link", "unlink", "merge"]
Rule = Literal["shares-identifier", "alike", "steward", "kept-apart", "alone", "follows-its-person"]
ConflictReason = Literal["contradiction", "ambiguous", "overused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbourhood:
    """Records that may belong together, complete: every record of every person, every carrier of every identifier."""

    candidates: tuple[Candidate, ...]
    """In the order of their record ids."""
    born: Mapping[PatientID, datetime]
    """Since when each person exists."""
    overused: Mapping[bytes, str] = field(default_factory=dict)
    """Strong identifiers carried by more than MOST_CARRIERS records, which say nothing."""
    pairs: tuple[Pair, ...] = ()
    """What matching and stewards have said about two of the records; one word a pair."""
    former: Mapping[int, tuple[PatientID, ...]] = field(default_factory=dict)
    """By record, the retired persons it once belonged to: a group that parts again gets its own id back."""
    leaving: frozenset[int] = frozenset()
    """Records that a steward takes out of their person: those that stay keep the id."""
    survivor: PatientID | None = None
    """Who keeps the id where persons become one; without it, the older person."""


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
    score: float | None = None
    algorithm: str = ALGORITHM


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
    revived: tuple[PatientID, ...] = ()
    """Persons who had become part of another and are persons of their own again."""


def plan_links(around: Neighbourhood, new_person: Callable[[], PatientID]) -> Plan:
    """The least change that makes each group of `group_records` one person; an older person keeps its id."""
    live = [candidate for candidate in around.candidates if candidate.active]
    groups = group_records(live, around.overused, around.pairs)
    owners = _owners(groups, around)
    revived = _revived([group for group in groups if group not in owners], around)
    owners |= revived
    new_persons = tuple(new_person() for group in groups if group not in owners)
    owners |= dict(zip((group for group in groups if group not in owners), new_persons, strict=True))
    placed = {record_id: owner for group, owner in owners.items() for record_id in group}
    retired = _retired(live, placed, set(owners.values()))
    for candidate in around.candidates:
        if not candidate.active:
            placed[candidate.record_id] = retired.get(candidate.person_id, candidate.person_id)
    carriers = carriers_of(live, around.overused)
    parted = {*new_persons, *revived.values()}
    why = _Why(placed, carriers, around.pairs)
    return Plan(
        new_persons=new_persons,
        revived=tuple(revived.values()),
        moves=tuple(
            _move(candidate, placed[candidate.record_id], parted, retired, why)
            for candidate in around.candidates
            if candidate.fresh or placed[candidate.record_id] != candidate.person_id
        ),
        retired=retired,
        conflicts=_conflicts(placed, carriers, around),
    )


def _owners(groups: Groups, around: Neighbourhood) -> dict[tuple[int, ...], PatientID]:
    # The oldest person chooses first, and chooses the group that most of its own records are in: those that other
    # persons brought when they became part of it count only where it has no others.
    group_of = {record_id: group for group in groups for record_id in group}
    shares: defaultdict[PatientID, Counter[tuple[int, ...]]] = defaultdict(Counter)
    others = {*around.former, *around.leaving}
    own: defaultdict[PatientID, Counter[tuple[int, ...]]] = defaultdict(Counter)
    first: dict[PatientID, int] = {}
    for candidate in around.candidates:
        if candidate.active:
            first.setdefault(candidate.person_id, candidate.record_id)
            group = group_of[candidate.record_id]
            shares[candidate.person_id][group] += 1
            own[candidate.person_id][group] += candidate.record_id not in others
    owners: dict[tuple[int, ...], PatientID] = {}
    fresh = {candidate.person_id for candidate in around.candidates if candidate.fresh}

    def seniority(person: PatientID) -> tuple[bool, bool, datetime, int]:
        return person != around.survivor, person in fresh, around.born[person], first[person]

    for person in sorted(shares, key=seniority):
        free = [(-own[person][group], -count, group) for group, count in shares[person].items() if group not in owners]
        if free:
            owners[min(free)[2]] = person
    return owners


def _revived(parting: Sequence[tuple[int, ...]], around: Neighbourhood) -> dict[tuple[int, ...], PatientID]:
    taken: dict[tuple[int, ...], PatientID] = {}
    for group in parting:
        before = Counter(person for record_id in group for person in around.former.get(record_id, ()))
        free = [(-count, person) for person, count in before.items() if person not in taken.values()]
        if free:
            taken[group] = min(free)[1]
    return taken


def _retired(
    live: Sequence[Candidate], placed: Mapping[int, PatientID], owners: set[PatientID]
) -> dict[PatientID, PatientID]:
    went: defaultdict[PatientID, Counter[PatientID]] = defaultdict(Counter)
    for candidate in live:
        if candidate.person_id not in owners:
            went[candidate.person_id][placed[candidate.record_id]] += 1
    return {person: min((-count, owner) for owner, count in where.items())[1] for person, where in went.items()}


class _Why:
    """Why a record is where it is."""

    def __init__(
        self, placed: Mapping[int, PatientID], carriers: Mapping[bytes, Sequence[Candidate]], pairs: Iterable[Pair]
    ) -> None:
        self._placed = placed
        self._carriers = carriers
        self._pairs: defaultdict[int, list[tuple[int, Pair]]] = defaultdict(list)
        for pair in pairs:
            self._pairs[pair.one].append((pair.other, pair))
            self._pairs[pair.other].append((pair.one, pair))

    def linked(self, candidate: Candidate) -> tuple[Reason, Pair | None]:
        """The reason, and the matched pair where that is it."""
        if not candidate.active:
            return Reason(rule="alone" if candidate.fresh else "follows-its-person"), None
        owner = self._placed[candidate.record_id]
        said = sorted(self._pairs.get(candidate.record_id, ()), key=lambda one: one[0])
        if by_steward := _among(said, "same", lambda other: self._placed.get(other) == owner):
            return Reason(rule="steward", records=by_steward[:1]), None
        apart = Reason(rule="alone")
        for key, system in sorted(candidate.strong.items(), key=lambda item: (item[1], item[0])):
            others = [one for one in self._carriers.get(key, ()) if one.record_id != candidate.record_id]
            same = [one.record_id for one in others if self._placed[one.record_id] == owner]
            if same:
                return Reason(rule="shares-identifier", system=system, records=(min(same),)), None
            if others:
                records = sorted(one.record_id for one in others)
                apart = Reason(rule="kept-apart", system=system, records=tuple(records[:_MOST_NAMED]))
        matched = [one for one in said if one[1].verdict == "matched" and self._placed.get(one[0]) == owner]
        if matched:
            other, pair = max(matched, key=lambda one: (one[1].score or 0.0, -one[0]))
            return Reason(rule="alike", records=(other,)), pair
        if by_steward := _among(said, "apart", lambda other: self._placed.get(other) != owner):
            return Reason(rule="steward", records=by_steward[:_MOST_NAMED]), None
        return apart, None


def _among(said: Iterable[tuple[int, Pair]], verdict: str, holds: Callable[[int], bool]) -> tuple[int, ...]:
    return tuple(other for other, pair in said if pair.verdict == verdict and holds(other))


def _move(
    candidate: Candidate,
    owner: PatientID,
    parted: set[PatientID],
    retired: Mapping[PatientID, PatientID],
    why: _Why,
) -> Move:
    if candidate.fresh:
        action: Action = "new-person" if owner == candidate.person_id else "link"
    elif candidate.person_id in retired:
        action = "merge"
    else:
        action = "unlink" if owner in parted else "link"
    reason, matched = why.linked(candidate)
    return Move(
        record_id=candidate.record_id,
        person_id=owner,
        previous=None if candidate.fresh else candidate.person_id,
        action=action,
        reason=reason,
        score=matched.score if matched else None,
        algorithm=(matched.algorithm if matched else None) or ALGORITHM,
    )


_MOST_NAMED = 10


def _conflicts(
    placed: Mapping[int, PatientID], carriers: Mapping[bytes, Sequence[Candidate]], around: Neighbourhood
) -> dict[bytes, Conflict]:
    conflicts = {
        key: Conflict(system=system, reason="overused", persons=MOST_CARRIERS + 1, records=())
        for key, system in around.overused.items()
    }
    settled = {frozenset((pair.one, pair.other)) for pair in around.pairs if pair.verdict == "apart"}
    for key, sharers in carriers.items():
        persons = {placed[sharer.record_id] for sharer in sharers}
        if len(persons) == 1 or (settled and _is_settled(sharers, placed, settled)):
            continue
        conflicts[key] = Conflict(
            system=sharers[0].strong[key],
            reason="contradiction" if contradicted(sharers) else "ambiguous",
            persons=len(persons),
            records=tuple(sorted(sharer.record_id for sharer in sharers)[:_MOST_NAMED]),
        )
    return conflicts


def _is_settled(sharers: Sequence[Candidate], placed: Mapping[int, PatientID], settled: set[frozenset[int]]) -> bool:
    ids = [sharer.record_id for sharer in sharers]
    return all(frozenset(two) in settled for two in combinations(ids, 2) if placed[two[0]] != placed[two[1]])
