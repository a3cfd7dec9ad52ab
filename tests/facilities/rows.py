"""DICOM JSON rows (DICOM PS3.18 annex F) as archives answer them to QIDO-RS. Invented people only."""

from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]
DEFAULT_PERSON = "Nordqvist^Anna"
DEFAULT_BIRTH_DATE = "19610203"


def attribute(vr: str, *values: object) -> Row:
    """One attribute; none of `values` gives an empty one, as archives answer a zero-length value."""
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def a_study_row(
    patient_id: str,
    uid: str,
    *,
    person: str | None = DEFAULT_PERSON,
    birth_date: str | None = DEFAULT_BIRTH_DATE,
    issuer: str | None = None,
    date: str = "20240115",
    time: str = "083000",
    description: str | None = "CT THORAX",
    modalities: Sequence[str] = ("CT",),
    accession: str | None = None,
    referrer: str | None = None,
    number_of_series: int | None = None,
    number_of_instances: int | None = None,
    **more: Row,
) -> Row:
    """A study level answer (DICOM PS3.18 table 10.6.3-3). `more` adds attributes by tag: `_00081190=attribute(…)`."""
    row: Row = {
        "00080020": attribute("DA", date),
        "00080030": attribute("TM", time),
        "0020000D": attribute("UI", uid),
        "00100020": attribute("LO", patient_id),
        "00080061": attribute("CS", *modalities),
    }
    optional: list[tuple[str, str, object]] = [
        ("00100010", "PN", {"Alphabetic": person} if person else None),
        ("00100030", "DA", birth_date),
        ("00100021", "LO", issuer),
        ("00081030", "LO", description),
        ("00080050", "SH", accession),
        ("00080090", "PN", {"Alphabetic": referrer} if referrer else None),
        ("00201206", "IS", number_of_series),
        ("00201208", "IS", number_of_instances),
    ]
    row.update({tag: attribute(vr, value) for tag, vr, value in optional if value is not None})
    row.update({tag.lstrip("_"): value for tag, value in more.items()})
    return row


def a_series_row(
    study_uid: str,
    uid: str,
    *,
    patient_id: str | None = None,
    number: int | None = 1,
    modality: str = "CT",
    description: str | None = "AXIAL",
    instances: int | None = 1,
    body_part: str | None = None,
    laterality: str | None = None,
    **more: Row,
) -> Row:
    """A series level answer (DICOM PS3.18 table 10.6.3-4)."""
    row: Row = {
        "00080060": attribute("CS", modality),
        "0020000D": attribute("UI", study_uid),
        "0020000E": attribute("UI", uid),
    }
    optional: list[tuple[str, str, object]] = [
        ("00100020", "LO", patient_id),
        ("00200011", "IS", number),
        ("0008103E", "LO", description),
        ("00201209", "IS", instances),
        ("00180015", "CS", body_part),
        ("00200060", "CS", laterality),
    ]
    row.update({tag: attribute(vr, value) for tag, vr, value in optional if value is not None})
    row.update({tag.lstrip("_"): value for tag, value in more.items()})
    return row


def value_of(row: Row, tag: str) -> Any:
    """The first value of an attribute, or None."""
    values = row.get(tag, {}).get("Value") or [None]
    return values[0]
