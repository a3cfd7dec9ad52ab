"""What a study is, to the gateway: as one facility tells it, and as the permitted facilities together tell it.

A query makes hundreds of these: they are named tuples, which are made in a third of the time that a frozen dataclass
takes and can be changed as little. Their fields are given by name.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from gateway.model import Coding, FacilityID, Identifier, LocalPatientID, Moment, SecurityLabel, StudyUID

Availability = Literal["available", "unknown"]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """When a study or series began.

    `text` is a FHIR dateTime: with a time only where its offset is known, else the date alone (FHIR R4 §dateTime).
    `moment` is the interval it denotes, for searching and sorting; `place` its start in microseconds since 1970 UTC.
    """

    text: str
    moment: Moment
    place: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "place", microseconds_of(self.moment.start))


def microseconds_of(time: datetime) -> int:
    """Since 1970 in UTC, exactly."""
    since = time - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


class Series(NamedTuple):
    """One series as a facility tells it (DICOM PS3.18 table 10.6.3-4)."""

    uid: str
    number: int | None = None
    modality: str | None = None
    description: str | None = None
    instances: int | None = None
    body_part: str | None = None
    """(0018,0015) as written; `imaging/body_sites.py` gives its code."""
    laterality: str | None = None
    """(0020,0060): `L` or `R`, else None."""
    started: Started | None = None


class SourceStudy(NamedTuple):
    """One study as one facility tells it about one of its patient records. Nothing of another facility is in it."""

    uid: StudyUID
    facility: FacilityID
    local_id: LocalPatientID
    record_id: int
    """The source record that was asked for (`SourceRecord.record_id`)."""
    started: Started | None = None
    modalities: tuple[str, ...] = ()
    """From (0008,0061) and the series, sorted, without `*` and blanks; empty where nobody tells."""
    description: str | None = None
    accession: Identifier | None = None
    """`system` empty where no assigner is known."""
    referrer: str | None = None
    """(0008,0090) as a person reads it."""
    procedure_codes: tuple[Coding, ...] = ()
    availability: Availability = "available"
    number_of_series: int | None = None
    number_of_instances: int | None = None
    series: tuple[Series, ...] | None = None
    """Each once, in the order of their UIDs; None where the facility was not asked or did not tell."""
    departments: tuple[str, ...] = ()
    """Where it was made (0008,1040) and who asked for it (0032,1033), as written. Told to nobody: see label rules."""


class SourceFacts(NamedTuple):
    """What the gateway knows of one source of a study beyond what the facility says."""

    first_seen: datetime
    """First seen as it now is (contract §7)."""
    linked_at: datetime
    opened_at: datetime | None
    """When the consent version that opened it came into force; None under the implicit policy."""


class Study(NamedTuple):
    """One study as the permitted sources together tell it. A withheld source contributed nothing."""

    id: str
    """Opaque and stable: neither the UID nor a facility can be read from it."""
    uid: StudyUID
    sources: tuple[SourceStudy, ...]
    """The permitted ones, in facility order."""
    started: Started | None
    modalities: tuple[str, ...]
    description: str | None
    accessions: tuple[Identifier, ...]
    referrer: str | None
    procedure_codes: tuple[Coding, ...]
    availability: Availability
    number_of_series: int | None
    number_of_instances: int | None
    series: tuple[Series, ...] | None
    """The union over the sources, by series UID; None where no source tells."""
    series_holders: tuple[tuple[FacilityID, ...], ...]
    """For each of `series`, the facilities that hold it; empty tuples never occur."""
    last_updated: datetime
    security: tuple[SecurityLabel, ...] = ()
    """Its security labels (`v3-Confidentiality`, `v3-ActCode`); empty where it is normal."""
    partial: bool = False
    """Whether the token's scopes leave some of it out (a series, or a source): the whole must then not be fetched."""

    @property
    def facilities(self) -> tuple[FacilityID, ...]:
        """The permitted facilities that hold it, each once, in order."""
        if len(self.sources) == 1:
            return (self.sources[0].facility,)
        return tuple(dict.fromkeys([source.facility for source in self.sources]))
