"""Small real DICOM files for the archives that tests start: three facilities, the same bytes every time.

What is in them on purpose: one person under another PatientID at each facility; one study held by two facilities with
different series; one PatientID that is somebody else at another facility; names in Latin-1, Cyrillic and with an
apostrophe; a study without an issuer of its accession; a person whose name must never show in a log (`tests.canary`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    UltrasoundImageStorage,
)

from tests import canary

STORAGE_CLASS = {
    "CT": CTImageStorage,
    "MR": MRImageStorage,
    "CR": ComputedRadiographyImageStorage,
    "US": UltrasoundImageStorage,
}
IMPLEMENTATION_CLASS_UID = "2.25.173404412376504226473420316013379712345"
SIDE = 8
"""Pixels on a side: an image, but a small one."""


def uid_of(*words: object) -> str:
    """A UID that follows from the words and nothing else (DICOM PS3.5 annex B.2, root 2.25)."""
    number = int.from_bytes(sha256("/".join(map(str, words)).encode()).digest()[:15], "big")
    return f"2.25.{number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A patient as one facility's archive writes it."""

    patient_id: str
    name: str
    birth_date: str
    sex: str = "O"
    charset: str = "ISO_IR 192"
    national_id: str = ""
    """Not in its files: what its facility's patient feed says besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesOnFile:
    """One series: `instances` images of one modality."""

    number: int
    modality: str
    instances: int = 1
    body_part: str = "CHEST"
    description: str = "Axial"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyOnFile:
    """One study as one facility holds it."""

    key: str
    """Says which study it is: two facilities with the same key hold the same Study Instance UID."""
    person: Person
    issuer: str
    date: str
    time: str
    series: tuple[SeriesOnFile, ...]
    accession: str = ""
    description: str = ""
    offset: str | None = None
    """(0008,0201), where the archive states it."""

    @property
    def uid(self) -> str:
        """Its Study Instance UID."""
        return uid_of("study", self.key)

    def series_uid(self, series: SeriesOnFile) -> str:
        """The Series Instance UID of one of its series."""
        return uid_of("series", self.key, series.number)

    @property
    def instances(self) -> int:
        """How many images it has here."""
        return sum(series.instances for series in self.series)


_CT = SeriesOnFile(number=1, modality="CT", instances=3, description="Thorax nativ")
_CT_CONTRAST = SeriesOnFile(number=2, modality="CT", instances=2, description="Thorax KM")
_MR = SeriesOnFile(number=1, modality="MR", instances=2, body_part="BRAIN", description="T2")
_CR = SeriesOnFile(number=1, modality="CR", instances=1, description="PA")
_US = SeriesOnFile(number=1, modality="US", instances=2, body_part="ABDOMEN", description="Abdomen")


def _at(issuer: str, *studies: tuple[str, Person, str, str, tuple[SeriesOnFile, ...], str]) -> tuple[StudyOnFile, ...]:
    return tuple(
        StudyOnFile(
            key=key,
            person=person,
            issuer=issuer,
            date=date,
            time=time,
            series=series,
            accession=f"{issuer[0]}A{number:04d}",
            description=description,
        )
        for number, (key, person, date, time, series, description) in enumerate(studies, 1)
    )


_MUELLER = {"birth_date": "19520314", "sex": "M", "national_id": "756.4711.0815.01"}
_MUELLER_NORTH = Person(patient_id="N-0001", name="Müller^Jürgen", charset="ISO_IR 100", **_MUELLER)
_MUELLER_SOUTH = Person(patient_id="4711", name="Mueller^Juergen", **_MUELLER)
_MUELLER_EAST = Person(patient_id="E.77", name="Müller^Jürgen", **_MUELLER)
_IVANOV = Person(patient_id="N-0002", name="Иванов^Пётр", birth_date="19710902", sex="M", charset="ISO_IR 144")
_OBRIEN_NORTH = Person(patient_id="1001", name="O'Brien^Mary", birth_date="19880621", sex="F")
_NGUYEN_SOUTH = Person(patient_id="1001", name="Nguyễn^Thị", birth_date="20010101", sex="F")
_CANARY = {
    issuer: Person(
        patient_id=f"{canary.MRN}-{issuer[0]}",
        name=f"{canary.FAMILY}^{canary.GIVEN}",
        birth_date=canary.BIRTH_DATE.replace("-", ""),
        national_id=canary.NATIONAL_ID,
    )
    for issuer in ("NORTH", "SOUTH", "EAST")
}

ARCHIVES: dict[str, tuple[StudyOnFile, ...]] = {
    "NORTH": _at(
        "NORTH",
        ("mueller-ct", _MUELLER_NORTH, "20240312", "081500", (_CT,), "CT Thorax"),
        ("mueller-cr", _MUELLER_NORTH, "20190105", "233000", (_CR,), "Röntgen Thorax"),
        ("ivanov-mr", _IVANOV, "20230830", "120000", (_MR,), "МРТ головного мозга"),
        ("obrien-us", _OBRIEN_NORTH, "20250214", "093000", (_US,), "US Abdomen"),
        ("canary-cr", _CANARY["NORTH"], "20250601", "101000", (_CR,), "CR Chest"),
    ),
    "SOUTH": _at(
        "SOUTH",
        ("mueller-ct", _MUELLER_SOUTH, "20240312", "081500", (_CT, _CT_CONTRAST), "CT Thorax"),
        ("mueller-mr", _MUELLER_SOUTH, "20250920", "140000", (_MR,), "MR Brain"),
        ("nguyen-cr", _NGUYEN_SOUTH, "20240101", "000500", (_CR,), "CR Chest"),
        ("canary-ct", _CANARY["SOUTH"], "20250602", "111000", (_CT,), "CT Chest"),
    ),
    "EAST": _at(
        "EAST",
        ("mueller-us", _MUELLER_EAST, "20211111", "111111", (_US,), "US Abdomen"),
        ("canary-mr", _CANARY["EAST"], "20250603", "121000", (_MR,), "MR Brain"),
    ),
}
"""What each facility holds, by the issuer it writes into (0010,0021)."""


def write(studies: Iterable[StudyOnFile], folder: Path) -> list[Path]:
    """The files of the studies in `folder`, one an image; the same studies give the same bytes."""
    paths = []
    for study in studies:
        for dataset in datasets(study):
            path = folder / f"{dataset.SOPInstanceUID}.dcm"
            dataset.save_as(path, enforce_file_format=True)
            paths.append(path)
    return paths


def datasets(study: StudyOnFile) -> Iterator[FileDataset]:
    """Every image of the study."""
    for series in study.series:
        for number in range(1, series.instances + 1):
            yield _image(study, series, number)


def _image(study: StudyOnFile, series: SeriesOnFile, number: int) -> FileDataset:
    sop_class = STORAGE_CLASS[series.modality]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = uid_of("image", study.key, series.number, number)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    image.SpecificCharacterSet = study.person.charset if _fits(study) else "ISO_IR 192"
    image.SOPClassUID = sop_class
    image.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    _describe_patient(image, study)
    _describe_study(image, study)
    image.Modality = series.modality
    image.SeriesInstanceUID = study.series_uid(series)
    image.SeriesNumber = series.number
    image.SeriesDescription = series.description
    image.BodyPartExamined = series.body_part
    image.InstanceNumber = number
    _draw(image, number)
    return image


def _fits(study: StudyOnFile) -> bool:
    """Whether all its words can be written in the character set of its person."""
    codec = {"ISO_IR 100": "iso8859_1", "ISO_IR 144": "iso8859_5"}.get(study.person.charset, "utf-8")
    words = (study.person.name, study.description, *(series.description for series in study.series))
    return all(word.encode(codec, "replace").decode(codec) == word for word in words)


def _describe_patient(image: Dataset, study: StudyOnFile) -> None:
    image.PatientName = study.person.name
    image.PatientID = study.person.patient_id
    image.IssuerOfPatientID = study.issuer
    image.PatientBirthDate = study.person.birth_date
    image.PatientSex = study.person.sex


def _describe_study(image: Dataset, study: StudyOnFile) -> None:
    image.StudyInstanceUID = study.uid
    image.StudyID = study.key[:16]
    image.StudyDate = study.date
    image.StudyTime = study.time
    image.AccessionNumber = study.accession
    image.StudyDescription = study.description
    image.ReferringPhysicianName = "Referrer^Rita"
    image.InstitutionName = study.issuer
    if study.offset is not None:
        image.TimezoneOffsetFromUTC = study.offset


def _draw(image: Dataset, number: int) -> None:
    image.Rows = image.Columns = SIDE
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated = 8
    image.BitsStored = 8
    image.HighBit = 7
    image.PixelRepresentation = 0
    image.PixelData = bytes((x * y * 4 + number) % 256 for x in range(SIDE) for y in range(SIDE))


def patients(archive: Sequence[StudyOnFile]) -> tuple[Person, ...]:
    """Everyone the archive has a study of, each once."""
    return tuple(dict.fromkeys(study.person for study in archive))
