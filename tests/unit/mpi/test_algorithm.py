"""The algorithm as data: written, read, refused, described."""

from dataclasses import replace
from math import log2
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.mpi.algorithm import AlgorithmRefused, default_algorithm, parse_algorithm, to_json, with_thresholds
from gateway.mpi.algorithm_page import to_markdown
from gateway.mpi.match_record import MatchRecord
from gateway.mpi.training import LEAST_CARRIERS, count_names, untrained_algorithm, with_weights
from tests.factories_matching import a_matcher, a_record

PAGE = Path(__file__).parents[3] / "docs/reference/matching.md"


def test_the_reference_page_is_that_of_the_shipped_algorithm() -> None:
    """`python -m tests.accuracy --page` writes it."""
    assert PAGE.read_text() == to_markdown(default_algorithm())


def test_an_algorithm_is_read_as_it_was_written() -> None:
    """JSON loses nothing."""
    for algorithm in (default_algorithm(), untrained_algorithm("x/1")):
        assert parse_algorithm(to_json(algorithm)) == algorithm


def _changed(**elements: Any) -> bytes:
    return orjson.dumps({**orjson.loads(to_json(default_algorithm())), **elements})


@pytest.mark.parametrize(
    "document",
    [
        b"{",
        b"[]",
        b"{}",
        _changed(prior=0),
        _changed(records=0),
        _changed(comparisons=[]),
        _changed(comparisons="x"),
        _changed(thresholds={"link": 1, "review": 2}),
        _changed(thresholds={"unknown": 1}),
        _changed(guards=["unknown"]),
        _changed(frequencies={"listed": {"given": {}, "family": {}}, "rare": {"given": 0, "family": 1}}),
    ],
)
def test_an_algorithm_that_cannot_run_is_refused(document: bytes) -> None:
    """Before it scores anything."""
    with pytest.raises(AlgorithmRefused):
        parse_algorithm(document)


def test_levels_that_are_not_compared_are_refused() -> None:
    """The levels are those of this version, in their order, each with a probability."""
    stated = orjson.loads(to_json(default_algorithm()))
    stated["comparisons"][0]["levels"].pop()
    with pytest.raises(AlgorithmRefused, match=r"comparisons\.given: not its levels"):
        parse_algorithm(orjson.dumps(stated))
    stated = orjson.loads(to_json(default_algorithm()))
    stated["comparisons"][1]["levels"][1]["u"] = 0
    with pytest.raises(AlgorithmRefused, match=r"comparisons\.family: an m or u"):
        parse_algorithm(orjson.dumps(stated))


def test_other_thresholds_are_another_label() -> None:
    """A link tells by what it was made; the same thresholds are the same algorithm."""
    algorithm = default_algorithm()
    stricter = with_thresholds(algorithm, link=6)

    assert with_thresholds(algorithm, link=algorithm.thresholds.link) is algorithm
    assert stricter.label == f"{algorithm.label}@link=6,mean=0,review=0"
    assert with_thresholds(stricter, link=7).label == f"{algorithm.label}@link=7,mean=0,review=0"


def test_twice_the_records_cost_one_bit() -> None:
    """The prior falls as the index grows."""
    algorithm = default_algorithm()

    assert algorithm.prior_bits(200_000) == pytest.approx(algorithm.prior_bits(100_000) - 1)
    assert a_matcher(records=1).weigh(a_record(), a_record())[0] > a_matcher().weigh(a_record(), a_record())[0]


def test_a_rarer_name_weighs_more() -> None:
    """By log2 of how much rarer it is; a name that isn't listed counts as rare."""
    algorithm = default_algorithm()
    matcher = a_matcher()
    common, share = max(algorithm.frequencies.listed["family"].items(), key=lambda one: one[1])

    def bits(family: str) -> float:
        one = a_record(family=family)
        return matcher.weigh(one, one)[0]

    assert bits("zzyzx") - bits(common) == pytest.approx(log2(share / algorithm.frequencies.rare["family"]))


def test_an_explanation_adds_up_to_the_weight() -> None:
    """The steps of the waterfall are the weight, and each level is named."""
    one, other = a_record(), a_record(given="bill", phones=())
    steps = a_matcher().explain(one, other)

    assert sum(step.bits for step in steps) == pytest.approx(a_matcher().weigh(one, other)[0])
    assert {(step.field, step.level) for step in steps} >= {("given", "nickname"), ("phone", "missing")}
    assert sum(step.bits for step in a_matcher().explain(one, one)) == pytest.approx(a_matcher().weigh(one, one)[0])


def test_a_score_tells_the_probability() -> None:
    """1 / (1 + 2^-bits), for `search.score`; a score below the review threshold looks for no guards."""
    stranger = MatchRecord(given="olga", family="smith", birth_date="19330203", sex="female")
    high, low = a_matcher().score(a_record(), a_record()), a_matcher().score(a_record(), stranger)

    assert 0 <= low.probability < 0.5 < high.probability <= 1
    assert low.guards == ()


def test_switched_off_guards_hold_nothing() -> None:
    """Guards are part of the algorithm: a collection without households may do without."""
    one, other = a_record(national=()), a_record(national=(), given="robert", middle="")
    free = a_matcher(replace(default_algorithm(), guards=()))

    assert a_matcher().score(one, other).guards
    assert not free.score(one, other).guards


def test_names_that_few_have_are_not_listed() -> None:
    """From an algorithm, nobody can be told."""
    records = (
        [a_record(given="many")] * LEAST_CARRIERS
        + [a_record(given="few")] * (LEAST_CARRIERS - 1)
        + [a_record(given="")]
    )
    counted = count_names(records)

    assert set(counted.listed["given"]) == {"many"}
    assert counted.rare["given"] == pytest.approx((LEAST_CARRIERS - 1) / (2 * LEAST_CARRIERS - 1))
    assert count_names([]).rare["given"] == 1


def test_a_level_that_was_not_seen_keeps_its_guess() -> None:
    """No level is without a weight, and none is trained to nothing or to certainty."""
    guess = untrained_algorithm("x/1").comparisons[0]
    trained = with_weights(guess, {"same": (0.5, 0.001), "swapped": (0.0, None)})

    by_name = {level.name: level for level in trained.levels}
    assert (by_name["same"].m, by_name["same"].u) == (0.5, 0.001)
    assert by_name["swapped"].m > 0
    assert by_name["nickname"] == guess.levels[3]
