"""The reference page of a matching algorithm, written from the algorithm itself. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import fields

from gateway.mpi.algorithm import FREQUENT_FIELDS, Algorithm, Thresholds
from gateway.mpi.grade import CERTAIN_WEIGHT
from gateway.mpi.guards import DESCRIPTIONS, VETOES

_INTRODUCTION = """\
# Matching

How the patient index decides whether two records are one person's. This page is written from the algorithm that is
shipped (`gateway/mpi/default_algorithm.json`); `python -m gateway patients train` makes another, with its own label.

A pair's **match weight** is the prior plus one weight for each comparison, in bits: log2 of the odds that the two
records are one person's (Fellegi and Sunter 1969, as Splink computes it). What is missing weighs nothing. The prior is
for the size of the index: twice the records, one bit less.

A record that arrives is **linked** to the person whose best record reaches the threshold `link`, if no guard holds it
and the mean over all of the person's records reaches `mean`; where several persons do, they become one if nothing holds
any two of their records apart. A record that reaches `review` only, or is held by one guard, becomes a person of its
own and a **task** for a steward. Everything else is another person.
"""
_GRADES = """\
## Grades

| grade | when |
|---|---|
| `certain` | reaches `link`, no guard, the mean over the person's records reaches `mean`, \
and the question weighs {weight} or more by the input weights of HL7 Identity Matching |
| `probable` | reaches `link`, but a guard, the person's other records, too little said \
or another person who is 10 bits more alike keep it from being certain |
| `possible` | reaches `review` |

`search.score` is 1 / (1 + 2^-weight). Name, birth date and sex alone weigh 5, and are never `certain`.
"""


def to_markdown(algorithm: Algorithm) -> str:
    """The page: thresholds, comparisons with their weights, guards, grades."""
    parts = (
        [_INTRODUCTION],
        [f"Label: `{algorithm.label}`. {algorithm.description}\n"],
        _thresholds(algorithm),
        _comparisons(algorithm),
        _guards(algorithm),
        [_GRADES.format(weight=CERTAIN_WEIGHT)],
    )
    return "\n".join(line for part in parts for line in part)


def _table(*rows: Iterable[str]) -> Iterator[str]:
    for place, row in enumerate(rows):
        cells = list(row)
        yield f"| {' | '.join(cells)} |"
        if place == 0:
            yield "|" + "---|" * len(cells)
    yield ""


def _thresholds(algorithm: Algorithm) -> Iterator[str]:
    yield "## Thresholds\n"
    rows = (
        (f"`{one.name}`", f"{getattr(algorithm.thresholds, one.name):g}", one.metadata["description"])
        for one in fields(Thresholds)
    )
    yield from _table(("threshold", "bits", "a pair that reaches it"), *rows)


def _comparisons(algorithm: Algorithm) -> Iterator[str]:
    yield "## Comparisons\n"
    for one in algorithm.comparisons:
        yield f"### {one.field}\n"
        yield f"{one.description}\n"
        missing, *levels = one.levels
        rows = [(f"`{missing.name}`", missing.description, "–", "–", "0")]
        rows += [
            (f"`{level.name}`", level.description, f"{level.m:.2g}", f"{level.u:.2g}", f"{level.bits:+.1f}")
            for level in levels
        ]
        yield from _table(("level", "the field …", "m", "u", "bits"), *rows)
        if one.field in FREQUENT_FIELDS:
            listed, rare = algorithm.frequencies.listed[one.field], algorithm.frequencies.rare[one.field]
            yield (
                f"`same` is corrected by how common the name is: {len(listed)} names are listed, any other counts as "
                f"one in {round(1 / rare)}.\n"
            )


def _guards(algorithm: Algorithm) -> Iterator[str]:
    yield "## Guards\n"
    yield "A pair that a guard holds is never linked by itself. Two guards on a pair are another person.\n"
    rows = (
        (f"`{guard}`", DESCRIPTIONS[guard], "any record of the person" if guard in VETOES else "the best pair")
        for guard in algorithm.guards
    )
    yield from _table(("guard", "holds when", "looked for in"), *rows)
