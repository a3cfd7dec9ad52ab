"""The tests' studies as pictures that can be recognised: the demo's phantoms, with the geometry that viewers want."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from pydicom.dataset import FileDataset

from deploy.demo.phantoms import SIDE, draw
from tests.services import dicom_writer
from tests.services.dicom_files import StudyOnFile


def write(studies: Iterable[StudyOnFile], folder: Path) -> list[Path]:
    """The files of the studies in `folder`, one an image."""
    paths = []
    for study in studies:
        for image in _images(study):
            path = folder / f"{image.SOPInstanceUID}.dcm"
            image.save_as(path, enforce_file_format=True)
            paths.append(path)
    return paths


def _images(study: StudyOnFile) -> Iterator[FileDataset]:
    of_series = {series.number: series for series in study.series}
    for image in dicom_writer.datasets(study):
        series = of_series[int(image.SeriesNumber)]
        number = int(image.InstanceNumber)
        image.Rows = image.Columns = SIDE
        image.PixelData = bytes(draw(series.modality, series.body_part, number, series.instances))
        image.PixelSpacing = [2.5, 2.5]
        image.SliceThickness = 5
        image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        image.ImagePositionPatient = [0, 0, 5 * number]
        image.FrameOfReferenceUID = f"{series.number}.{study.uid}"[:60]
        image.WindowCenter, image.WindowWidth = 110, 220
        yield image
