"""Whatever JSON an archive sends, reading it ends in a study that FHIR can hold, or in one refusal."""

import re
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gateway.imaging.from_dicom import UnreadableStudy, patient_of, read_series, read_study
from gateway.model import LocalPatientID
from tests.factories import a_facility
from tests.unit.imaging.test_dicom_time import FHIR_DATE_TIME

FACILITY = a_facility("north", time_zone="Europe/Zurich")
TAGS = (
    *("00080020", "00080021", "00080030", "00080031", "00080050", "00080051", "00080056", "00080060", "00080061"),
    *("00080090", "00080201", "00081030", "00081032", "0008103E", "00100010", "00100020", "00100021", "00100030"),
    *("00180015", "00200011", "00200060", "00201206", "00201208", "00201209"),
)
LIKELY = st.sampled_from(
    ["20240501", "083000", "24:00:00", "+0100", "CT\\SR", "*", "A^B=C", "L", "\0\u202e\ud800", "9" * 70, "1.2.3"]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | LIKELY
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(TAGS), inner), max_leaves=8
)
ATTRIBUTES = JSON | st.fixed_dictionaries({"vr": SCALARS, "Value": st.lists(JSON, max_size=3) | JSON})
UIDS = st.fixed_dictionaries({"vr": st.just("UI"), "Value": st.just(["1.2.3"])}) | ATTRIBUTES
ROWS = st.tuples(
    st.dictionaries(st.sampled_from(TAGS), ATTRIBUTES), st.fixed_dictionaries({"0020000D": UIDS, "0020000E": UIDS})
).map(lambda parts: {**parts[0], **parts[1]})


def holds_in_fhir(value: Any) -> None:
    """It can be written as UTF-8 JSON, and has no character that FHIR forbids."""
    written = orjson.dumps(value).decode()
    assert not re.search(r"\\u00[01]", written)


@given(ROWS)
def test_any_row_becomes_a_study_or_is_unreadable(row: dict[str, Any]) -> None:
    """Nothing else is raised, and what is read is clean."""
    try:
        study = read_study(row, FACILITY, 1, LocalPatientID("M1"))
    except UnreadableStudy:
        return
    assert study.started is None or FHIR_DATE_TIME.fullmatch(study.started.text)
    assert study.started is None or study.started.moment.start < study.started.moment.end
    holds_in_fhir([study.uid, study.modalities, study.description, study.referrer, study.number_of_instances])
    holds_in_fhir([[code.system, code.code, code.display] for code in study.procedure_codes])
    holds_in_fhir([study.accession.system, study.accession.value] if study.accession else None)


@given(ROWS)
def test_any_row_becomes_a_series_or_is_unreadable(row: dict[str, Any]) -> None:
    """Likewise."""
    try:
        _, series = read_series(row, FACILITY)
    except UnreadableStudy:
        return
    assert series.started is None or FHIR_DATE_TIME.fullmatch(series.started.text)
    holds_in_fhir([series.uid, series.number, series.modality, series.description, series.body_part, series.laterality])


@given(ROWS)
def test_any_row_tells_whose_it_is_or_not(row: dict[str, Any]) -> None:
    """It is compared, never shown: it needs only to be there."""
    patient = patient_of(row)

    assert patient.patient_id is None or patient.patient_id
    assert all(patient.family)
