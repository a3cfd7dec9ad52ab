"""FEBRL 1-4, streamed one record at a time at one fixed threshold, with and without the national identifier."""

import pytest

from tests.accuracy.feeds import baseline, febrl, febrl_algorithm, guarded_febrl_algorithm, link

SLACK = 0.0003
"""How far a run may fall below the stored baseline."""


@pytest.mark.parametrize(
    ("dataset", "national", "least_f1", "most_false"),
    [
        ("1", True, 0.9995, 0),
        ("1", False, 0.998, 0),
        pytest.param("2", True, 0.9990, 1, marks=pytest.mark.slow),
        pytest.param("2", False, 0.998, 1, marks=pytest.mark.slow),
        ("3", True, 0.9995, 0),
        pytest.param("3", False, 0.998, 0, marks=pytest.mark.slow),
        pytest.param("4", True, 0.9998, 0, marks=pytest.mark.slow),
        pytest.param("4", False, 0.998, 0, marks=pytest.mark.slow),
    ],
)
def test_febrl_is_linked_by_itself(dataset: str, national: bool, least_f1: float, most_false: int) -> None:
    """Automatic links reach the asked F1; false links are counted apart, and there are none in FEBRL 1, 3 and 4.

    The one of FEBRL 2 is two persons of one rare name and birth year with neighbouring postcodes, one of them without a
    street: 4.264 bits where 4.25 link. Their national identifiers differ, which says little there, since FEBRL mistypes
    those too: the guard that would hold the pair costs a tenth of the recall.
    """
    quality, _ = link(febrl(dataset, national=national), febrl_algorithm(), loose=True)

    assert quality.false_pairs <= most_false
    assert quality.f1 >= least_f1
    assert quality.f1 >= baseline(f"febrl{dataset}{'' if national else ' without the national identifier'}").f1 - SLACK
    assert quality.tasks_per_thousand <= 5


@pytest.mark.parametrize(
    ("dataset", "national"),
    [
        ("1", True),
        ("1", False),
        pytest.param("3", True, marks=pytest.mark.slow),
        pytest.param("3", False, marks=pytest.mark.slow),
        pytest.param("4", True, marks=pytest.mark.slow),
        pytest.param("4", False, marks=pytest.mark.slow),
    ],
)
def test_with_every_guard_nobody_is_linked_falsely_and_a_steward_finds_the_rest(dataset: str, national: bool) -> None:
    """FEBRL replaces given names and birth dates at random, as a twin's or a father's differ: those pairs wait."""
    quality, reviewed = link(febrl(dataset, national=national), guarded_febrl_algorithm(), loose=True)
    name = f"febrl{dataset}{'' if national else ' without the national identifier,'} with every guard"

    assert quality.false_pairs == reviewed.false_pairs == 0
    assert quality.f1 >= baseline(name).f1 - SLACK
    assert quality.true_tasks >= 0.98 * quality.tasks
    assert reviewed.f1 >= 0.985
