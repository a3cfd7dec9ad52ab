"""Real DICOM files of the sample studies: small, viewable, and the same bytes every time they are made."""

from collections.abc import Iterable
from pathlib import Path

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    UltrasoundImageStorage,
)

from deploy.demo.phantoms import SIDE, Picture, draw
from deploy.demo.samples import Person, Series, Site, Study, uid

_STORAGE = {
    "CT": CTImageStorage,
    "MR": MRImageStorage,
    "CR": ComputedRadiographyImageStorage,
    "US": UltrasoundImageStorage,
}
_IMPLEMENTATION = uid("implementation", "demo")
_SEX = {"male": "M", "female": "F", "other": "O"}


def write(site: Site, studies: Iterable[Study], folder: Path) -> int:
    """Every image of `studies` lies in `folder`, one file each; those that are there already are left. How many."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for study in studies:
        for series in study.series:
            for number in range(1, series.images + 1):
                count += 1
                path = folder / f"{study.key}-{series.number}-{number}.dcm"
                if not path.exists():
                    draft = path.with_suffix(".part")
                    image(site, study, series, number).save_as(draft, enforce_file_format=True)
                    draft.replace(path)
    return count


def image(site: Site, study: Study, series: Series, number: int) -> FileDataset:
    """One image as its facility would have stored it."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = _STORAGE[series.modality]
    meta.MediaStorageSOPInstanceUID = uid("image", study.key, series.number, number)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _IMPLEMENTATION
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    _describe_patient(dataset, study.person, site)
    _describe_study(dataset, study, site)
    _describe_series(dataset, study, series, number)
    _put_pixels(dataset, series, draw(series.modality, series.body_part, number, series.images))
    return dataset


def _describe_patient(dataset: Dataset, person: Person, site: Site) -> None:
    groups = [f"{person.family}^{person.given}"] + ([person.ideographic] if person.ideographic else [])
    dataset.PatientName = "=".join(groups)
    dataset.PatientID = person.mrn
    dataset.IssuerOfPatientID = site.issuer
    dataset.PatientBirthDate = person.birth_date.replace("-", "")
    dataset.PatientSex = _SEX[person.sex]


def _describe_study(dataset: Dataset, study: Study, site: Site) -> None:
    dataset.StudyInstanceUID = study.uid
    dataset.StudyID = study.accession
    dataset.StudyDate = study.date
    dataset.StudyTime = study.time
    dataset.AccessionNumber = study.accession
    dataset.StudyDescription = study.description
    dataset.ReferringPhysicianName = study.referrer
    dataset.InstitutionName = site.name


def _describe_series(dataset: Dataset, study: Study, series: Series, number: int) -> None:
    dataset.Modality = series.modality
    dataset.SeriesInstanceUID = study.series_uid(series)
    dataset.SeriesNumber = series.number
    dataset.SeriesDescription = series.description
    dataset.SeriesDate = study.date
    dataset.SeriesTime = study.time
    dataset.BodyPartExamined = series.body_part
    if series.laterality:
        dataset.Laterality = series.laterality
    dataset.InstanceNumber = number
    if series.modality in ("CT", "MR"):
        dataset.FrameOfReferenceUID = uid("frame", study.key)
        dataset.ImagePositionPatient = [0, 0, number * 5]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.PixelSpacing = [2, 2]
        dataset.SliceThickness = 5


def _put_pixels(dataset: Dataset, series: Series, picture: Picture) -> None:
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows = dataset.Columns = SIDE
    dataset.PixelRepresentation = 0
    if series.modality == "US":
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset.PixelData = bytes(picture)
        return
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.WindowCenter, dataset.WindowWidth = 2048, 4096
    if series.modality == "CT":
        dataset.RescaleIntercept, dataset.RescaleSlope = -1024, 1
        dataset.WindowCenter, dataset.WindowWidth = 1024, 4096
    twelve_bits = bytearray(2 * len(picture))
    twelve_bits[0::2] = picture.translate(_LOW)
    twelve_bits[1::2] = picture.translate(_HIGH)
    dataset.PixelData = bytes(twelve_bits)


_LOW = bytes((value * 16) & 0xFF for value in range(256))
_HIGH = bytes((value * 16) >> 8 for value in range(256))
"""The two bytes, little endian, of sixteen times a value: 8 bits drawn, 12 bits stored."""
