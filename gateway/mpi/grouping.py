"""Which records are one person's, decided from the records alone and what was said about pairs of them. Pure.

Records that share an identifier whose system names persons (`GATEWAY_STRONG_IDENTIFIER_SYSTEMS`) are one person's,
unless given name and birth date both conflict. Since a link to one record is a link to all of its person's, that alone
would depend on which record came first. So the whole set of records that hang together is judged at once, by the same
rule whatever their order:

1. Records that a steward has said are one person's, and those that matching has linked, are one person's whatever the
   rule of shared identifiers makes of them; a steward's word that two aren't goes before what matching found.
2. Two of those agree when some record of one shares a strong identifier with a record of the other that it doesn't
   contradict; unless a steward has said that they are two persons'.
3. Those that agree, directly or through others, are one person if none is against another: contradicts it in all that
   either says, or is another person's by a steward's word.
4. Otherwise some stand between persons that can't be one. Then those agreeing ones are one person that are against
   exactly the same others; and whoever is against nobody goes with them where it hangs together with one such person
   only. What agrees with two apart persons joins neither.

An identifier carried by more records than a person can have says nothing. An inactive record says nothing either: it
stays with its person and moves where its person moves.
"""

from collections import defaultdict
from collections.abc import Container, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, TypeVar

from gateway.model import PatientID
from gateway.mpi.demographics import Comparable, contradicts

Verdict = Literal["matched", "same", "apart"]
"""`matched`: by the matching algorithm. `same`, `apart`: one person's, two persons', by a steward."""
Node = TypeVar("Node", bound=Hashable)
Groups = tuple[tuple[int, ...], ...]
_Against = Mapping[int, frozenset[Hashable]]


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
class Pair:
    """What was said about two records."""

    one: int
    other: int
    verdict: Verdict
    score: float | None = None
    """The match weight in bits, of a matched pair."""
    algorithm: str | None = None


def group_records(live: Sequence[Candidate], overused: Container[bytes] = (), pairs: Iterable[Pair] = ()) -> Groups:
    """The records that are one person's, by the rule above: each record in one group, whatever the order of `live`."""
    by_id = {candidate.record_id: candidate for candidate in live}
    said = [pair for pair in pairs if pair.one in by_id and pair.other in by_id]
    unit_of, units = _units(by_id, said)
    apart = {frozenset((unit_of[pair.one], unit_of[pair.other])) for pair in said if pair.verdict == "apart"}
    agreeing = {
        frozenset((unit_of[one], unit_of[other]))
        for one, other in _agreeing(carriers_of(live, overused), said)
        if unit_of[one] != unit_of[other]
    } - apart
    edges = [(min(edge), max(edge)) for edge in agreeing]
    sayings = {unit: frozenset(by_id[record_id].names for record_id in members) for unit, members in units.items()}
    groups: list[tuple[int, ...]] = []
    for together in connected(units, edges):
        inside = set(together)
        against = _against(together, sayings, apart)
        own = [edge for edge in edges if edge[0] in inside]
        for group in [together] if not any(against.values()) else _parted(together, own, against):
            groups.append(tuple(sorted(record_id for unit in group for record_id in units[unit])))
    return tuple(sorted(groups))


def contradicted(candidates: Iterable[Candidate]) -> bool:
    """Whether any two of `candidates` contradict each other."""
    # Records that say the same of the person are contradicted by the same others, so each saying is compared once.
    return any(contradicts(one, other) for one, other in combinations({one.names for one in candidates}, 2))


def carriers_of(live: Iterable[Candidate], overused: Container[bytes]) -> dict[bytes, list[Candidate]]:
    """The records that carry each strong identifier, but those that say nothing."""
    carriers: defaultdict[bytes, list[Candidate]] = defaultdict(list)
    for candidate in live:
        for key in candidate.strong:
            if key not in overused:
                carriers[key].append(candidate)
    return dict(carriers)


