"""A DICOM person name reads as people write it, in every shape that archives send."""

from typing import Any

import pytest

from gateway.imaging.person_name import family_names, readable_name

TAG = "00080090"


@pytest.mark.parametrize(
    ("value", "name", "families"),
    [
        ({"Alphabetic": "Okafor^Ngozi"}, "Okafor, Ngozi", ("Okafor",)),
        ({"Alphabetic": "Okafor^Ngozi^Ada^Dr^PhD"}, "Okafor, Ngozi Ada", ("Okafor",)),
        ({"Alphabetic": " Okafor ^ Ngozi "}, "Okafor, Ngozi", ("Okafor",)),
        ({"Alphabetic": "Okafor"}, "Okafor", ("Okafor",)),
        ({"Alphabetic": "^Ngozi"}, "Ngozi", ()),
        ({"Alphabetic": "Okafor^^Ada"}, "Okafor, Ada", ("Okafor",)),
        ({"Alphabetic": "", "Ideographic": "山田^太郎"}, "山田, 太郎", ("山田",)),
        (
            {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"},
            "Yamada, Tarou",
            ("Yamada", "山田", "やまだ"),
        ),
        ("Yamada^Tarou=山田^太郎", "Yamada, Tarou", ("Yamada", "山田")),
        ("^^^^", None, ()),
        ({"Alphabetic": "^^"}, None, ()),
        ({"Alphabetic": None}, None, ()),
        ({"Alphabetic": {"family": "x"}}, None, ()),
        ({}, None, ()),
        ("", None, ()),
        (None, None, ()),
        (["Okafor"], None, ()),
    ],
)
def test_a_name_is_read(value: Any, name: str | None, families: tuple[str, ...]) -> None:
    """PS3.5 §6.2.1: family, given, middle, prefix, suffix; PS3.18 §F.2.2: three groups."""
    row = {TAG: {"vr": "PN", "Value": [value]}}

    assert (readable_name(row, TAG), family_names(row, TAG)) == (name, families)


def test_the_first_name_that_says_anything_is_read() -> None:
    """An absent attribute, an empty name before a full one."""
    row = {TAG: {"Value": [None, {"Alphabetic": ""}, {"Alphabetic": "Okafor^Ngozi"}]}}

    assert readable_name({}, TAG) is None
    assert readable_name(row, TAG) == "Okafor, Ngozi"
