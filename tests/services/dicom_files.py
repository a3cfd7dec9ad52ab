"""What the archives that tests start hold: three facilities with a few studies each (`dicom_writer` makes the files).

What is in them on purpose: one person under another PatientID at each facility; one study held by two facilities with
different series; one PatientID that is somebody else at another facility; names in Latin-1, Cyrillic and with an
apostrophe; a study without an issuer of its accession; a person whose name must never show in a log (`tests.canary`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from tests import canary


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


def patients(archive: Sequence[StudyOnFile]) -> tuple[Person, ...]:
    """Everyone the archive has a study of, each once."""
    return tuple(dict.fromkeys(study.person for study in archive))


def paths_of(study: StudyOnFile, number: int = 0) -> list[str]:
    """Every form in which something of the study, and of one of its series, is fetched."""
    series = study.series[number]
    base = f"/studies/{study.uid}"
    of_series = f"{base}/series/{study.series_uid(series)}"
    instance = f"{of_series}/instances/{uid_of('image', study.key, series.number, 1)}"
    return [
        base,
        f"{base}/metadata",
        f"{base}/series",
        f"{base}/instances",
        f"?StudyInstanceUID={study.uid}",
        of_series,
        f"{of_series}/metadata",
        f"{of_series}/rendered",
        f"{of_series}/instances",
        instance,
        f"{instance}/metadata",
        f"{instance}/rendered",
        f"{instance}/frames/1",
        f"{instance}/frames/1/rendered",
        f"{instance}/bulk/7fe00010",
        f"{instance}/thumbnail",
        f"{base}/thumbnail",
    ]
