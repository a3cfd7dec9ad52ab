"""From an archive's DICOM JSON rows to studies and series (PS3.18 tables 10.6.3-3 and 10.6.3-4).

DICOM shapes stop here. A row is read as far as it can be: only a UID that is none makes it unreadable.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter

from gateway.imaging.coding_schemes import coding_of, system_of_universal_id
from gateway.imaging.dicom_json import Row, count, exact, items, text, texts, token, values
from gateway.imaging.dicom_time import read_date, read_started
from gateway.imaging.person_name import family_names, readable_name
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


def patient_of(row: Row) -> RowPatient:
    """Whose the row says it is, as it says it."""
    birth_date = read_date(token(row, "00100030"))
    return RowPatient(
        patient_id=patient_id_of(row),
        issuer=issuer_of(row),
        family=family_names(row, "00100010"),
        birth_date=birth_date.isoformat() if birth_date else None,
    )


def patient_id_of(row: Row) -> str | None:
    """(0010,0020). Leading and trailing spaces and NULs are padding (PS3.5 §6.2, LO); two values are none."""
    found = values(row, "00100020")
    if len(found) != 1:
        return None
    value = found[0]
    if type(value) is not str:
        return str(value) if type(value) is int else None
    return value.strip(" \0") or None


def issuer_of(row: Row) -> str | None:
    """(0010,0021)."""
    return text(row, "00100021")


def read_study(row: Row, facility: Facility, record_id: int, local_id: LocalPatientID) -> SourceStudy:
    """The study that a row of a study query tells of. Raises UnreadableStudy where it has no Study Instance UID."""
    return SourceStudy(
        uid=StudyUID(_valid_uid(token(row, "0020000D"))),
        facility=facility.id,
        local_id=local_id,
        record_id=record_id,
        started=read_started(
            token(row, "00080020"), token(row, "00080030"), token(row, "00080201"), facility.time_zone
        ),
        modalities=tuple(sorted({code for one in texts(row, "00080061") if (code := _modality(one))})),
        description=text(row, "00081030"),
        accession=_accession(row, facility),
        referrer=readable_name(row, "00080090"),
        procedure_codes=_procedure_codes(row) if "00081032" in row else (),
        availability=_availability(row),
        number_of_series=count(row, "00201206"),
        number_of_instances=count(row, "00201208"),
    )


def read_series(
    row: Row, facility: Facility, study_uid: StudyUID | None = None, known: Collection[StudyUID] = ()
) -> tuple[StudyUID, Series]:
    """The series that a row of a series query tells of, and the study it belongs to.

    `study_uid` is the study whose series were asked for, if it was one: its rows need not name it. `known` are UIDs
    that have been read before. Raises UnreadableStudy where a UID is none, or names another study.
    """
    if study_uid is None or "0020000D" in row:
        text_ = token(row, "0020000D")
        stated = StudyUID(text_ if text_ is not None and text_ in known else _valid_uid(text_))
        if study_uid is not None and study_uid != stated:
            raise UnreadableStudy("a series of another study")
        study_uid = stated
    modality = token(row, "00080060")
    laterality = token(row, "00200060")
    return study_uid, Series(
        uid=_valid_uid(token(row, "0020000E")),
        number=count(row, "00200011"),
        modality=_modality(modality) if modality else None,
        description=text(row, "0008103E"),
        instances=count(row, "00201209"),
        body_part=text(row, "00180015", _LONGEST_BODY_PART),
        laterality=laterality.upper() if laterality in ("L", "R", "l", "r") else None,
        started=read_started(token(row, "00080021"), token(row, "00080031"), token(row, "00080201"), facility.time_zone)
        if "00080021" in row
        else None,
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
    return study._replace(
        series=tuple(found),
        modalities=study.modalities
        if modalities.issubset(study.modalities)
        else tuple(sorted(modalities.union(study.modalities))),
        number_of_series=len(found) if study.number_of_series is None else study.number_of_series,
        number_of_instances=instances,
    )


def _valid_uid(value: str | None) -> str:
    """A UID as archives send it: leading zeros are let pass (PS3.5 §9.1 forbids them), anything else is no UID."""
    if value is None or len(value) > 64 or not _UID.fullmatch(value):
        raise UnreadableStudy("no valid UID")
    return value


@lru_cache(maxsize=1024)
def _modality(text: str) -> str | None:
    """The modality's code. `*` and whatever is no code string (PS3.5 §6.2 CS) says nothing."""
    code = text.partition("\\")[0].strip().upper()
    return code if _MODALITY.fullmatch(code) else None


def _availability(row: Row) -> Availability:
    """Contract: at hand where the archive says online, nearline or nothing (0008,0056)."""
    return "available" if token(row, "00080056") in _AT_HAND else "unknown"


def _accession(row: Row, facility: Facility) -> Identifier | None:
    number = exact(row, "00080050")
    if number is None:
        return None
    issuers = items(row, "00080051") if "00080051" in row else ()
    for issuer in issuers:
        system = system_of_universal_id(exact(issuer, "00400032"), exact(issuer, "00400033"))
        if system:
            return Identifier(system, number)
    return Identifier(facility.accession_system or "", number)


def _procedure_codes(row: Row) -> tuple[Coding, ...]:
    """(0008,1032), each code once, in the archive's order."""
    found: dict[tuple[str, str], Coding] = {}
    for item in items(row, "00081032"):
        coding = coding_of(item)
        if coding is not None:
            found.setdefault((coding.system, coding.code), coding)
    return tuple(found.values())
