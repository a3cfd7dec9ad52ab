"""Linking everything again by an algorithm, as a list of what would change. Nothing is changed here. For jobs only.

Splink finds and scores the pairs, under the very keys that records are looked for one by one; what they come to is
decided by the same rules as for a record that arrives. So a dry run proposes nothing that arriving would refuse.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.model import PatientID
from gateway.mpi.algorithm import Algorithm
from gateway.mpi.blocking import HOT_KEY_RECORDS, tight_keys
from gateway.mpi.bulk.splink_model import RECORDS, load_records, memory_database, open_linker
from gateway.mpi.decide import Member, are_one
from gateway.mpi.guards import VETOES
from gateway.mpi.match import Matcher
from gateway.mpi.match_record import MatchRecord

Progress = Callable[[str], None]
_KEYS = "block_keys"


class LinkedRecords(Protocol):
    """What re-linking asks of the store."""

    def find_match_records(self) -> Iterable[tuple[int, PatientID, MatchRecord]]:
        """Every live record: its id, the person it is linked to, what it says."""
        ...

    def find_apart(self) -> Collection[frozenset[int]]:
        """Pairs of records that a steward has said are two persons'."""
        ...

    def find_together(self) -> Collection[frozenset[int]]:
        """Pairs of records that a steward has said are one person's."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What would become of persons or records."""

    kind: Literal["merge", "review-merge", "review-split"]
    persons: tuple[PatientID, ...]
    records: tuple[int, int]
    """The pair it rests on."""
    bits: float
    why: tuple[str, ...] = ()
    """The guards that keep it from being done without a steward."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelinkPlan:
    """The changes, the surest first."""

    algorithm: str
    records: int
    changes: tuple[Change, ...]


def plan_relink(
    store: LinkedRecords, algorithm: Algorithm, *, threads: int = 1, progress: Progress = lambda _: None
) -> RelinkPlan:
    """What linking all records of `store` again by `algorithm` would change: a dry run.

    Persons that are alike are merged where no two of their records are held apart, otherwise reviewed; a person whose
    records contradict each other under this algorithm is reviewed for a split, unless a steward has linked them.
    """
    progress("reading")
    rows = list(store.find_match_records())
    member_of = {number: Member(number, record) for number, _, record in rows}
    person_of = {number: person for number, person, _ in rows}
    persons: defaultdict[PatientID, list[Member]] = defaultdict(list)
    for number, person, _ in rows:
        persons[person].append(member_of[number])
    matcher = Matcher(algorithm, records=len(rows))
    progress("scoring")
    pairs = _score(rows, algorithm, threads)
    progress("deciding")
    apart = store.find_apart()
    changes = [
        *_merges(pairs, person_of, persons, matcher, apart),
        *_splits(persons, matcher, store.find_together()),
    ]
    changes.sort(key=lambda one: (one.kind, -one.bits, one.records))
    return RelinkPlan(algorithm=algorithm.label, records=len(rows), changes=tuple(changes))


def _score(
    rows: Sequence[tuple[int, PatientID, MatchRecord]], algorithm: Algorithm, threads: int
) -> list[tuple[int, int, float]]:
    keys = {number: ["\x1f".join(key) for key in tight_keys(record)] for number, _, record in rows}
    carriers = Counter(key for found in keys.values() for key in found)
    with memory_database(threads) as connection:
        load_records(connection, ((number, record) for number, _, record in rows))
        connection.execute(f"ALTER TABLE {RECORDS} ADD COLUMN {_KEYS} VARCHAR[]")
        useful = [[key for key in found if 1 < carriers[key] <= HOT_KEY_RECORDS] for found in keys.values()]
        keyed = "CREATE TABLE keyed AS SELECT unnest(?::BIGINT[]) AS id, unnest(?::VARCHAR[][]) AS found"
        connection.execute(keyed, [list(keys), useful])
        connection.execute(f"UPDATE {RECORDS} SET {_KEYS} = found FROM keyed WHERE id = unique_id")  # noqa: S608
        linker = open_linker(connection, algorithm, records=len(rows), exploded=_KEYS)
        found = linker.inference.predict(threshold_match_weight=algorithm.thresholds.review).physical_name
        statement = f"SELECT unique_id_l, unique_id_r, match_weight FROM {found}"  # noqa: S608
        return connection.execute(statement).fetchall()


def _merges(
    pairs: Iterable[tuple[int, int, float]],
    person_of: Mapping[int, PatientID],
    persons: Mapping[PatientID, Sequence[Member]],
    matcher: Matcher,
    apart: Collection[frozenset[int]],
) -> Iterable[Change]:
    best: dict[tuple[PatientID, PatientID], tuple[float, int, int]] = {}
    for a, b, bits in pairs:
        one, other = sorted((person_of[a], person_of[b]))
        if one != other and bits > best.get((one, other), (float("-inf"), 0, 0))[0]:
            best[one, other] = (bits, min(a, b), max(a, b))
    members = {member.record_id: member for found in persons.values() for member in found}
    for (one, other), (bits, a, b) in best.items():
        score = matcher.score(members[a].record, members[b].record)
        if len(score.guards) > 1 or _kept_apart(persons[one], persons[other], apart):
            continue
        sure = bits >= matcher.thresholds.link and not score.guards
        merge = sure and are_one(persons[one], persons[other], matcher, apart)
        yield Change(
            kind="merge" if merge else "review-merge",
            persons=(one, other),
            records=(a, b),
            bits=bits,
            why=tuple(score.guards),
        )


def _kept_apart(some: Sequence[Member], others: Sequence[Member], apart: Collection[frozenset[int]]) -> bool:
    return any(frozenset((a.record_id, b.record_id)) in apart for a in some for b in others) if apart else False


def _splits(
    persons: Mapping[PatientID, Sequence[Member]], matcher: Matcher, together: Collection[frozenset[int]]
) -> Iterable[Change]:
    for person, members in persons.items():
        for place, one in enumerate(members):
            for other in members[place + 1 :]:
                score = matcher.score(one.record, other.record)
                against = tuple(guard for guard in score.guards if guard in VETOES)
                ids = (one.record_id, other.record_id)
                if (against or score.bits < matcher.thresholds.review) and frozenset(ids) not in together:
                    yield Change(kind="review-split", persons=(person,), records=ids, bits=score.bits, why=against)
