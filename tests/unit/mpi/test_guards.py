"""Which pairs never link by themselves."""

from typing import Any

import pytest

from gateway.mpi.guards import DESCRIPTIONS, Guard, is_another
from tests.factories_matching import a_matcher, a_record

ALONE: dict[str, Any] = {"national": ()}
CASES: list[tuple[dict[str, Any], dict[str, Any], set[Guard]]] = [
    ({}, {}, set()),
    ({"given": "bill"}, ALONE, set()),
    ({"given": "w"}, ALONE, set()),
    ({"given": "james", "middle": "william"}, ALONE, set()),
    ({"given": "wintergate", "family": "william"}, ALONE, set()),
    ({"given": "robert"}, ALONE, {Guard.GIVEN_NAMES_DIFFER}),
    ({"given": "robert"}, {}, set()),
    (
        {"given": "wei", "given_native": "伟"},
        {"given": "wei", "given_native": "薇", **ALONE},
        {Guard.GIVEN_NAMES_DIFFER},
    ),
    ({"birth_date": "20150130"}, {}, {Guard.BIRTH_DATES_DIFFER}),
    ({"birth_date": "19801130"}, {}, set()),
    ({"given": "", "middle": "", "newborn": True}, ALONE, {Guard.NO_GIVEN_NAME}),
    ({"given": "", "middle": "j"}, ALONE, set()),
    ({"given": "", "middle": "j", "phones": ()}, ALONE, {Guard.NO_GIVEN_NAME}),
    ({"given": ""}, {}, set()),
    ({"national": ("urn:n|111222333",)}, {}, {Guard.NATIONAL_IDENTIFIERS_DIFFER}),
    ({"national": ("urn:n|536221243",)}, {}, set()),
    ({"national": ("urn:n|536221243",), "given": "bill"}, {}, {Guard.NATIONAL_IDENTIFIERS_DIFFER}),
    ({"sex": "female", "given": "bill"}, ALONE, {Guard.SEX_DIFFERS}),
    ({"sex": "female"}, {}, set()),
    ({"middle": "peter", "given": "bill"}, ALONE, {Guard.MIDDLE_NAMES_DIFFER}),
    ({"middle": "peter"}, {}, set()),
    ({"given": "robert", "birth_date": "19801130"}, {}, {Guard.IDENTIFIER_LENT}),
    ({"suffix": "2"}, {"suffix": "1"}, {Guard.GENERATIONS_DIFFER}),
    ({"suffix": "2"}, {}, set()),
    ({"birth_order": 1}, {"birth_order": 2}, {Guard.BIRTH_ORDERS_DIFFER}),
    ({"birth_order": 1}, {"birth_order": 1}, set()),
]


@pytest.mark.parametrize(("one", "other", "guards"), CASES)
def test_a_pair_is_held_by_what_contradicts(one: dict[str, Any], other: dict[str, Any], guards: set[Guard]) -> None:
    """Each guard holds its pairs and no others, whichever record comes first."""
    a, b = a_record(**one), a_record(**other)
    matcher = a_matcher()

    assert set(matcher.score(a, b).guards) == set(matcher.score(b, a).guards) == guards


def test_every_guard_is_described_and_shown_here() -> None:
    """No guard is without its words and an example above."""
    assert set(DESCRIPTIONS) == set(Guard) == set().union(*(guards for _, _, guards in CASES))


def test_two_guards_are_another_person_unless_an_identifier_is_lent() -> None:
    """A relative isn't put before a steward; a shared national identifier always is."""
    assert not is_another((Guard.SEX_DIFFERS,))
    assert is_another((Guard.SEX_DIFFERS, Guard.BIRTH_DATES_DIFFER))
    assert not is_another((Guard.IDENTIFIER_LENT, Guard.BIRTH_DATES_DIFFER))
