"""Which level each pair of values is at."""

from typing import Any

import pytest

from gateway.mpi.comparison import LEVEL_OF, LEVELS, Field
from tests.factories_matching import a_record

CASES: list[tuple[Field, dict[str, Any], dict[str, Any], str]] = [
    ("given", {"given": ""}, {}, "missing"),
    ("given", {}, {}, "same"),
    ("given", {"given": "wei", "given_native": "伟"}, {"given": "wei", "given_native": "伟"}, "same"),
    ("given", {"given": "wei", "given_native": "伟"}, {"given": "wei", "given_native": "薇"}, "similar"),
    ("given", {"given": "wei", "given_native": "伟"}, {"given": "wei"}, "same"),
    ("given", {"given": "wintergate", "family": "william"}, {}, "swapped"),
    ("given", {"given": "wintergate", "family": "willian"}, {}, "swapped"),
    ("given", {"given": "bill"}, {}, "nickname"),
    ("given", {"given": "albert"}, {"given": "alfred"}, "different"),
    ("given", {"given": "james", "middle": ""}, {}, "other_name"),
    ("given", {"given": "w"}, {}, "initial"),
    ("given", {"given": "x"}, {}, "different"),
    ("given", {"given": "willliam"}, {}, "close"),
    ("given", {"given": "wiliman"}, {}, "similar"),
    ("given", {"given": "robert"}, {}, "different"),
    ("family", {"family": ""}, {}, "missing"),
    ("family", {"given": "wintergate", "family": "william"}, {}, "missing"),
    ("family", {}, {}, "same"),
    ("family", {"family": "li", "family_native": "李"}, {"family": "li", "family_native": "黎"}, "similar"),
    ("family", {"family": "greenwintergate", "families": ("greenwintergate", "wintergate")}, {}, "other_name"),
    ("family", {"family": "wintergaet"}, {}, "close"),
    ("family", {"family": "wintershall"}, {}, "similar"),
    ("family", {"family": "william", "given": "robert"}, {}, "as_given_name"),
    ("family", {"family": "smith"}, {}, "different"),
    ("middle", {"middle": ""}, {}, "missing"),
    ("middle", {"middle": "william", "given": "james"}, {}, "missing"),
    ("middle", {}, {}, "same"),
    ("middle", {"middle": "j"}, {}, "initial"),
    ("middle", {"middle": "peter"}, {}, "different"),
    ("birth_date", {"birth_date": ""}, {}, "missing"),
    ("birth_date", {"birth_date": "19800101"}, {"birth_date": "19800101"}, "same_first_of_year"),
    ("birth_date", {}, {}, "same"),
    ("birth_date", {"birth_date": "19801205"}, {}, "swapped"),
    ("birth_date", {"birth_date": "19800513"}, {}, "typo"),
    ("birth_date", {"birth_date": "19080512"}, {}, "typo"),
    ("birth_date", {"birth_date": "198005"}, {}, "as_far_as_known"),
    ("birth_date", {"birth_date": "1980"}, {"birth_date": "1980"}, "as_far_as_known"),
    ("birth_date", {"birth_date": "198006"}, {}, "year"),
    ("birth_date", {"birth_date": "1981"}, {}, "different"),
    ("birth_date", {"birth_date": "19800529"}, {}, "two_parts"),
    ("birth_date", {"birth_date": "19801130"}, {}, "year"),
    ("birth_date", {"birth_date": "20111130"}, {}, "different"),
    ("sex", {"sex": ""}, {}, "missing"),
    ("sex", {}, {}, "same"),
    ("sex", {"sex": "female"}, {}, "different"),
    ("phone", {"phones": ()}, {}, "missing"),
    ("phone", {"phones": ("1", "555010001")}, {}, "same"),
    ("phone", {"phones": ("555010002",)}, {}, "different"),
    ("email", {"emails": ()}, {}, "missing"),
    ("email", {}, {}, "same"),
    ("email", {"emails": ("x@mail.example",)}, {}, "different"),
    ("address", {"street": ""}, {}, "missing"),
    ("address", {}, {}, "home"),
    ("address", {"street": "elm rd", "homes": ("7 elm rd 2", "12 oak av 10001")}, {}, "home"),
    ("address", {"postcode": "20002"}, {}, "door"),
    ("address", {"street": "oakk av"}, {}, "similar"),
    ("address", {"street": "oakk av", "number": "14"}, {}, "street"),
    ("address", {"street": "elm rd"}, {}, "number"),
    ("address", {"street": "elm rd", "number": "14"}, {}, "different"),
    ("unit", {"unit": "4b"}, {}, "missing"),
    ("unit", {"unit": "4b"}, {"unit": "4b"}, "same"),
    ("unit", {"unit": "rosehill lodge"}, {"unit": "rosehil lodge"}, "similar"),
    ("unit", {"unit": "4b"}, {"unit": "7"}, "different"),
    ("place", {"postcode": "", "city": ""}, {}, "missing"),
    ("place", {}, {}, "missing"),
    ("place", {"number": "14", "city": "ashdael"}, {}, "postcode_and_city"),
    ("place", {"number": "14", "city": "kingsley"}, {}, "postcode"),
    ("place", {"number": "14", "postcode": "20002"}, {}, "city"),
    ("place", {"number": "14", "postcode": "20002", "city": "ashdalle"}, {}, "similar"),
    ("place", {"number": "14", "postcode": "10002", "city": ""}, {}, "similar"),
    ("place", {"number": "14", "postcode": "20402", "city": "kingsley"}, {}, "different"),
    ("national", {"national": ()}, {}, "missing"),
    ("national", {"national": ("urn:other|1",)}, {}, "missing"),
    ("national", {}, {}, "same"),
    ("national", {"national": (), "identifiers": ("urn:f|7",)}, {"identifiers": ("urn:f|7",)}, "same"),
    ("national", {"national": ("urn:n|536221243",)}, {}, "typo"),
    ("national", {"national": ("urn:n|111222333",)}, {}, "different"),
]


@pytest.mark.parametrize(("field", "one", "other", "level"), CASES)
def test_each_pair_has_its_level(field: Field, one: dict[str, Any], other: dict[str, Any], level: str) -> None:
    """The level is that of the best agreement, and the same whichever record comes first."""
    a, b = a_record(**one), a_record(**other)

    assert LEVELS[field][LEVEL_OF[field](a, b)] == level
    assert LEVELS[field][LEVEL_OF[field](b, a)] == level


def test_every_level_is_shown_here() -> None:
    """No level is without an example above."""
    shown = {(field, level) for field, _, _, level in CASES}

    assert shown == {(field, level) for field, levels in LEVELS.items() for level in levels}
