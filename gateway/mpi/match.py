"""The match weight of two records: Fellegi and Sunter's sum of log2(m/u), rarer names weighing more. Pure.

Equal to Splink's `match_weight` for the same algorithm (a test holds them within 1e-9).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log2

from gateway.mpi.algorithm import SAME, Algorithm
from gateway.mpi.comparison import LEVEL_OF, LEVELS, Field
from gateway.mpi.guards import Guard, find_guards
from gateway.mpi.match_record import MatchRecord

_GIVEN, _FAMILY = list(LEVELS).index("given"), list(LEVELS).index("family")


@dataclass(frozen=True, slots=True)
class PairScore:
    """How alike two records are: the match weight in bits, the level of each comparison, the guards that hold."""

    bits: float
    levels: tuple[int, ...]
    guards: tuple[Guard, ...]

    @property
    def probability(self) -> float:
        """That the two are one person's: 1 / (1 + 2^-bits)."""
        return 1 / (1 + 2 ** -max(self.bits, -1000))


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """What one comparison adds, for explaining a score."""

    field: Field | str
    level: str
    bits: float


class Matcher:
    """Scores pairs by one algorithm, for an index of a given size."""

    def __init__(self, algorithm: Algorithm, records: int | None = None) -> None:
        """`records` is how many the index holds; without it, as many as the algorithm was trained for."""
        self.algorithm = algorithm
        self.thresholds = algorithm.thresholds
        self._guards = frozenset(algorithm.guards)
        self.records = records or algorithm.records
        self._prior = algorithm.prior_bits(self.records)
        self._steps = tuple(
            (LEVEL_OF[one.field], (0.0, *(level.bits for level in one.levels[1:]))) for one in algorithm.comparisons
        )
        self._given = _rarity(algorithm, "given", _GIVEN)
        self._family = _rarity(algorithm, "family", _FAMILY)

    def weigh(self, a: MatchRecord, b: MatchRecord) -> tuple[float, tuple[int, ...]]:
        """The match weight in bits and the levels; the same whichever record comes first."""
        bits = self._prior
        levels = []
        for level_of, weights in self._steps:
            level = level_of(a, b)
            levels.append(level)
            bits += weights[level]
        if levels[_GIVEN] == SAME:
            common, rare = self._given
            bits += common.get(a.given, rare)
        if levels[_FAMILY] == SAME:
            common, rare = self._family
            bits += common.get(a.family, rare)
        return bits, tuple(levels)

    def score(self, a: MatchRecord, b: MatchRecord) -> PairScore:
        """The match weight with the guards that hold the pair. Guards below the review threshold aren't looked for."""
        bits, levels = self.weigh(a, b)
        if bits < self.thresholds.review:
            return PairScore(bits, levels, ())
        return PairScore(bits, levels, tuple(one for one in find_guards(a, b, levels) if one in self._guards))

    def explain(self, a: MatchRecord, b: MatchRecord) -> tuple[Contribution, ...]:
        """What each comparison adds to the match weight, the prior first: the steps of a waterfall chart."""
        _, levels = self.weigh(a, b)
        steps = [Contribution(field="prior", level="", bits=self._prior)]
        for one, level, (_, weights) in zip(self.algorithm.comparisons, levels, self._steps, strict=True):
            extra = 0.0
            if level == SAME and one.field == "given":
                extra = self._given[0].get(a.given, self._given[1])
            elif level == SAME and one.field == "family":
                extra = self._family[0].get(a.family, self._family[1])
            steps.append(Contribution(field=one.field, level=one.levels[level].name, bits=weights[level] + extra))
        return tuple(steps)


def _rarity(algorithm: Algorithm, field: Field, place: int) -> tuple[Mapping[str, float], float]:
    # log2(u / f): what the level's u says of the average name, corrected to the share f of this one.
    u = log2(algorithm.comparisons[place].levels[SAME].u)
    listed = algorithm.frequencies.listed[field]
    return {name: u - log2(share) for name, share in listed.items()}, u - log2(algorithm.frequencies.rare[field])
