"""The matching algorithm as labelled, described data: weights, name frequencies, thresholds. Pure.

Its label goes into every link and audit event, so that a link can be explained by the very numbers that made it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from math import log2
from typing import Any, get_args

import orjson

from gateway.mpi.comparison import LEVELS, Field
from gateway.mpi.guards import Guard

FREQUENT_FIELDS: tuple[Field, ...] = ("given", "family")
"""Fields whose level `same` weighs more for a rare value."""
SAME = 1
"""The place of the level `same` in those."""


class AlgorithmRefused(ValueError):
    """A stored algorithm doesn't hold; the message says where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """How often records of one person (`m`) and of two persons (`u`) are alike in this way."""

    name: str
    description: str
    m: float = 1.0
    u: float = 1.0

    @property
    def bits(self) -> float:
        """The match weight: log2(m / u), 0 where nothing can be said."""
        return log2(self.m / self.u)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One field and its levels; the first is for what is missing."""

    field: Field
    description: str
    levels: tuple[Level, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """In bits: log2 of the odds that two records are one person's."""

    link: float = field(default=4.25, metadata={"description": "links by itself where no guard holds it (4.25: 95 %)"})
    mean: float = field(default=0.0, metadata={"description": "what the mean over a person's records must reach"})
    review: float = field(default=0.0, metadata={"description": "is put before a steward; below it, another person"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Frequencies:
    """How common names are, as shares of all records; only names that many records have are listed."""

    listed: Mapping[Field, Mapping[str, float]]
    rare: Mapping[Field, float]
    """The share taken for a name that isn't listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """Everything that decides a score. Two algorithms with one label are equal."""

    label: str
    description: str
    records: int
    """How many records the prior is for."""
    prior: float
    """The probability that two records picked at random are one person's."""
    comparisons: tuple[Comparison, ...]
    frequencies: Frequencies
    thresholds: Thresholds = Thresholds()
    guards: tuple[Guard, ...] = tuple(Guard)
    """Those that hold a pair. Fewer are for collections without households, where nobody is taken for a twin."""

    def prior_bits(self, records: int) -> float:
        """The prior as a match weight, for an index of `records` records.

        A person's records grow with the index, pairs grow with its square: so the prior falls as 1/N. A prior that
        stays costs precision as the index grows.
        """
        odds = self.prior / (1 - self.prior)
        return log2(odds) + log2(self.records / max(records, 1))


def with_thresholds(algorithm: Algorithm, **bits: float) -> Algorithm:
    """The algorithm with other thresholds, which its label tells."""
    thresholds = replace(algorithm.thresholds, **bits)
    if thresholds == algorithm.thresholds:
        return algorithm
    told = ",".join(f"{name}={getattr(thresholds, name):g}" for name in ("link", "mean", "review"))
    return replace(algorithm, label=f"{algorithm.label.partition('@')[0]}@{told}", thresholds=thresholds)


def to_json(algorithm: Algorithm) -> bytes:
    """The algorithm as JSON, from which `parse_algorithm` makes an equal one."""
    return orjson.dumps(algorithm, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def parse_algorithm(document: bytes) -> Algorithm:
    """The algorithm in `document`. Raises AlgorithmRefused where it isn't one this version can run."""
    try:
        stated = orjson.loads(document)
        algorithm = Algorithm(
            label=str(stated["label"]),
            description=str(stated["description"]),
            records=int(stated["records"]),
            prior=float(stated["prior"]),
            comparisons=tuple(_comparison(one) for one in stated["comparisons"]),
            frequencies=Frequencies(
                listed={one: dict(stated["frequencies"]["listed"][one]) for one in FREQUENT_FIELDS},
                rare={one: float(stated["frequencies"]["rare"][one]) for one in FREQUENT_FIELDS},
            ),
            thresholds=Thresholds(**stated["thresholds"]),
            guards=tuple(Guard(one) for one in stated["guards"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        msg = "the algorithm isn't JSON of the form that is written here"
        raise AlgorithmRefused(msg) from exc
    _require_runnable(algorithm)
    return algorithm


def _comparison(stated: Mapping[str, Any]) -> Comparison:
    levels = tuple(Level(**level) for level in stated["levels"])
    return Comparison(field=stated["field"], description=str(stated["description"]), levels=levels)


def _require_runnable(algorithm: Algorithm) -> None:
    if not 0 < algorithm.prior < 1 or algorithm.records < 1:
        msg = "prior: not a probability, or for no records"
        raise AlgorithmRefused(msg)
    if [one.field for one in algorithm.comparisons] != list(get_args(Field)):
        msg = "comparisons: not the fields that are compared, in their order"
        raise AlgorithmRefused(msg)
    for one in algorithm.comparisons:
        if tuple(level.name for level in one.levels) != LEVELS[one.field]:
            msg = f"comparisons.{one.field}: not its levels, in their order"
            raise AlgorithmRefused(msg)
        if not all(0 < level.m <= 1 and 0 < level.u <= 1 for level in one.levels):
            msg = f"comparisons.{one.field}: an m or u that isn't a probability above 0"
            raise AlgorithmRefused(msg)
    if algorithm.thresholds.review > algorithm.thresholds.link:
        msg = "thresholds: what links would not even be reviewed"
        raise AlgorithmRefused(msg)
    if not all(0 < share <= 1 for share in algorithm.frequencies.rare.values()):
        msg = "frequencies.rare: not a share above 0"
        raise AlgorithmRefused(msg)


@cache
def default_algorithm() -> Algorithm:
    """The algorithm that is shipped."""
    return parse_algorithm(files("gateway.mpi").joinpath("default_algorithm.json").read_bytes())
