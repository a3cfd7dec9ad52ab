"""Training an algorithm on records, by Splink: u from random pairs, m by expectation maximisation. For jobs only."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb
from splink import Linker

from gateway.mpi.algorithm import Algorithm, Comparison
from gateway.mpi.bulk.splink_model import load_records, memory_database, open_linker
from gateway.mpi.comparison import LEVELS, Field
from gateway.mpi.guards import Guard
from gateway.mpi.match_record import MatchRecord
from gateway.mpi.training import count_names, untrained_algorithm, with_weights

MOST_RECORDS = 1_000_000
"""Trained on no more: a sample of a hundred thousand gives the same weights in a twentieth of the time."""
Progress = Callable[[str], None]

_RANDOM_PAIRS = 2e6
_SEED = 20261124
_TRAINING_BLOCKS = (
    # Each comparison is free in at least one of them; one that never was would silently weigh nothing.
    "l.given = r.given and l.family = r.family and l.given <> ''",
    "l.birth_date = r.birth_date and length(l.birth_date) = 8",
    "l.doors[1] = r.doors[1] and l.given[1] = r.given[1]",
)
_PREDICTION_BLOCKS = (
    "l.birth_date = r.birth_date and l.birth_date <> ''",
    "l.given = r.given and l.family = r.family and l.given <> ''",
    "l.phones[1] = r.phones[1]",
    "l.doors[1] = r.doors[1]",
    "l.national[1] = r.national[1]",
    "l.emails[1] = r.emails[1]",
)
_COUNTED: Mapping[Field, tuple[str, ...]] = {
    "birth_date": ("same", "same_first_of_year"),
    "phone": ("same",),
    "email": ("same",),
    "address": ("home", "door"),
    "national": ("same",),
}
"""Agreements so rare that all pairs that have them are counted: each is under a prediction block."""
_STEPS = 3
_LEAST_TOLD = 0.01


class TrainingFailed(Exception):
    """The records can't speak about what has to be learnt from them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """An algorithm with how it came about."""

    algorithm: Algorithm
    records: int
    untrained: tuple[str, ...]
    """`field.level` of each level that the records don't show, which keeps its guess."""
    histogram: tuple[tuple[float, int], ...]
    """Pairs that were compared, by match weight (lower edge of each bin)."""


def train(
    records: Sequence[MatchRecord],
    label: str,
    *,
    guards: tuple[Guard, ...] = tuple(Guard),
    threads: int = 1,
    progress: Progress = lambda _: None,
) -> Training:
    """An algorithm with `guards` whose weights are those of `records`, as it says itself. Raises TrainingFailed."""
    if not 500 <= len(records) <= MOST_RECORDS:
        msg = f"training takes from 500 to {MOST_RECORDS} records"
        raise TrainingFailed(msg)
    guess = replace(untrained_algorithm(label), records=len(records), frequencies=count_names(records))
    guess = replace(guess, prior=min(0.7 / len(records), 0.01), guards=guards)
    with memory_database(threads) as connection:
        progress("loading")
        load_records(connection, enumerate(records))
        linker = open_linker(connection, guess, records=len(records), trained=False)
        progress("u from random pairs")
        linker.training.estimate_u_using_random_sampling(max_pairs=_RANDOM_PAIRS, seed=_SEED, min_count_per_level=None)
        for number, block in enumerate(_TRAINING_BLOCKS, 1):
            progress(f"m by expectation maximisation, {number} of {len(_TRAINING_BLOCKS)}")
            linker.training.estimate_parameters_using_expectation_maximisation(
                block, estimate_without_term_frequencies=True
            )
        algorithm, untrained = _trained(guess, linker, _told(records))
        progress("prior, and u of rare agreements")
        algorithm, histogram = _settled(connection, algorithm, len(records))
    described = f"Trained on {len(records)} records: u from random pairs, m by expectation maximisation (Splink)."
    return Training(
        algorithm=replace(algorithm, description=described),
        records=len(records),
        untrained=untrained,
        histogram=histogram,
    )


