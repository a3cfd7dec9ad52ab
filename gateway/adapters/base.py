"""What it means to ask a facility: the question, the conversation, the reply.

An adapter is pure protocol: it yields the HTTP exchanges it wants next and is sent their results, so that one libcurl
multi can serve every facility of a query at once and the adapter can be tested without a socket. What a query makes by
the dozen is a Struct: made in a tenth of the time that a frozen dataclass takes.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from msgspec import Struct

from gateway.deadline import Deadline
from gateway.imaging.study import SourceStudy
from gateway.model import Facility, FacilityID, PatientID, SourceRecord, StudyUID

ReplyStatus = Literal["answered", "timed_out", "unreachable", "refused", "unreadable"]
ExchangeFailure = Literal["timed_out", "unreachable", "too_large", "unreadable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One facility and the source records it may be asked about, each by exactly its PatientID."""

    facility: Facility
    records: tuple[SourceRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FacilityQuestion:
    """What a facility is asked for beyond the patient: nothing that narrows, since archives narrow unreliably."""

    wants_series: bool = True
    wants_department: bool = False
    """Which department made or ordered a study: some archives read a file of each study to tell."""


class HTTPExchange(Struct, frozen=True, kw_only=True, gc=False):
    """One GET, its URL sent as written (no re-encoding: DICOM PS3.18 values may hold `^` and `,`)."""

    url: str
    headers: tuple[tuple[str, str], ...] = ()
    form: bytes | None = None
    """Where there is one, a POST of this `application/x-www-form-urlencoded` body: a request for a token."""

    def __repr__(self) -> str:
        # Headers and form hold secrets.
        return f"HTTPExchange(url={self.url!r})"


class HTTPResult(Struct, frozen=True, kw_only=True, gc=False):
    """What came back: a status and a body within the size cap, or the way it failed."""

    status: int = 0
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    failure: ExchangeFailure | None = None


class FacilityReply(Struct, frozen=True, kw_only=True):
    """What one facility said. Never an exception: a failure is a value, and it is always told."""

    facility: Facility
    status: ReplyStatus
    studies: tuple[SourceStudy, ...] = ()
    incomplete: bool = False
    """True where some of the answer is known to be missing (truncated, unreadable or withheld rows, no series)."""
    dropped: int = 0
    """Rows of another patient or issuer: not used, counted, alerted (T107)."""
    contradicted: int = 0
    """Rows whose birth date and family name both contradict the record: withheld, alerted."""
    unreadable: int = 0
    """Rows that could not be read as a study."""
    unasked: int = 0
    """Records whose PatientID can't safely be sent (empty, wildcard, list or control characters: T108)."""
    elapsed: timedelta = timedelta(0)

    @property
    def failed(self) -> bool:
        """Whether nothing usable came back."""
        return self.status != "answered"


Conversation = Generator[Sequence[HTTPExchange], Sequence[HTTPResult], FacilityReply]
"""Yields exchanges to run side by side, is sent their results in order, returns the reply."""


class FacilityAdapter(Protocol):
    """One way of asking (`dicomweb`, `dimse`, `fhir`)."""

    def converse(self, target: Target, question: FacilityQuestion) -> Conversation:
        """The exchanges that answer `question` for `target`, ending in its reply."""
        ...


class Facilities(Protocol):
    """The facilities of the exchange, as a query sees them."""

    def all(self) -> Sequence[Facility]:
        """Every registered facility, in id order, as of at most a second ago."""
        ...

    def ask(self, targets: Sequence[Target], question: FacilityQuestion, deadline: Deadline) -> Sequence[FacilityReply]:
        """Ask all targets at the same moment; a reply for each, in target order, before `deadline`. Never raises."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What `Sightings.observe` knows after it has looked at, and stored, a query's studies."""

    first_seen: Mapping[tuple[int, FacilityID, StudyUID], datetime]
    """When each source, by (record id, facility, UID), was first seen as it now is."""
    study_ids: Mapping[StudyUID, str]
    """The opaque id of each study of this person."""
    shared: tuple[StudyUID, ...] = ()
    """UIDs that have also been seen under another person (told once, when that is new): an alert."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Whose study an id stands for, and which facilities have shown it."""

    person: PatientID
    facilities: frozenset[FacilityID]
