"""The short way through what nearly every row looks like ends where the long way ends, whatever the row."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.base import HTTPResult
from gateway.adapters.qido_answer import STUDIES, Refused, read_level, read_rows
from gateway.adapters.row_check import RowCheck, issuers_of, judge_row
from gateway.imaging.dicom_json import clean, text, token, values
from gateway.imaging.from_dicom import (
    UnreadableStudy,
    patient_id_of,
    patient_of,
    read_series,
    read_study,
    series_uid_of,
    study_uid_of,
)
from gateway.imaging.plain_rows import decode_series, decode_studies
from gateway.model import LocalPatientID, StudyUID
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

    expected = judge_row(patient_of(row), record, issuers)
    assert RowCheck(record, issuers).verdict(row) == expected
    try:
        (decoded,) = decode_studies(json.dumps([row]))
    except ValueError:
        return  # it is not plain
    assert RowCheck(record, issuers).verdict(decoded) == expected


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


STRINGS = st.sampled_from(
    ["20240501", "083000", "+0100", "CT\\SR", " ct ", "*", "A^B=C", "r", "\0\u202e", "9" * 70, "x" * 1100, "1.2.3", ""]
) | st.text(max_size=8)
NUMBERS = st.integers() | st.sampled_from(["3", " 4 ", "5.0", "-1", "x"])
NAME_GROUPS = st.dictionaries(st.sampled_from(["Alphabetic", "Ideographic", "Phonetic"]), STRINGS)


def _one(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An attribute as the standard has it: with one value, with none, or with null."""
    stated = values.map(lambda value: {"vr": "LO", "Value": [value]})
    return stated | st.sampled_from([{"vr": "LO"}, {"vr": "LO", "Value": None}])


_CODES = st.lists(
    st.fixed_dictionaries({}, optional={"00080100": _one(STRINGS), "00080102": _one(STRINGS)}), max_size=2
)
PLAIN_ATTRIBUTES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(
        ["00080020", "00080021", "00080030", "00080031", "00080050", "00080056", "00080060"], _one(STRINGS)
    ),
    **dict.fromkeys(
        ["00080201", "00081030", "0008103E", "00100020", "00100021", "00180015", "00200060"], _one(STRINGS)
    ),
    **dict.fromkeys(["00081040", "00321033"], _one(STRINGS)),
    "00100030": _one(BIRTH_DATES),
    "00080061": st.lists(STRINGS, max_size=3).map(lambda values: {"vr": "CS", "Value": values}),
    **dict.fromkeys(["00080051", "00081032"], _CODES.map(lambda items: {"vr": "SQ", "Value": items})),
    **dict.fromkeys(["00080090", "00100010"], _one(NAME_GROUPS)),
    **dict.fromkeys(["00200011", "00201206", "00201208", "00201209"], _one(NUMBERS)),
    "0020000D": _one(st.just("1.2.3") | STRINGS),
    "0020000E": _one(st.just("1.2.3.4") | STRINGS),
    "00081190": _one(STRINGS),
}
PLAIN_ROWS = st.fixed_dictionaries({}, optional=PLAIN_ATTRIBUTES)


def _read(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except UnreadableStudy:
        return "unreadable"


@given(PLAIN_ROWS)
def test_a_plain_row_reads_the_same_decoded_and_attribute_by_attribute(row: dict[str, Any]) -> None:
    """The short way is taken by every such row, and ends in the same study, patient and series."""
    body = json.dumps([row])
    (study,), (series,) = decode_studies(body), decode_series(body)
    (row,) = orjson.loads(body)
    facility, local = a_facility(time_zone="Europe/Zurich"), LocalPatientID("M1")

    assert patient_of(study) == patient_of(row)
    assert study_uid_of(study) == study_uid_of(row)
    assert series_uid_of(series) == series_uid_of(row)
    assert patient_id_of(series) == patient_id_of(row)
    assert _read(lambda: read_study(study, facility, 1, local)) == _read(lambda: read_study(row, facility, 1, local))
    for uid in (None, StudyUID("1.2.3")):
        ways = [_read(lambda one=one, uid=uid: read_series(one, facility, uid)) for one in (series, row)]
        assert ways[0] == ways[1]


@given(st.lists(st.dictionaries(st.sampled_from(list(PLAIN_ATTRIBUTES)), ATTRIBUTES) | PLAIN_ROWS, max_size=2))
def test_an_answer_that_is_not_plain_is_read_all_the_same(rows: list[dict[str, Any]]) -> None:
    """Both ways agree on what can be read of it, and on whether it can be read at all."""
    result = HTTPResult(status=200, body=json.dumps(rows).encode())
    facility, local = a_facility(time_zone="Europe/Zurich"), LocalPatientID("M1")

    def studies(level: Callable[[], Sequence[Any]]) -> Any:
        try:
            return [_read(lambda row=row: read_study(row, facility, 1, local)) for row in level()]
        except Refused:
            return "refused"

    assert studies(lambda: read_level(result, STUDIES)) == studies(lambda: read_rows(result))
