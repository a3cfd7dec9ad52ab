"""From an archive's DICOM JSON rows to studies and series (PS3.18 tables 10.6.3-3 and 10.6.3-4).

DICOM shapes stop here. A row is read as far as it can be: only a UID that is none makes it unreadable.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter

from gateway.imaging.coding_schemes import coding_of, system_of_universal_id
from gateway.imaging.dicom_json import (
    LONGEST_CODE,
    Row,
    coded,
    count,
    exact,
    items,
    text,
    texts,
    token,
    values,
)
from gateway.imaging.dicom_time import read_date, read_started
from gateway.imaging.person_name import (
    cleaned_groups,
    family_names,
    read_families,
    read_plain_name,
    readable_name,
)
from gateway.imaging.plain_rows import SeriesRow, StudyRow, count_of, groups_of, text_of, token_of
from gateway.imaging.study import Availability, Series, SourceStudy
from gateway.model import Coding, Facility, Identifier, LocalPatientID, StudyUID

_UID = re.compile(r"[0-9]++(?:\.[0-9]++)*+")
_MODALITY = re.compile(r"[A-Z0-9_ ]{1,16}")
_LONGEST_BODY_PART = 64
_AT_HAND = frozenset({None, "", "ONLINE", "NEARLINE"})
_by_uid = attrgetter("uid")


class UnreadableStudy(ValueError):
    """A row that names no study or series: there is nothing that could be told of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPatient:
    """Whose a row says it is. To be compared with the record that was asked for, and with nothing else."""

    patient_id: str | None
    """(0010,0020) without its padding; None where it is absent or not one value."""
    issuer: str | None
    """(0010,0021)."""
    family: tuple[str, ...]
    """The family name of (0010,0010) in each of its scripts; empty where it has none."""
    birth_date: str | None
    """(0010,0030) as `YYYY-MM-DD`."""


def patient_of(row: Row | StudyRow) -> RowPatient:
    """Whose the row says it is, as it says it."""
    if isinstance(row, StudyRow):
        family = read_families(cleaned_groups(groups_of(row.patient_name)))
    else:
        family = family_names(row, "00100010")
    birth_date = read_date(birth_date_of(row))
    return RowPatient(
        patient_id=patient_id_of(row),
        issuer=issuer_of(row),
        family=family,
        birth_date=birth_date.isoformat() if birth_date else None,
    )


def study_uid_of(row: Row | StudyRow) -> str | None:
    """(0020,000D) as it stands there."""
    return token_of(row.uid) if isinstance(row, StudyRow) else token(row, "0020000D")


def series_uid_of(row: Row | SeriesRow) -> str | None:
    """(0020,000E) as it stands there."""
    return token_of(row.uid) if isinstance(row, SeriesRow) else token(row, "0020000E")


def birth_date_of(row: Row | StudyRow) -> str | None:
    """(0010,0030) as it stands there."""
    return token_of(row.birth_date) if isinstance(row, StudyRow) else token(row, "00100030")


def patient_id_of(row: Row | StudyRow | SeriesRow) -> str | None:
    """(0010,0020). Leading and trailing spaces and NULs are padding (PS3.5 §6.2, LO); two values are none."""
    if isinstance(row, (StudyRow, SeriesRow)):
        stated = row.patient_id
        return None if stated is None or stated.Value is None else stated.Value[0].strip(" \0") or None
    found = values(row, "00100020")
    if len(found) != 1:
        return None
    value = found[0]
    if type(value) is not str:
        return str(value) if type(value) is int else None
    return value.strip(" \0") or None


def issuer_of(row: Row | StudyRow) -> str | None:
    """(0010,0021)."""
    return text_of(row.issuer) if isinstance(row, StudyRow) else text(row, "00100021")


def read_study(row: Row | StudyRow, facility: Facility, record_id: int, local_id: LocalPatientID) -> SourceStudy:
    """The study that a row of a study query tells of. Raises UnreadableStudy where it has no Study Instance UID."""
    if isinstance(row, StudyRow):
        return _read_plain_study(row, facility, record_id, local_id)
    return SourceStudy(
        uid=StudyUID(_valid_uid(token(row, "0020000D"))),
        facility=facility.id,
        local_id=local_id,
        record_id=record_id,
        started=read_started(
            token(row, "00080020"), token(row, "00080030"), token(row, "00080201"), facility.time_zone
        ),
        modalities=_modalities(tuple(texts(row, "00080061"))),
        description=text(row, "00081030"),
        accession=_accession(exact(row, "00080050"), items(row, "00080051") if "00080051" in row else (), facility),
        referrer=readable_name(row, "00080090"),
        procedure_codes=_procedure_codes(items(row, "00081032")) if "00081032" in row else (),
        availability=_availability(token(row, "00080056")),
        number_of_series=count(row, "00201206"),
        number_of_instances=count(row, "00201208"),
        departments=_departments(text(row, "00081040"), text(row, "00321033"))
        if "00081040" in row or "00321033" in row
        else (),
    )


def _read_plain_study(row: StudyRow, facility: Facility, record_id: int, local_id: LocalPatientID) -> SourceStudy:
    modalities, referrer, codes = row.modalities, row.referrer, row.procedure_codes
    accession = text_of(row.accession, LONGEST_CODE + 1)
    return SourceStudy(
        StudyUID(_valid_uid(token_of(row.uid))),
        facility.id,
        local_id,
        record_id,
        read_started(token_of(row.date), token_of(row.time), token_of(row.offset), facility.time_zone),
        () if modalities is None or modalities.Value is None else _modalities(coded(modalities.Value)),
        text_of(row.description),
        _accession(
            accession if accession is None or len(accession) <= LONGEST_CODE else None,
            items({"": row.accession_issuer}, "") if row.accession_issuer is not None else (),
            facility,
        ),
        None if referrer is None else read_plain_name(groups_of(referrer)),
        () if codes is None else _procedure_codes(items({"": codes}, "")),
        _availability(token_of(row.availability)),
        count_of(row.series),
        count_of(row.instances),
        None,
        ()
        if row.institutional_department is None and row.requesting_service is None
        else _departments(text_of(row.institutional_department), text_of(row.requesting_service)),
    )