def _told(records: Sequence[MatchRecord]) -> frozenset[Field]:
    # Fields that enough of the records have for training to speak about them.
    columns: Mapping[Field, str] = {"phone": "phones", "email": "emails", "address": "street", "place": "postcode"}
    return frozenset(
        field
        for field in LEVELS
        if sum(1 for record in records if getattr(record, columns.get(field, field))) >= len(records) * _LEAST_TOLD
    )


def _trained(guess: Algorithm, linker: Linker, told: frozenset[Field]) -> tuple[Algorithm, tuple[str, ...]]:
    model: dict[str, Any] = linker.misc.save_model_to_json()
    stated = {one["output_column_name"]: one["comparison_levels"] for one in model["comparisons"]}
    comparisons: list[Comparison] = []
    unseen: list[str] = []
    for one in guess.comparisons:
        weights = {level["label_for_charts"]: _weights(level) for level in stated[one.field]}
        seen = {name for name, (m, u) in weights.items() if m is not None and u is not None}
        if len(seen) < 2 and one.field in told:
            msg = f"{one.field}: the records show too few of its levels"
            raise TrainingFailed(msg)
        unseen.extend(f"{one.field}.{level.name}" for level in one.levels[1:] if level.name not in seen)
        comparisons.append(with_weights(one, weights))
    return replace(guess, comparisons=tuple(comparisons)), tuple(unseen)


def _weights(level: dict[str, Any]) -> tuple[float | None, float | None]:
    m, u = level.get("m_probability"), level.get("u_probability")
    return (m if isinstance(m, float) else None, u if isinstance(u, float) else None)


def _settled(
    connection: duckdb.DuckDBPyConnection, algorithm: Algorithm, records: int
) -> tuple[Algorithm, tuple[tuple[float, int], ...]]:
    # The prior that expects as many matches as the model then finds, and the u of rare agreements: a fixed point,
    # approached in steps. Random pairs hardly show a shared identifier, and most that do are matches. A household's
    # members share so much that they would count as matches, and a shared phone as proof: other given names, where a
    # guard holds them, are other persons here.
    match = "match_probability"
    if Guard.GIVEN_NAMES_DIFFER in algorithm.guards:
        match = "(CASE WHEN gamma_given = 0 THEN 0 ELSE match_probability END)"
    pairs = records * (records - 1) / 2
    for _ in range(_STEPS):
        linker = open_linker(connection, algorithm, records=records, blocking=_PREDICTION_BLOCKS, explained=True)
        found = linker.inference.predict(threshold_match_weight=-60).physical_name
        expected = _one(connection, f"SELECT sum({match}) FROM {found}")  # noqa: S608
        algorithm = replace(
            algorithm,
            prior=max(expected, 1.0) / pairs,
            comparisons=tuple(_counted(connection, found, match, one, pairs) for one in algorithm.comparisons),
        )
    counts = f"SELECT floor(match_weight), count(*) FROM {found} GROUP BY 1 ORDER BY 1"  # noqa: S608
    return algorithm, tuple(connection.execute(counts).fetchall())


def _counted(
    connection: duckdb.DuckDBPyConnection, found: str, match: str, comparison: Comparison, pairs: float
) -> Comparison:
    counted: dict[str, tuple[float | None, float | None]] = {}
    for place, level in enumerate(comparison.levels):
        if level.name not in _COUNTED.get(comparison.field, ()):
            counted[level.name] = (level.m, level.u)
            continue
        # Splink numbers levels from the last one up.
        where = f"gamma_{comparison.field} = {len(comparison.levels) - 1 - place}"
        others = _one(connection, f"SELECT sum(1 - {match}) FROM {found} WHERE {where}")  # noqa: S608
        counted[level.name] = (level.m, max(others, 1.0) / pairs)
    return with_weights(comparison, counted)


def _one(connection: duckdb.DuckDBPyConnection, statement: str) -> float:
    return float(connection.execute(statement).fetchall()[0][0] or 0)
