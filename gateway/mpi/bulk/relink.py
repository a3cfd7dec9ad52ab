"""Linking everything again by an algorithm, as a list of what would change. Nothing is changed here. For jobs only.

Splink finds and scores the pairs, under the very keys that records are looked for one by one; what they come to is
decided by the same rules as for a record that arrives. So nothing is proposed that arriving would refuse.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import duckdb
import pyarrow as pa

from gateway.model import PatientID
from gateway.mpi.blocking import HOT_KEY_RECORDS
from gateway.mpi.bulk.splink_model import RECORDS, load_table, memory_database, open_linker
from gateway.mpi.bulk.units import Units
from gateway.mpi.decide import Member, are_one
from gateway.mpi.guards import VETOES, is_another
from gateway.mpi.match import Matcher

Progress = Callable[[str], None]
Pairs = Collection[frozenset[int]]
_KEYS = "block_keys"


class LinkedRecords(Protocol):
    """What re-linking asks of the store."""

    def tables(self) -> Iterable[pa.Table]:
        """Every live record once, in tables of `columns.SCHEMA`."""
        ...

    def find_apart(self) -> Pairs:
        """Pairs of records that a steward has said are two persons'."""
        ...

    def find_together(self) -> Pairs:
        """Pairs of records that a steward has said are one person's."""
        ...

    def find_matched(self) -> Pairs:
        """Pairs of records that matching has linked."""
        ...

    def find_asked(self) -> Pairs:
        """Pairs of records that wait for a steward."""
        ...


