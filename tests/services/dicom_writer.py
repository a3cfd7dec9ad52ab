"""Small real DICOM files: the same studies give the same bytes every time."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    UltrasoundImageStorage,
)

from tests.services.dicom_files import SeriesOnFile, StudyOnFile, uid_of

STORAGE_CLASS = {
    "CT": CTImageStorage,
    "MR": MRImageStorage,
    "CR": ComputedRadiographyImageStorage,
    "US": UltrasoundImageStorage,
}
IMPLEMENTATION_CLASS_UID = "2.25.173404412376504226473420316013379712345"
SIDE = 8
"""Pixels on a side: an image, but a small one."""


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
