"""A row of an archive becomes a study or a series as far as it can be read, and only a missing UID stops it."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.imaging.from_dicom import UnreadableStudy, patient_of, read_series, read_study, with_series
from gateway.imaging.study import Series, SourceStudy
from gateway.model import Coding, Identifier, LocalPatientID, StudyUID
from tests.facilities.rows import a_series_row, a_study_row, attribute
from tests.factories import a_facility

DATA = Path(__file__).parents[2] / "data" / "dicom_json"
NORTH = a_facility("north", time_zone="America/New_York", accession_system="urn:oid:1.2.36.1.99")


def rows(name: str) -> list[dict[str, Any]]:
    """The rows of a sample."""
    found: list[dict[str, Any]] = json.loads((DATA / name).read_text())
    return found


def study_of(row: dict[str, Any]) -> SourceStudy:
    """The row as a study of North's."""
    return read_study(row, NORTH, 7, LocalPatientID("NORTH-00001"))


def with_attributes(**more: Any) -> SourceStudy:
    """A study with these attributes besides the usual."""
    return study_of(a_study_row("NORTH-00001", "1.2.3", **more))


def test_an_answer_of_orthanc_is_read_in_full() -> None:
    """The commonest open archive."""
    study = study_of(rows("orthanc_studies.json")[0])

    assert study.started
    assert study.started.text == "2024-03-10T14:15:00.25-04:00"
    assert study == SourceStudy(
        uid=StudyUID("1.2.826.0.1.3680043.8.498.1"),
        facility=NORTH.id,
        local_id=LocalPatientID("NORTH-00001"),
        record_id=7,
        started=study.started,
        modalities=("CT", "SR"),
        description="CT Thorax/Abdomen mit KM",
        accession=Identifier("urn:oid:1.2.36.1.99", "N-2024-0310"),
        referrer="Okafor, Ngozi",
        number_of_series=3,
        number_of_instances=412,
    )


@pytest.mark.parametrize(
    ("stated", "departments"),
    [
        ({}, ()),
        ({"00081040": {"vr": "LO", "Value": [" Psychiatry "]}}, ("Psychiatry",)),
        ({"00321033": {"vr": "LO", "Value": ["Crisis team"]}}, ("Crisis team",)),
        ({"00081040": {"vr": "LO"}, "00321033": {"vr": "LO", "Value": ["", "x"]}}, ("x",)),
        ({"00081040": {"vr": "LO", "Value": ["A", "B"]}, "00321033": {"vr": "LO", "Value": [None]}}, ("A",)),
    ],
)
def test_departments_are_where_it_was_made_and_who_asked_for_it(
    stated: dict[str, Any], departments: tuple[str, ...]
) -> None:
    """(0008,1040) and (0032,1033), as far as they are told."""
    study = study_of(a_study_row("NORTH-00001", "1.2.3") | stated)

    assert study.departments == departments
    series = [read_series(row, NORTH)[1] for row in rows("orthanc_series.json")]
    assert with_series(study, series).departments == departments


def test_series_of_orthanc_are_read_and_joined() -> None:
    """What the study's own row says goes before what can be counted in its series."""
    read = [read_series(row, NORTH) for row in rows("orthanc_series.json")]
    study = with_series(study_of(rows("orthanc_studies.json")[0]), [series for _, series in read])

    assert {uid for uid, _ in read} == {study.uid}
    assert study.series
    report, thorax = study.series
    assert (report.modality, report.number, report.instances) == ("SR", None, 1)
    assert (thorax.number, thorax.instances, thorax.body_part, thorax.laterality) == (2, 411, "CHEST", "L")
    assert thorax.description == "Thorax axial 1.0"
    assert thorax.started
    assert thorax.started.text == "2024-03-10T14:17:31-04:00"
    assert (study.number_of_series, study.number_of_instances) == (3, 412)


def test_a_row_without_modalities_and_counts_is_filled_from_its_series() -> None:
    """tiny_pacs tells neither."""
    study = study_of(rows("tiny_pacs_studies.json")[0])
    assert (study.modalities, study.number_of_series, study.number_of_instances) == ((), None, None)
    assert (study.accession, study.referrer) == (None, None)
    assert study.started
    assert study.started.text == "2019-11-05"

    filled = with_series(
        study, [Series(uid="1.2", modality="MR", instances=20), Series(uid="1.1", modality="PR", instances=1)]
    )

    assert (filled.modalities, filled.number_of_series, filled.number_of_instances) == (("MR", "PR"), 2, 21)


def test_a_sum_with_an_unknown_part_is_no_count() -> None:
    """Better none than one that is too small."""
    study = with_series(
        study_of(rows("tiny_pacs_studies.json")[0]), [Series(uid="1.1", instances=3), Series(uid="1.2")]
    )

    assert (study.number_of_series, study.number_of_instances) == (2, None)


