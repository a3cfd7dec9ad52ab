"""How sure a match is, in FHIR's words."""

import pytest

from gateway.mpi.algorithm import Thresholds
from gateway.mpi.grade import (
    CERTAIN_WEIGHT,
    OUTDONE_BITS,
    Grade,
    grade_answer,
    grade_answers,
    grade_person,
    input_weight,
    only_certain,
)
from gateway.mpi.match_record import MatchRecord
from tests.factories_matching import a_record

THRESHOLDS = Thresholds(link=4, mean=1, review=0)


@pytest.mark.parametrize(
    ("best", "mean", "held", "grade"),
    [
        (4, 1, False, "certain"),
        (4, 1, True, "probable"),
        (4, 0.9, False, "probable"),
        (3.9, 3, False, "possible"),
        (0, 0, True, "possible"),
        (-0.1, 0, False, "certainly-not"),
    ],
)
def test_a_grade_needs_its_threshold_and_nothing_against_it(best: float, mean: float, held: bool, grade: Grade) -> None:
    """`certain` is what may be linked without a person looking."""
    assert grade_person(best, mean, held, THRESHOLDS) == grade


def test_input_weights_are_those_of_identity_matching() -> None:
    """5 for an identifier (10 at most), 4 or 5 for contacts, 3 for the name, 2 for the birth date."""
    name_and_birth = MatchRecord(given="a", family="b", birth_date="19800512", sex="male")

    assert input_weight(MatchRecord()) == 0
    assert input_weight(name_and_birth) == 5
    assert input_weight(name_and_birth._replace(phones=("1",))) == 9
    assert input_weight(name_and_birth._replace(phones=("1",), street="x")) == 10
    assert input_weight(MatchRecord(national=("a|1", "b|2"), identifiers=("c|3",))) == 10


def test_name_birth_date_and_sex_alone_are_never_certain() -> None:
    """Strangers share them, however rare the name."""
    bare = MatchRecord(given="a", family="b", birth_date="19800512", sex="male")

    assert input_weight(bare) < CERTAIN_WEIGHT <= input_weight(a_record())
    assert grade_answer("certain", bare) == "probable"
    assert grade_answer("certain", a_record()) == "certain"
    assert grade_answer("possible", bare) == "possible"


def test_whom_another_is_far_more_alike_to_is_not_certain() -> None:
    """A sister with a sister's name, beside the one who is meant; two that are about as alike both stay certain."""
    said = a_record()

    assert grade_answers([("certain", 56.0), ("certain", 56.0 - OUTDONE_BITS)], said) == ("certain", "probable")
    assert grade_answers([("certain", 56.0), ("certain", 50.0)], said) == ("certain", "certain")
    assert grade_answers([("probable", 56.0), ("certain", 30.0)], said) == ("probable", "probable")
    assert grade_answers([], said) == ()


def test_two_certain_matches_are_none() -> None:
    """PDQm ITI-119: several that can't be confirmed as one person answer `onlyCertainMatches` with nothing."""
    assert only_certain(["certain", "probable"]) == (0,)
    assert only_certain(["probable", "certain"]) == (1,)
    assert only_certain(["certain", "certain"]) == ()
    assert only_certain([]) == ()
