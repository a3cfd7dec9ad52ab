"""What an attribute says is found whatever shape the archive gave it, and nothing harmful passes with it."""

from typing import Any

import orjson
import pytest

from gateway.imaging.dicom_json import LONGEST_TEXT, clean, count, exact, items, text, texts, token, values

TAG = "00081030"


@pytest.mark.parametrize(
    ("attribute", "found"),
    [
        ({"vr": "LO", "Value": ["a", "b"]}, ["a", "b"]),
        ({"Value": ["a"]}, ["a"]),
        ({"vr": "LO"}, []),
        ({"vr": "LO", "Value": []}, []),
        ({"vr": "LO", "Value": None}, []),
        ({"vr": "LO", "Value": "a"}, ["a"]),
        (["a"], ["a"]),
        ("a", ["a"]),
        (7, [7]),
        (None, []),
    ],
)
def test_values_are_found_in_every_shape(attribute: Any, found: list[Any]) -> None:
    """PS3.18 annex F asks for one shape; archives send these."""
    assert list(values({TAG: attribute}, TAG)) == found


def test_an_absent_attribute_has_no_values() -> None:
    """Nothing is looked for in vain."""
    assert (list(values({}, TAG)), text({}, TAG), token({}, TAG), count({}, TAG), texts({}, TAG)) == (
        *([], None, None, None, []),
    )


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("CT Thorax", "CT Thorax"),
        ("  padded \0", "padded"),
        ("line\r\nbreak\tand\x1b[31mescape", "line break and [31mescape"),
        ("turned\u202earound\u2066", "turnedaround"),
        ("half\ud83d", "half"),
        ("東京　病院", "東京 病院"),
        ("naïve\u00a0space", "naïve space"),
        (42, "42"),
        (True, ""),
        (10**30, ""),
        (1.5, ""),
        ({"a": 1}, ""),
        (None, ""),
        (" \0 ", ""),
    ],
)
def test_words_are_cleaned(value: Any, words: str) -> None:
    """Controls become spaces; what no UTF-8 can hold and what turns text around goes; what is no text says nothing."""
    assert clean(value) == words
    assert orjson.loads(orjson.dumps(clean(value))) == words


def test_a_text_that_is_too_long_is_cut() -> None:
    """The beginning of a description is still true."""
    assert clean("x" * 5000) == "x" * LONGEST_TEXT
    assert clean("ab cd", 3) == "ab"


def test_the_first_value_that_says_anything_is_taken() -> None:
    """An empty first value is common and means nothing."""
    assert text({TAG: {"Value": [None, "", " ", "CT"]}}, TAG) == "CT"


def test_an_identifier_is_never_cut() -> None:
    """Half of an accession number is another accession number."""
    assert exact({TAG: {"Value": ["x" * 64]}}, TAG) == "x" * 64
    assert exact({TAG: {"Value": ["x" * 65]}}, TAG) is None
    assert exact({}, TAG) is None


def test_a_string_of_several_values_is_taken_apart() -> None:
    """Some archives join the values of one attribute with backslashes, as DICOM does on disk."""
    assert texts({TAG: {"Value": ["CT\\ SR", "US", None, 3]}}, TAG) == ["CT", "SR", "US", "3"]


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (0, 0),
        (12, 12),
        ("12", 12),
        (" 12 ", 12),
        ("+3", 3),
        ("12.0", 12),
        (12.0, 12),
        (12.5, None),
        (-1, None),
        ("-1", None),
        (2**31, None),
        (2**31 - 1, 2**31 - 1),
        ("twelve", None),
        ("1" * 4000, None),
        (True, None),
        (float("inf"), None),
        (None, None),
        ([3], None),
    ],
)
def test_counts_are_whole_and_fit_fhir(value: Any, number: int | None) -> None:
    """FHIR's unsignedInt holds 0 to 2,147,483,647."""
    assert count({TAG: {"Value": [value]}}, TAG) == number


@pytest.mark.parametrize(
    ("value", "read"), [(" 20240501 ", "20240501"), (20240501, None), ("x" * 67, None), (None, None)]
)
def test_a_token_is_a_short_string(value: Any, read: str | None) -> None:
    """What is parsed is never long, so that nobody can fill a memory of parsed values."""
    assert token({TAG: {"Value": [value]}}, TAG) == read
    assert token({TAG: {"Value": []}}, TAG) is None


def test_items_that_are_no_objects_are_left_out() -> None:
    """A sequence holds objects."""
    assert items({TAG: {"Value": [{"a": 1}, None, "x", 3]}}, TAG) == [{"a": 1}]