def test_a_series_told_twice_counts_once() -> None:
    """Pages of an archive may overlap."""
    study = with_series(study_of(rows("tiny_pacs_studies.json")[0]), [Series(uid="1.1", instances=3)] * 2)

    assert (study.number_of_series, study.number_of_instances) == (1, 3)


def test_no_series_leave_a_study_as_it_was() -> None:
    """Nothing told is not the same as none there."""
    study = study_of(rows("tiny_pacs_studies.json")[0])

    assert with_series(study, []) is study


def test_a_careless_answer_is_read_as_far_as_it_goes() -> None:
    """Each of its oddities has been reported of a real archive."""
    study = study_of(rows("careless_studies.json")[0])

    assert study.uid == "1.2.826.0.1.3680043.8.498.03"
    assert study.started
    assert study.started.text == "1998-07-02T08:30:00+05:30"
    assert study.modalities == ("CT", "MR")
    assert study.description == "Schädel nativ"
    assert study.referrer == "Okafor, Ngozi"
    assert study.availability == "unknown"
    assert study.accession is None
    assert (study.number_of_series, study.number_of_instances) == (2, None)


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", " ", "1.2.x", "..", "1..2", ".1", "1.", "../../etc", "urn:oid:1.2", "1.2 3", "1" * 65, 12, ["1.2"]),
        *({"a": 1}, "١.٢"),
    ],
)
def test_a_row_without_a_uid_is_unreadable(value: Any) -> None:
    """And the refusal doesn't repeat what it held."""
    row = a_study_row("NORTH-00001", "1.2.3") | {"0020000D": {"vr": "UI", "Value": [value]}}

    with pytest.raises(UnreadableStudy) as refused:
        study_of(row)
    assert str(refused.value) == "no valid UID"


def test_uids_with_leading_zeros_are_let_pass() -> None:
    """Forbidden (PS3.5 §9.1), common, and harmless."""
    assert study_of(a_study_row("NORTH-00001", "1.02.003")).uid == "1.02.003"


def test_a_series_row_needs_both_its_uids() -> None:
    """Otherwise it could be nobody's."""
    row = a_series_row("1.2.3", "1.2.3.1")

    with pytest.raises(UnreadableStudy):
        read_series({**row, "0020000E": attribute("UI")}, NORTH)
    with pytest.raises(UnreadableStudy):
        read_series({**row, "0020000D": attribute("UI")}, NORTH)


def test_a_series_of_the_study_that_was_asked_for_need_not_name_it() -> None:
    """`/studies/{uid}/series`: but it must not name another."""
    row = a_series_row("1.2.3", "1.2.3.1")
    unnamed = {tag: value for tag, value in row.items() if tag != "0020000D"}

    assert read_series(unnamed, NORTH, StudyUID("1.2.3"))[0] == "1.2.3"
    assert read_series(row, NORTH, StudyUID("1.2.3"))[0] == "1.2.3"
    with pytest.raises(UnreadableStudy):
        read_series(row, NORTH, StudyUID("1.2.4"))


@pytest.mark.parametrize(
    ("value", "modality"),
    [("MR", "MR"), ("mr", "MR"), ("MR\\SR", "MR"), ("*", None), ("", None), ("magnet!", None), (None, None), (3, None)],
)
def test_a_series_has_the_modality_it_can_have(value: Any, modality: str | None) -> None:
    """`*` is what one archive answers for not knowing."""
    row = a_series_row("1.2.3", "1.2.3.1") | {"00080060": {"vr": "CS", "Value": [value]}}

    assert read_series(row, NORTH)[1].modality == modality


@pytest.mark.parametrize(("value", "side"), [("L", "L"), ("r", "R"), ("B", None), ("left", None), (None, None)])
def test_only_left_and_right_are_sides(value: Any, side: str | None) -> None:
    """(0020,0060)."""
    row = a_series_row("1.2.3", "1.2.3.1") | {"00200060": {"vr": "CS", "Value": [value]}}

    assert read_series(row, NORTH)[1].laterality == side


@pytest.mark.parametrize(
    ("value", "availability"),
    [
        ("ONLINE", "available"),
        ("NEARLINE", "available"),
        ("OFFLINE", "unknown"),
        ("UNAVAILABLE", "unknown"),
        ("LOST", "unknown"),
        ("", "available"),
        (None, "available"),
    ],
)
def test_availability_follows_what_the_source_says(value: Any, availability: str) -> None:
    """(0008,0056), contract §7."""
    assert with_attributes(_00080056={"vr": "CS", "Value": [value]}).availability == availability
    assert with_attributes().availability == "available"


