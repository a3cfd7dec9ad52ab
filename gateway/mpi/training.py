"""What a matching algorithm is before it has seen any record: its fields and levels, described, with careful guesses.

Training replaces each guess that the records can speak about; a level that they don't show (a swap among ten thousand
records) keeps its guess, so no level is ever without a weight. Pure.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from gateway.mpi.algorithm import FREQUENT_FIELDS, Algorithm, Comparison, Frequencies, Level
from gateway.mpi.comparison import LEVELS, Field
from gateway.mpi.match_record import MatchRecord

LEAST_CARRIERS = 20
"""A name that fewer records have isn't listed in an algorithm: from one, nobody can be told."""
_MOST_LISTED = 4000
_LEAST_M = 2e-4
"""No way of being alike is so rare among records of one person that it alone should decide."""
_LEAST_U = 1e-7

_FIELDS: Mapping[Field, str] = {
    "given": "The first given name, folded to Latin letters.",
    "family": "The family name, folded to Latin letters; neutral where it is swapped with the given name.",
    "middle": "The given names after the first.",
    "birth_date": "The birth date; defaults such as 1900-01-01 and impossible dates count as missing.",
    "sex": "The administrative gender where it is male or female.",
    "phone": "Telephone numbers by their last nine digits; junk counts as missing.",
    "email": "E-mail addresses in lower case without a tag.",
    "address": "House number and street, in one spelling of street words, without the unit.",
    "unit": "Flat, building or second line of the address.",
    "place": "Postcode and city; neutral where the home is the same, which has said it already.",
    "national": "Identifiers that name one person; invalid and placeholder values count as missing.",
}

_GUESSES: Mapping[Field, tuple[tuple[str, float, float], ...]] = {
    "given": (
        ("is missing, or stands for a child not yet named", 1, 1),
        ("is the same; a rarer name weighs more", 0.85, 0.004),
        ("and family name are each other's, one letter by letter and the other alike", 0.005, 1e-6),
        ("is a nickname of the other, or both of one formal name", 0.04, 0.004),
        ("is another of the given names", 0.02, 0.004),
        ("is an initial of the other", 0.015, 0.003),
        ("is alike: Jaro-Winkler 0.92 or more", 0.03, 0.003),
        ("is alike: Jaro-Winkler 0.85 or more, or sounds the same in another spelling", 0.01, 0.006),
        ("is another", 0.03, 0.97),
    ),
    "family": (
        ("is missing, or swapped with the given name", 1, 1),
        ("is the same; a rarer name weighs more", 0.88, 0.002),
        ("shares a part, or is a former one", 0.03, 0.0005),
        ("is alike: Jaro-Winkler 0.92 or more", 0.04, 0.001),
        ("is alike: Jaro-Winkler 0.85 or more, or sounds the same in another spelling", 0.01, 0.004),
        ("is the other's given name, or the other way round", 0.002, 0.0005),
        ("is another", 0.04, 0.99),
    ),
    "middle": (
        ("are missing, or the other's first given name", 1, 1),
        ("are the same", 0.6, 0.02),
        ("have the same initial", 0.35, 0.06),
        ("are others", 0.05, 0.92),
    ),
    "birth_date": (
        ("is missing", 1, 1),
        ("is the same first of January, which some systems write for a year", 0.01, 0.0001),
        ("is the same", 0.92, 0.00004),
        ("has day and month swapped", 0.008, 0.00001),
        ("is one typing mistake away", 0.025, 0.0006),
        ("is the same as far as both are known", 0.006, 0.0002),
        ("has two of year, month and day the same", 0.01, 0.003),
        ("has the same year", 0.007, 0.012),
        ("is another", 0.01, 0.98),
    ),
    "sex": (("is missing", 1, 1), ("is the same", 0.99, 0.5), ("is another", 0.01, 0.5)),
    "phone": (("is missing", 1, 1), ("is shared", 0.75, 0.00002), ("is another", 0.25, 0.99998)),
    "email": (("is missing", 1, 1), ("is shared", 0.85, 0.00001), ("is another", 0.15, 0.99999)),
    "address": (
        ("is missing", 1, 1),
        ("is a shared home: house number, street and postcode", 0.75, 0.00002),
        ("is a shared house number and street, with another postcode", 0.03, 0.00002),
        ("has the house number, and a street that is alike", 0.03, 0.00001),
        ("has a street that is alike", 0.01, 0.003),
        ("has the house number only", 0.005, 0.005),
        ("is another", 0.18, 0.997),
    ),
    "unit": (
        ("is missing", 1, 1),
        ("is the same", 0.8, 0.02),
        ("is alike: Jaro-Winkler 0.9 or more", 0.05, 0.01),
        ("is another", 0.15, 0.97),
    ),
    "place": (
        ("is missing, or said by the home already", 1, 1),
        ("has the same postcode, and the same city or one alike", 0.3, 0.001),
        ("has the same postcode", 0.05, 0.001),
        ("has the same city", 0.1, 0.008),
        ("has a postcode or city that is alike", 0.08, 0.01),
        ("is another", 0.47, 0.98),
    ),
    "national": (
        ("is missing", 1, 1),
        ("is shared", 0.97, 0.0000002),
        ("is one typing mistake away", 0.02, 0.0000005),
        ("is another", 0.01, 0.999999),
    ),
}


