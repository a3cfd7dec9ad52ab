"""The short way through what nearly every row looks like ends where the long way ends, whatever the row."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.row_check import check_row, issuers_of, judge_row
from gateway.imaging.dicom_json import clean, text, token, values
from gateway.imaging.from_dicom import patient_of
from tests.factories_adapters import a_facility, a_record
from tests.properties.test_from_dicom import ATTRIBUTES

TAG = "00081030"
WORDS = st.sampled_from(["CT Thorax", " padded ", "\0", "", "a\nb", "x" * 70]) | st.text(max_size=8)
PLAIN = st.fixed_dictionaries({"vr": st.just("LO"), "Value": st.lists(WORDS, max_size=2)})
PATIENT_IDS = st.sampled_from([["N-1"], ["N-1 "], ["N-2"], ["N-1", "N-1"], [7], [None], []])
BIRTH_DATES = st.sampled_from(["19610203", "1961.02.03", "19990909", "1961", "", " 19610203"])
NAMES = st.sampled_from(["Nordqvist^Nora", "Other^Olga", "=", ""])
PATIENTS = st.fixed_dictionaries(
    {},
    optional={
        "00100020": PATIENT_IDS.map(lambda value: {"vr": "LO", "Value": value}) | ATTRIBUTES,
        "00100021": st.sampled_from(["NORTH", "SOUTH"]).map(lambda value: {"vr": "LO", "Value": [value]}),
        "00100030": BIRTH_DATES.map(lambda value: {"vr": "DA", "Value": [value]}) | ATTRIBUTES,
        "00100010": NAMES.map(lambda value: {"vr": "PN", "Value": [{"Alphabetic": value}]}) | ATTRIBUTES,
    },
)


@given(PATIENTS, st.sampled_from(["1961-02-03", "1961-02", "1961", None]), st.sampled_from([None, "NORTH"]))
def test_t107_a_row_is_believed_exactly_where_all_it_says_is(
    row: dict[str, Any], birth_date: str | None, issuer: str | None
) -> None:
    """The name is not read where the birth date agrees; it would not have changed the verdict."""
    record, issuers = a_record(birth_date=birth_date), issuers_of(a_facility(issuer=issuer), [])

    assert check_row(row, record, issuers) == judge_row(patient_of(row), record, issuers)


@given(PLAIN | ATTRIBUTES, st.sampled_from([4, 64, 1024]))
def test_the_words_of_an_attribute_are_the_first_clean_value(attribute: Any, most: int) -> None:
    """One printable string needs no cleaning; it reads as if it had been cleaned."""
    cleaned = (clean(value, most) for value in values({TAG: attribute}, TAG))

    assert text({TAG: attribute}, TAG, most) == next(filter(None, cleaned), None)


@given(PLAIN | ATTRIBUTES)
def test_the_token_of_an_attribute_is_its_first_value(attribute: Any) -> None:
    """Only padding is taken off it."""
    first = next(iter(values({TAG: attribute}, TAG)), None)
    expected = first.strip(" \0") if isinstance(first, str) and len(first) <= 66 else None

    assert token({TAG: attribute}, TAG) == expected