def read_series(
    row: Row | SeriesRow,
    facility: Facility,
    study_uid: StudyUID | None = None,
    known: Collection[StudyUID] = (),
) -> tuple[StudyUID, Series]:
    """The series that a row of a series query tells of, and the study it belongs to.

    `study_uid` is the study whose series were asked for, if it was one: its rows need not name it. `known` are UIDs
    that have been read before. Raises UnreadableStudy where a UID is none, or names another study.
    """
    if isinstance(row, SeriesRow):
        return _read_plain_series(row, facility, study_uid, known)
    if study_uid is None or "0020000D" in row:
        text_ = token(row, "0020000D")
        stated = StudyUID(text_ if text_ is not None and text_ in known else _valid_uid(text_))
        if study_uid is not None and study_uid != stated:
            raise UnreadableStudy("a series of another study")
        study_uid = stated
    modality = token(row, "00080060")
    return study_uid, Series(
        uid=_valid_uid(token(row, "0020000E")),
        number=count(row, "00200011"),
        modality=_modality(modality) if modality else None,
        description=text(row, "0008103E"),
        instances=count(row, "00201209"),
        body_part=text(row, "00180015", _LONGEST_BODY_PART),
        laterality=_side(token(row, "00200060")),
        started=read_started(token(row, "00080021"), token(row, "00080031"), token(row, "00080201"), facility.time_zone)
        if "00080021" in row
        else None,
    )


def _read_plain_series(
    row: SeriesRow, facility: Facility, study_uid: StudyUID | None, known: Collection[StudyUID]
) -> tuple[StudyUID, Series]:
    if study_uid is None or row.study is not None:
        text_ = token_of(row.study)
        stated = StudyUID(text_ if text_ is not None and text_ in known else _valid_uid(text_))
        if study_uid is not None and study_uid != stated:
            raise UnreadableStudy("a series of another study")
        study_uid = stated
    modality, laterality = token_of(row.modality), row.laterality
    return study_uid, Series(
        _valid_uid(token_of(row.uid)),
        count_of(row.number),
        _modality(modality) if modality else None,
        text_of(row.description),
        count_of(row.instances),
        text_of(row.body_part, _LONGEST_BODY_PART),
        None if laterality is None else _side(token_of(laterality)),
        None
        if row.date is None
        else read_started(token_of(row.date), token_of(row.time), token_of(row.offset), facility.time_zone),
    )


def with_series(study: SourceStudy, series: Sequence[Series]) -> SourceStudy:
    """The study with its series, and what they tell where the study's own row was silent. None leave it as it was."""
    if not series:
        return study
    found = sorted({one.uid: one for one in reversed(series)}.values(), key=_by_uid)
    modalities = {one.modality for one in found if one.modality}
    instances = study.number_of_instances
    if instances is None:
        counts = [one.instances for one in found if one.instances is not None]
        instances = sum(counts) if len(counts) == len(found) else None
    return SourceStudy(
        study.uid,
        study.facility,
        study.local_id,
        study.record_id,
        study.started,
        study.modalities
        if modalities.issubset(study.modalities)
        else tuple(sorted(modalities.union(study.modalities))),
        study.description,
        study.accession,
        study.referrer,
        study.procedure_codes,
        study.availability,
        len(found) if study.number_of_series is None else study.number_of_series,
        instances,
        tuple(found),
        study.departments,
    )


def _departments(*stated: str | None) -> tuple[str, ...]:
    return tuple([department for department in stated if department])


def _valid_uid(value: str | None) -> str:
    """A UID as archives send it: leading zeros are let pass (PS3.5 §9.1 forbids them), anything else is no UID."""
    if value is None or len(value) > 64 or not _UID.fullmatch(value):
        raise UnreadableStudy("no valid UID")
    return value


@lru_cache(maxsize=1024)
def _modalities(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({code for one in texts if (code := _modality(one))}))


@lru_cache(maxsize=1024)
def _modality(text: str) -> str | None:
    """The modality's code. `*` and whatever is no code string (PS3.5 §6.2 CS) says nothing."""
    code = text.partition("\\")[0].strip().upper()
    return code if _MODALITY.fullmatch(code) else None


def _side(laterality: str | None) -> str | None:
    return laterality.upper() if laterality in ("L", "R", "l", "r") else None


def _availability(stated: str | None) -> Availability:
    """Contract: at hand where the archive says online, nearline or nothing (0008,0056)."""
    return "available" if stated in _AT_HAND else "unknown"


def _accession(number: str | None, issuers: Sequence[Row], facility: Facility) -> Identifier | None:
    if number is None:
        return None
    for issuer in issuers:
        system = system_of_universal_id(exact(issuer, "00400032"), exact(issuer, "00400033"))
        if system:
            return Identifier(system, number)
    return Identifier(facility.accession_system or "", number)


def _procedure_codes(stated: Sequence[Row]) -> tuple[Coding, ...]:
    """(0008,1032), each code once, in the archive's order."""
    found: dict[tuple[str, str], Coding] = {}
    for item in stated:
        coding = coding_of(item)
        if coding is not None:
            found.setdefault((coding.system, coding.code), coding)
    return tuple(found.values())