def untrained_algorithm(label: str) -> Algorithm:
    """An algorithm of guesses that are right in order of magnitude for a registry of patients."""
    return Algorithm(
        label=label,
        description="Not trained: every weight is a guess.",
        records=100_000,
        prior=1 / 120_000,
        comparisons=tuple(_untrained(field) for field in LEVELS),
        frequencies=Frequencies(
            listed={field: {} for field in FREQUENT_FIELDS}, rare=dict.fromkeys(FREQUENT_FIELDS, 0.0005)
        ),
    )


def _untrained(field: Field) -> Comparison:
    levels = (
        Level(name=name, description=f"{field.replace('_', ' ')} {words}", m=m, u=u)
        for name, (words, m, u) in zip(LEVELS[field], _GUESSES[field], strict=True)
    )
    return Comparison(field=field, description=_FIELDS[field], levels=tuple(levels))


def with_weights(comparison: Comparison, trained: Mapping[str, tuple[float | None, float | None]]) -> Comparison:
    """The comparison with the trained (m, u) of each level by name; a level that wasn't seen keeps its guess."""
    levels = (_weighted(level, *trained.get(level.name, (None, None))) for level in comparison.levels)
    return replace(comparison, levels=tuple(levels))


def _weighted(level: Level, m: float | None, u: float | None) -> Level:
    return replace(level, m=_probability(m, level.m, _LEAST_M), u=_probability(u, level.u, _LEAST_U))


def _probability(trained: float | None, guess: float, least: float) -> float:
    return guess if trained is None else min(max(trained, least), 1.0)


def count_names(records: Iterable[MatchRecord]) -> Frequencies:
    """How common each name is among `records`; a name that isn't listed counts as the average of those."""
    counters: dict[Field, Counter[str]] = {field: Counter() for field in FREQUENT_FIELDS}
    for record in records:
        for field, counter in counters.items():
            if name := getattr(record, field):
                counter[name] += 1
    listed: dict[Field, dict[str, float]] = {}
    rare: dict[Field, float] = {}
    for field, counter in counters.items():
        total = max(counter.total(), 1)
        common = [(name, n) for name, n in counter.most_common(_MOST_LISTED) if n >= LEAST_CARRIERS]
        left = [n for _, n in counter.most_common()[len(common) :]]
        listed[field] = {name: n / total for name, n in common}
        # The average as seen by a record, not by a name: of two records with one unlisted name.
        rare[field] = max(sum(n * n for n in left) / max(sum(left), 1) / total, 1 / total)
    return Frequencies(listed=listed, rare=rare)