Kind = Literal["merge", "split", "review-merge", "review-split"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What would become of persons or records."""

    kind: Kind
    persons: tuple[PatientID, ...]
    records: tuple[int, int]
    """The pair it rests on."""
    bits: float
    why: tuple[str, ...] = ()
    """The guards that keep it from being done without a steward, or that part it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelinkPlan:
    """The changes, the surest first."""

    algorithm: str
    records: int
    changes: tuple[Change, ...]
    histogram: tuple[tuple[float, int], ...] = ()
    """Pairs that were scored, by match weight (lower edge of each bin)."""

    stewards: tuple[tuple[str, int], ...] = ()
    """What this algorithm says of pairs that stewards have decided, and how often."""

    def count(self, kind: Kind) -> int:
        """How many changes are of that kind."""
        return sum(one.kind == kind for one in self.changes)


def plan_relink(
    store: LinkedRecords, matcher: Matcher, *, threads: int = 1, progress: Progress = lambda _: None
) -> RelinkPlan:
    """What linking all records of `store` again by `matcher` would change: a dry run.

    A pair that matching has linked and would no longer link is parted. Then persons that are alike are merged, the
    most alike first, where no two of their records are held apart; otherwise they are reviewed. A person whose records
    contradict each other though matching has not linked them is listed, for a steward to look at.
    """
    with memory_database(threads) as connection:
        progress("reading")
        table = pa.concat_tables(store.tables())
        units = Units(table)
        progress("finding who shares a key")
        _load(connection, table)
        del table  # DuckDB has what is scored, and `units` what is decided by
        progress("scoring")
        scored = _score(connection, matcher)
    progress("deciding")
    apart = store.find_apart()
    matched = store.find_matched()
    splits = list(_splits(units, matcher, matched, store.find_together(), apart))
    # What matching has linked and other words keep apart all the same is settled.
    news = ((a, b, bits) for a, b, bits in scored if frozenset((a, b)) not in matched)
    merges = _merges(units, matcher, news, apart, store.find_asked())
    changes = [*splits, *merges, *_contradicted(units, matcher, store.find_together())]
    changes.sort(key=lambda one: (one.kind, -one.bits, one.records))
    return RelinkPlan(
        algorithm=matcher.algorithm.label,
        records=units.size,
        changes=tuple(changes),
        histogram=_histogram(bits for _, _, bits in scored),
        stewards=tuple(sorted(_beside_stewards(units, matcher, store.find_together(), apart).items())),
    )


def _load(connection: duckdb.DuckDBPyConnection, table: pa.Table) -> None:
    # Whoever shares no key is nobody's candidate, and needs no comparison; a key of very many says too little.
    load_table(connection, table)
    connection.register("arrived", table.select(["unique_id", _KEYS]))
    connection.execute(
        f"CREATE TABLE keyed AS SELECT unique_id AS keyed_id, list(key) AS {_KEYS} "  # noqa: S608
        "FROM (SELECT unique_id, unnest(block_keys) AS key FROM arrived) JOIN ("
        "SELECT key FROM (SELECT unnest(block_keys) AS key FROM arrived) GROUP BY key "
        f"HAVING count(*) BETWEEN 2 AND {HOT_KEY_RECORDS}) USING (key) GROUP BY unique_id"
    )
    connection.unregister("arrived")
    connection.execute(
        f"CREATE OR REPLACE TABLE {RECORDS} AS SELECT {RECORDS}.*, {_KEYS} "  # noqa: S608
        f"FROM {RECORDS} JOIN keyed ON keyed_id = unique_id"
    )
    connection.execute("DROP TABLE keyed")


def _score(connection: duckdb.DuckDBPyConnection, matcher: Matcher) -> list[tuple[int, int, float]]:
    linker = open_linker(connection, matcher.algorithm, records=matcher.records, exploded=_KEYS)
    found = linker.inference.predict(threshold_match_weight=matcher.thresholds.review).physical_name
    statement = f"SELECT unique_id_l, unique_id_r, match_weight FROM {found}"  # noqa: S608
    return connection.execute(statement).fetchall()


def _histogram(weights: Iterable[float]) -> tuple[tuple[float, int], ...]:
    bins: dict[float, int] = {}
    for bits in weights:
        bins[float(bits // 1)] = bins.get(float(bits // 1), 0) + 1
    return tuple(sorted(bins.items()))


def _beside_stewards(units: Units, matcher: Matcher, together: Pairs, apart: Pairs) -> Mapping[str, int]:
    # What stewards have decided is the one labelled set that an exchange has of its own.
    found: Counter[str] = Counter()
    for word, pairs in (("same", together), ("apart", apart)):
        for one, other in map(sorted, pairs):
            if units.knows(one) and units.knows(other):
                score = matcher.score(units.record(one), units.record(other))
                links = score.bits >= matcher.thresholds.link and not score.guards
                asks = score.bits >= matcher.thresholds.review and not is_another(score.guards)
                found[f"{word}, {'would link' if links else 'would ask' if asks else 'would pass over'}"] += 1
    return found


def _splits(units: Units, matcher: Matcher, matched: Pairs, together: Pairs, apart: Pairs) -> Iterable[Change]:
    # Whom matching has linked, taken to pieces and put together again by what holds today: a steward's words, then
    # the pairs that still hold, the surest first, each judged by all of the records that it brings together.
    of_person: dict[PatientID, list[tuple[int, int]]] = {}
    for pair in matched:
        one, other = sorted(pair)
        if units.knows(one) and units.knows(other) and units.person(one) == units.person(other):
            of_person.setdefault(units.person(one), []).append((one, other))
    for person, pairs in of_person.items():
        numbers = {number for pair in pairs for number in pair}
        ties = [pair for pair in together if pair <= numbers]
        scored = sorted(
            ((matcher.score(units.record(one), units.record(other)), one, other) for one, other in pairs),
            key=lambda found: (-found[0].bits, found[1:]),
        )
        parts = units.part(person, numbers, [(min(pair), max(pair)) for pair in ties])
        lost = []
        for score, one, other in scored:
            a, b = parts.find(one), parts.find(other)
            holds = score.bits >= matcher.thresholds.link and not score.guards
            if a == b or (holds and are_one(parts.members(a), parts.members(b), matcher, apart)):
                parts.join(a, b)
            else:
                lost.append((score, one, other))
        for score, one, other in lost:
            if parts.find(one) != parts.find(other):
                yield Change(
                    kind="split", persons=(person,), records=(one, other), bits=score.bits, why=tuple(score.guards)
                )
        units.settle(parts)


def _merges(
    units: Units, matcher: Matcher, scored: Iterable[tuple[int, int, float]], apart: Pairs, asked: Pairs
) -> Iterable[Change]:
    best: dict[tuple[int, int], tuple[float, int, int]] = {}
    for a, b, bits in scored:
        pair = units.between(a, b)
        if pair[0] != pair[1] and bits > best.get(pair, (float("-inf"), 0, 0))[0]:
            best[pair] = (bits, min(a, b), max(a, b))
    waiting = {frozenset(units.between(*pair)) for pair in map(tuple, asked) if all(map(units.knows, pair))}
    open_: list[Change] = []
    for bits, a, b in sorted(best.values(), key=lambda one: (-one[0], one[1:])):
        one, other = units.between(a, b)
        some, others = units.members(one), units.members(other)
        persons = (units.person(a), units.person(b))
        if one == other or persons[0] == persons[1] or _kept_apart(some, others, apart):
            continue
        score = matcher.score(units.record(a), units.record(b))
        if is_another(score.guards):
            continue
        sure = bits >= matcher.thresholds.link and not score.guards and are_one(some, others, matcher, apart)
        change = Change(
            kind="merge" if sure else "review-merge", persons=persons, records=(a, b), bits=bits, why=score.guards
        )
        if sure:
            units.join(one, other)
            yield change
        elif frozenset((one, other)) not in waiting:
            open_.append(change)
    # Some of them have become one by other pairs meanwhile, and two persons are asked about once.
    seen = set()
    for change in open_:
        pair = units.between(*change.records)
        if pair[0] != pair[1] and pair not in seen:
            seen.add(pair)
            yield change


def _kept_apart(some: Iterable[Member], others: Collection[Member], apart: Pairs) -> bool:
    return any(frozenset((a.record_id, b.record_id)) in apart for a in some for b in others) if apart else False


def _contradicted(units: Units, matcher: Matcher, together: Pairs) -> Iterable[Change]:
    for person, members in units.as_they_were():
        for place, one in enumerate(members):
            for other in members[place + 1 :]:
                score = matcher.score(one.record, other.record)
                against = tuple(guard for guard in score.guards if guard in VETOES)
                pair = (one.record_id, other.record_id)
                if (against or score.bits < matcher.thresholds.review) and frozenset(pair) not in together:
                    yield Change(kind="review-split", persons=(person,), records=pair, bits=score.bits, why=against)