def connected(nodes: Iterable[Node], edges: Iterable[tuple[Node, Node]]) -> list[tuple[Node, ...]]:
    """The nodes that hang together by `edges`, each node in one part."""
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


def _units(by_id: Mapping[int, Candidate], said: Sequence[Pair]) -> tuple[dict[int, int], dict[int, tuple[int, ...]]]:
    parts: Iterable[tuple[int, ...]] = ((record_id,) for record_id in by_id)
    if said:
        # Where not all words can hold (a is b, b is c, a isn't c), those of matching yield to a steward's, and where a
        # steward's can't hold among themselves, none outweighs what records say.
        parts = _glued(connected(by_id, _pairs(said, "same", "matched")), said, "same")
    units = {members[0]: members for members in parts}
    return {record_id: unit for unit, members in units.items() for record_id in members}, units


def _glued(parts: Iterable[tuple[int, ...]], said: Sequence[Pair], *instead: Verdict) -> Iterable[tuple[int, ...]]:
    apart = [{*pair} for pair in _pairs(said, "apart")]
    for members in parts:
        inside = set(members)
        if not any(pair <= inside for pair in apart):
            yield members
        else:
            smaller = connected(members, [pair for pair in _pairs(said, *instead) if inside.issuperset(pair)])
            yield from _glued(smaller, said) if instead else smaller


def _pairs(said: Iterable[Pair], *verdicts: Verdict) -> list[tuple[int, int]]:
    return [(pair.one, pair.other) for pair in said if pair.verdict in verdicts]


def _agreeing(carriers: Mapping[bytes, Sequence[Candidate]], said: Iterable[Pair]) -> Iterable[tuple[int, int]]:
    for sharers in carriers.values():
        for one, other in combinations(sharers, 2):
            if not contradicts(one.names, other.names):
                yield one.record_id, other.record_id
    # Matching has guards of its own, finer than a contradiction (a nickname, a mistyped date), and a steward has eyes.
    yield from _pairs(said, "same", "matched")


def _against(
    together: Sequence[int], sayings: Mapping[int, frozenset[Comparable]], apart: Iterable[frozenset[int]]
) -> _Against:
    # Sayings stand for all who say the same: each two of them are compared once.
    said = {sayings[unit] for unit in together}
    found: dict[frozenset[Comparable], set[Hashable]] = {one: set() for one in said}
    for one, other in combinations(said, 2):
        if all(contradicts(this, that) for this in one for that in other):
            found[one].add(other)
            found[other].add(one)
    against: dict[int, set[Hashable]] = {unit: set(found[sayings[unit]]) for unit in together}
    for pair in apart:
        if len(pair) > 1 and pair <= against.keys():
            one_unit, other_unit = pair
            against[one_unit].add(other_unit)
            against[other_unit].add(one_unit)
    return {unit: frozenset(others) for unit, others in against.items()}


def _parted(together: Sequence[int], edges: Sequence[tuple[int, int]], against: _Against) -> list[tuple[int, ...]]:
    held = [unit for unit in together if against[unit]]
    persons = connected(held, [(a, b) for a, b in edges if against[a] and against[a] == against[b]])
    person_of = {unit: place for place, person in enumerate(persons) for unit in person}
    free = connected(
        [unit for unit in together if not against[unit]],
        [(a, b) for a, b in edges if not against[a] and not against[b]],
    )
    blob_of = {unit: place for place, blob in enumerate(free) for unit in blob}
    near: defaultdict[int, set[int]] = defaultdict(set)
    for a, b in [*edges, *((b, a) for a, b in edges)]:
        if a in blob_of and b in person_of:
            near[blob_of[a]].add(person_of[b])
    grown = [list(person) for person in persons]
    alone = []
    for place, blob in enumerate(free):
        if len(near[place]) == 1:
            grown[near[place].pop()].extend(blob)
        else:
            alone.append(blob)
    return [tuple(person) for person in grown] + alone
