"""Who and what the demo is about: three facilities, their patients, and the studies each of them holds.

All of it is made up. On purpose: one person is known in all three facilities under three MRNs and three spellings; one
of her studies lies in two facilities, each with series that the other lacks; she has told the exchange to leave out the
third; names come in several scripts.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

NATIONAL_ID = "https://ids.example.org/national-person-number"
"""The system of the identifiers that name one person everywhere: `GATEWAY_STRONG_IDENTIFIER_SYSTEMS`."""

Modality = Literal["CT", "MR", "CR", "US"]


def uid(*words: object) -> str:
    """A UID that follows from the words alone (DICOM PS3.5 annex B.2: root 2.25)."""
    return f"2.25.{int.from_bytes(sha256('|'.join(map(str, words)).encode()).digest()[:15], 'big')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A facility of the exchange and the manners of its archive."""

    id: str
    name: str
    identifier_system: str
    issuer: str
    time_zone: str
    delay_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A patient as one facility knows them."""

    mrn: str
    family: str
    given: str
    birth_date: str
    sex: Literal["male", "female", "other"]
    national_id: str = ""
    ideographic: str = ""
    """The name in ideographs, as the second component group of a DICOM person name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Some images of one kind."""

    number: int
    modality: Modality
    description: str
    images: int
    body_part: str
    laterality: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study as one facility holds it. The same `key` at another facility is the same study."""

    key: str
    person: Person
    date: str
    time: str
    description: str
    accession: str
    referrer: str
    series: tuple[Series, ...]

    @property
    def uid(self) -> str:
        """Its Study Instance UID."""
        return uid("study", self.key)

    def series_uid(self, series: Series) -> str:
        """The Series Instance UID of one of its series."""
        return uid("series", self.key, series.number)


NORTH = Site(
    id="north",
    name="North Hospital",
    identifier_system="urn:oid:2.25.100000001",
    issuer="NORTH",
    time_zone="Europe/Berlin",
)
SOUTH = Site(
    id="south",
    name="South Imaging Centre",
    identifier_system="urn:oid:2.25.100000002",
    issuer="SOUTH",
    time_zone="Europe/Berlin",
    delay_ms=600,
)
EAST = Site(
    id="east",
    name="East Street Clinic",
    identifier_system="urn:oid:2.25.100000003",
    issuer="EAST",
    time_zone="Europe/Berlin",
)
SITES = (NORTH, SOUTH, EAST)

_YILMAZ = "DE-7904-55012"
YILMAZ_NORTH = Person(
    mrn="N-10482", family="Yılmaz", given="Amina", birth_date="1979-04-12", sex="female", national_id=_YILMAZ
)
YILMAZ_SOUTH = Person(
    mrn="0099713", family="YILMAZ", given="AMINA LEYLA", birth_date="1979-04-12", sex="female", national_id=_YILMAZ
)
YILMAZ_EAST = Person(
    mrn="E/55-31", family="Yilmaz-Brandt", given="Amina", birth_date="1979-04-12", sex="female", national_id=_YILMAZ
)
IVANOV = Person(
    mrn="N-20731", family="Иванов", given="Пётр", birth_date="1951-11-30", sex="male", national_id="DE-5111-20884"
)
IVANOV_SOUTH = Person(
    mrn="0100245", family="Ivanov", given="Petr", birth_date="1951-11-30", sex="male", national_id="DE-5111-20884"
)
WANG = Person(
    mrn="0100388", family="Wang", given="XiaoDong", birth_date="1988-02-29", sex="male", ideographic="王^小東"
)
HADDAD = Person(mrn="E/61-07", family="حداد", given="ليلى", birth_date="1966-07-21", sex="female")
OBRIEN = Person(mrn="N-20999", family="O'Brien", given="Seán", birth_date="2001-01-05", sex="male")

_THORAX = Series(number=1, modality="CT", description="Thorax native 5 mm", images=5, body_part="CHEST")
_THORAX_CONTRAST = Series(number=2, modality="CT", description="Thorax contrast 3 mm", images=6, body_part="CHEST")
_THORAX_LUNG = Series(number=3, modality="CT", description="Lung kernel 1 mm", images=5, body_part="CHEST")


def _thorax(person: Person, accession: str, *series: Series) -> Study:
    return Study(
        key="yilmaz-thorax",
        person=person,
        date="20260914",
        time="101530",
        description="CT chest with contrast",
        accession=accession,
        referrer="Okafor^Ngozi^^Dr.",
        series=series,
    )


