"""What a record says of a person, and when two records contradict each other."""

import pytest

from gateway.model import Demographics, Identifier
from gateway.mpi.demographics import comparable, contradicts, demographics_of, fold, identifiers_of

ANA = Demographics(given=("Ana",), birth_date="1980-02-03")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("MÜLLER", "muller"),
        ("O'Brien", "OBRIEN"),
        ("Jean-Luc", "jean luc"),
        ("Straße", "STRASSE"),
        ("ИВАНОВ", "Иванов"),
        ("ヤマダ", "ﾔﾏﾀﾞ"),
        ("Ｓｍｉｔｈ", "smith"),
        ("José", "Jose\u0301"),
    ],
)
def test_names_fold_alike(one: str, other: str) -> None:
    """Case, accents, width and punctuation are no difference."""
    assert fold(one) == fold(other) != ""


@pytest.mark.parametrize(("one", "other"), [("Ana", "Anna"), ("Иванов", "Ivanov"), ("Li", "Lý")])
def test_other_names_stay_other_names(one: str, other: str) -> None:
    """Folding guesses nothing: no transliteration, no likeness."""
    assert fold(one) != fold(other)


def test_punctuation_alone_folds_to_nothing() -> None:
    """A dash that stands for a missing name is a missing name."""
    assert fold(" - ") == fold("") == ""


@pytest.mark.parametrize(
    ("given", "birth_date", "verdict"),
    [
        (("Bob",), "1955-05-05", True),
        (("Bob",), "1980-02-03", False),
        (("Ana",), "1955-05-05", False),
        (("ANÁ",), "1955-05-05", False),
        (("Bob", "Ana"), "1955-05-05", False),
        (("Ana-Maria",), "1955-05-05", False),
        (("Ana Maria",), "1955-05-05", False),
        (("A.",), "1955-05-05", False),
        (("B.",), "1955-05-05", True),
        ((), "1955-05-05", False),
        (("-",), "1955-05-05", False),
        (("Bob",), None, False),
        (("Bob",), "1980", False),
        (("Bob",), "1980-02", False),
        (("Bob",), "1980-03", True),
        (("Bob",), "1981", True),
    ],
)
def test_only_given_name_and_birth_date_together_contradict(
    given: tuple[str, ...], birth_date: str | None, verdict: bool
) -> None:
    """Both must conflict as far as both are known; what is missing never conflicts. The order is no matter."""
    one, other = comparable(ANA), comparable(Demographics(given=given, birth_date=birth_date))

    assert contradicts(one, other) is verdict
    assert contradicts(other, one) is verdict


def test_family_name_and_sex_take_no_part() -> None:
    """People marry, and records get sex wrong: neither parts records that share a national id."""
    one = Demographics(given=("Ana",), family=("Rivera",), sex="female", birth_date="1980-02-03")
    other = Demographics(given=("Ana",), family=("Stone",), sex="male", birth_date="1980-02-03")

    assert comparable(one) == comparable(other)


def test_every_name_of_a_patient_counts_once() -> None:
    """Maiden names and nicknames too; nulls that stand for extensions are left out."""
    patient = {
        "name": [
            {"use": "official", "family": "Stone", "given": ["Ana", None, "Maria"]},
            {"use": "maiden", "family": "Rivera", "given": ["Ana"]},
            {"text": "Ana Stone"},
        ],
        "gender": "female",
        "birthDate": "1980",
    }

    assert demographics_of(patient) == Demographics(
        family=("Stone", "Rivera"), given=("Ana", "Maria"), birth_date="1980", sex="female"
    )
    assert demographics_of({}) == Demographics()


def test_identifiers_without_system_or_value_can_not_be_looked_up() -> None:
    """`system|value` needs both; white space around a value is no part of it; each counts once."""
    patient = {
        "identifier": [
            {"system": "urn:a", "value": " 1 "},
            {"system": "urn:a", "value": "1"},
            {"system": "urn:a"},
            {"value": "2"},
            {"system": "urn:a", "value": None},
        ]
    }

    assert identifiers_of(patient) == (Identifier("urn:a", "1"),)
    assert identifiers_of({}) == ()
