"""What an archive holds: DICOM files of a folder, searched as QIDO-RS asks (DICOM PS3.18 §10.6, PS3.4 §C.2.2.2)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from pathlib import Path
from typing import Any, Literal

import pydicom
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset

Level = Literal["studies", "series", "instances"]

_STUDY = (
    *("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "TimezoneOffsetFromUTC"),
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"),
    *("StudyInstanceUID", "StudyID", "StudyDescription"),
)
_SERIES = (
    *("Modality", "SeriesDescription", "SeriesInstanceUID", "SeriesNumber", "BodyPartExamined", "Laterality"),
    *("SeriesDate", "SeriesTime"),
)
_INSTANCE = ("SOPClassUID", "SOPInstanceUID", "InstanceNumber", "Rows", "Columns", "BitsAllocated", "NumberOfFrames")
_KEYS: Mapping[Level, str] = {
    "studies": "StudyInstanceUID",
    "series": "SeriesInstanceUID",
    "instances": "SOPInstanceUID",
}


class BadQuery(ValueError):
    """A query parameter whose value can't be used (PS3.18 §8.3.4: 400)."""


@dataclass(frozen=True, slots=True)
class Item:
    """One file, with what its header says."""

    path: Path
    header: Dataset


class Holdings:
    """The files of one folder, read once."""

    def __init__(self, folder: Path) -> None:
        self._items = [
            Item(path, pydicom.dcmread(path, stop_before_pixels=True)) for path in sorted(folder.glob("*.dcm"))
        ]

    def __len__(self) -> int:
        return len(self._items)

    def of(self, uids: Mapping[str, str]) -> list[Item]:
        """The files whose UIDs are these."""
        return [item for item in self._items if all(item.header.get(key) == uid for key, uid in uids.items())]

    def search(self, level: Level, uids: Mapping[str, str], query: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
        """DICOM JSON of what matches, sorted by UID, within `offset` and `limit`. Raises BadQuery."""
        limit, offset, wanted = None, 0, []
        for name, value in query:
            if name == "limit":
                limit = _number(value)
            elif name == "offset":
                offset = _number(value)
            elif (keyword := _keyword(name)) and value:
                wanted.append((keyword, value))
        groups: dict[str, list[Item]] = {}
        for item in self.of(uids):
            groups.setdefault(str(item.header.get(_KEYS[level])), []).append(item)
        found = [group for _, group in sorted(groups.items()) if all(_matches(group, *one) for one in wanted)]
        return [self._row(level, group) for group in found[offset : None if limit is None else offset + limit]]

    def _row(self, level: Level, group: list[Item]) -> dict[str, Any]:
        row = Dataset()
        header = group[0].header
        row.SpecificCharacterSet = "ISO_IR 192"
        keywords = (
            _STUDY if level == "studies" else _STUDY + _SERIES if level == "series" else _STUDY + _SERIES + _INSTANCE
        )
        for keyword in keywords:
            if keyword in header:
                row[keyword] = header[keyword]
        study = self.of({"StudyInstanceUID": header.StudyInstanceUID})
        if level == "studies":
            row.InstanceAvailability = "ONLINE"
            row.ModalitiesInStudy = sorted({item.header.Modality for item in study})
            row.NumberOfStudyRelatedSeries = len({item.header.SeriesInstanceUID for item in study})
            row.NumberOfStudyRelatedInstances = len(study)
        elif level == "series":
            row.NumberOfSeriesRelatedInstances = len(group)
        answer: dict[str, Any] = row.to_json_dict()
        return answer


def metadata(items: Iterable[Item]) -> list[dict[str, Any]]:
    """DICOM JSON of every attribute but the pixels (PS3.18 §10.4.1.1.2)."""
    return [item.header.to_json_dict() for item in items]


def _keyword(name: str) -> str | None:
    """The attribute that a parameter names, by keyword or by tag; None for what is no attribute (to be ignored)."""
    if re.fullmatch(r"[0-9A-Fa-f]{8}", name):
        try:
            return pydicom.datadict.keyword_for_tag(int(name, 16)) or None
        except KeyError:
            return None
    return name if tag_for_keyword(name) is not None else None


def _number(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", value):
        raise BadQuery("limit and offset are whole numbers")
    return int(value)


def _matches(group: Sequence[Item], keyword: str, value: str) -> bool:
    if keyword == "ModalitiesInStudy":
        keyword = "Modality"
    return any(_holds(item.header, keyword, value) for item in group)


def _holds(header: Dataset, keyword: str, value: str) -> bool:
    stored = str(header.get(keyword, ""))
    kind = dictionary_VR(keyword)
    if kind == "UI" or keyword == "Modality":
        return stored in re.split(r"[,\\]", value)
    if kind in ("DA", "TM") and "-" in value:
        first, _, last = value.partition("-")
        return bool(stored) and (not first or stored >= first) and (not last or stored[: len(last)] <= last)
    if kind in ("DA", "TM") and not re.fullmatch(r"[0-9.]+", value):
        raise BadQuery(f"{keyword} is not a date, time or range")
    if ("*" in value or "?" in value) and kind not in ("DA", "TM", "IS", "DS"):
        return (
            re.fullmatch(translate(value.replace("[", "[[]")), stored, re.IGNORECASE if kind == "PN" else 0) is not None
        )
    return stored == value