HOLDINGS: dict[str, tuple[Study, ...]] = {
    "north": (
        _thorax(YILMAZ_NORTH, "N26-5517", _THORAX, _THORAX_CONTRAST),
        Study(
            key="yilmaz-chest",
            person=YILMAZ_NORTH,
            date="20251130",
            time="084210",
            description="Chest PA and lateral",
            accession="N25-9903",
            referrer="Okafor^Ngozi^^Dr.",
            series=(
                Series(number=1, modality="CR", description="PA", images=1, body_part="CHEST"),
                Series(number=2, modality="CR", description="Lateral", images=1, body_part="CHEST"),
            ),
        ),
        Study(
            key="ivanov-head",
            person=IVANOV,
            date="20260302",
            time="230501",
            description="CT head, trauma",
            accession="N26-1008",
            referrer="Weiß^Jörg",
            series=(Series(number=1, modality="CT", description="Head native", images=4, body_part="HEAD"),),
        ),
        Study(
            key="obrien-ankle",
            person=OBRIEN,
            date="20260719",
            time="171200",
            description="Ankle 2 views",
            accession="N26-4120",
            referrer="Weiß^Jörg",
            series=(
                Series(number=1, modality="CR", description="AP", images=1, body_part="ANKLE", laterality="L"),
                Series(number=2, modality="CR", description="Lateral", images=1, body_part="ANKLE", laterality="L"),
            ),
        ),
    ),
    "south": (
        _thorax(YILMAZ_SOUTH, "S-88120", _THORAX_CONTRAST, _THORAX_LUNG),
        Study(
            key="yilmaz-brain",
            person=YILMAZ_SOUTH,
            date="20260203",
            time="153044",
            description="MR brain",
            accession="S-80411",
            referrer="Lindqvist^Sara",
            series=(
                Series(number=1, modality="MR", description="T1 sagittal", images=4, body_part="BRAIN"),
                Series(number=2, modality="MR", description="T2 axial", images=5, body_part="BRAIN"),
            ),
        ),
        Study(
            key="yilmaz-thyroid",
            person=YILMAZ_SOUTH,
            date="20240618",
            time="093000",
            description="US thyroid",
            accession="S-61200",
            referrer="Lindqvist^Sara",
            series=(Series(number=1, modality="US", description="Thyroid", images=3, body_part="THYROID"),),
        ),
        Study(
            key="ivanov-abdomen",
            person=IVANOV_SOUTH,
            date="20251010",
            time="110000",
            description="US abdomen",
            accession="S-77006",
            referrer="Lindqvist^Sara",
            series=(Series(number=1, modality="US", description="Liver", images=3, body_part="ABDOMEN"),),
        ),
        Study(
            key="wang-knee",
            person=WANG,
            date="20260521",
            time="134500",
            description="MR knee right",
            accession="S-84502",
            referrer="Lindqvist^Sara",
            series=(
                Series(
                    number=1, modality="MR", description="PD fs sagittal", images=4, body_part="KNEE", laterality="R"
                ),
            ),
        ),
    ),
    "east": (
        Study(
            key="yilmaz-pelvis",
            person=YILMAZ_EAST,
            date="20260811",
            time="120000",
            description="US pelvis",
            accession="E-3302",
            referrer="Marin^Elena",
            series=(Series(number=1, modality="US", description="Pelvis", images=4, body_part="PELVIS"),),
        ),
        Study(
            key="haddad-breast",
            person=HADDAD,
            date="20260127",
            time="150000",
            description="US breast",
            accession="E-2918",
            referrer="Marin^Elena",
            series=(
                Series(
                    number=1, modality="US", description="Breast left", images=3, body_part="BREAST", laterality="L"
                ),
            ),
        ),
    ),
}
"""What lies where, by facility id."""

ASKED_ABOUT = YILMAZ_NORTH
"""The patient of the demo's query, by the MRN that her own hospital knows."""
WITHHELD = EAST
"""The facility that she has told the exchange to leave out."""


def studies_of_the_patient(site: Site) -> tuple[Study, ...]:
    """What a facility holds of the patient of the query, under whatever MRN."""
    return tuple(study for study in HOLDINGS[site.id] if study.person.national_id == ASKED_ABOUT.national_id)