def _issued(kind: str | None, value: str | None, local: str | None = None) -> dict[str, Any]:
    item = {"00400031": local, "00400032": value, "00400033": kind}
    return {"vr": "SQ", "Value": [{tag: attribute("UT", one) for tag, one in item.items() if one}]}


@pytest.mark.parametrize(
    ("issuer", "system"),
    [
        (_issued("ISO", "1.2.36.7"), "urn:oid:1.2.36.7"),
        (_issued("iso", "1.2.36.7"), "urn:oid:1.2.36.7"),
        (_issued("ISO", "not an oid"), "urn:oid:1.2.36.1.99"),
        (
            _issued("UUID", "0C3D5A7E-1111-4222-8333-0123456789AB"),
            "urn:uuid:0c3d5a7e-1111-4222-8333-0123456789ab",
        ),
        (_issued("URI", "https://north.example/ris"), "https://north.example/ris"),
        (_issued("URI", "north ris"), "urn:oid:1.2.36.1.99"),
        (_issued("DNS", "ris.north.example"), "urn:oid:1.2.36.1.99"),
        (_issued(None, "1.2.36.7"), "urn:oid:1.2.36.1.99"),
        (_issued(None, None, "RIS"), "urn:oid:1.2.36.1.99"),
        ({"vr": "SQ", "Value": [None]}, "urn:oid:1.2.36.1.99"),
    ],
)
def test_an_accession_number_has_its_issuers_system(issuer: dict[str, Any], system: str) -> None:
    """(0008,0051), else what the facility is configured with."""
    assert with_attributes(accession="A-1", _00080051=issuer).accession == Identifier(system, "A-1")


def test_an_accession_number_without_an_assigner_has_no_system() -> None:
    """The system of the facility's MRNs is never taken: the same number may be a patient's."""
    study = read_study(a_study_row("M1", "1.2.3", accession="A-1"), a_facility("south"), 1, LocalPatientID("M1"))

    assert study.accession == Identifier("", "A-1")


def test_an_accession_number_that_is_too_long_is_left_out() -> None:
    """A part of it would be another one."""
    assert with_attributes(accession="A" * 65).accession is None


def _code(code: str, scheme: str | None, meaning: str | None = None, **more: str) -> dict[str, Any]:
    item = {"00080100": code, "00080102": scheme, "00080104": meaning} | {tag[1:]: one for tag, one in more.items()}
    return {tag: attribute("SH", value) for tag, value in item.items() if value}


def test_procedure_codes_are_read_once_each_in_order() -> None:
    """(0008,1032); an item without a code says nothing."""
    sequence = {
        "vr": "SQ",
        "Value": [
            _code("24627-2", "LN", "CT Chest"),
            _code("RPID16", "RADLEX"),
            _code("24627-2", "LN", "again"),
            {},
            None,
        ],
    }

    assert with_attributes(_00081032=sequence).procedure_codes == (
        Coding("http://loinc.org", "24627-2", "CT Chest"),
        Coding("http://www.radlex.org", "RPID16"),
    )


@pytest.mark.parametrize(
    ("patient_id", "read"),
    [
        (["M1"], "M1"),
        (["M1 "], "M1"),
        (["M1\0"], "M1"),
        ([" M1"], "M1"),
        (["M 1"], "M 1"),
        (["m1"], "m1"),
        ([42], "42"),
        (["M1", "M2"], None),
        ([""], None),
        ([None], None),
        ([], None),
        ([True], None),
        ([1.5], None),
        ([{"a": 1}], None),
    ],
)
def test_whose_a_row_is_is_told_exactly(patient_id: list[Any], read: str | None) -> None:
    """Only padding is taken off: anything else could make two patients one."""
    assert patient_of({"00100020": {"vr": "LO", "Value": patient_id}}).patient_id == read


def test_a_row_tells_name_birth_date_and_issuer_where_it_has_them() -> None:
    """For comparing with the record that was asked for."""
    full = patient_of(rows("tiny_pacs_studies.json")[0])
    empty = patient_of({})
    broken = patient_of({"00100030": attribute("DA", "19610231")})

    assert (full.patient_id, full.issuer, full.family, full.birth_date) == (
        "WEST-7",
        "WEST",
        ("Nordqvist",),
        "1961-02-03",
    )
    assert (empty.patient_id, empty.issuer, empty.family, empty.birth_date) == (None, None, (), None)
    assert broken.birth_date is None


def test_long_words_are_cut() -> None:
    """An archive can't make an answer as long as it likes."""
    study = with_attributes(description="x" * 100_000)

    assert study.description == "x" * 1024
