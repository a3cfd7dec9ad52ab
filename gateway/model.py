"""The values every room speaks of: identifiers, facilities, who asks, which person, what is asked.

Frozen and free of I/O. FHIR shapes stop at the `fhir` files and DICOM shapes at `imaging/from_dicom.py`, so nothing
here knows either.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NewType

FacilityID = NewType("FacilityID", str)
PatientID = NewType("PatientID", str)
LocalPatientID = NewType("LocalPatientID", str)
StudyUID = NewType("StudyUID", str)
ClientID = NewType("ClientID", str)

ImplicitPolicy = Literal["basic-normal", "all-normal", "break-glass-only", "deny"]
RetrieveMode = Literal["own", "token", "gate"]


@dataclass(frozen=True, slots=True)
class Identifier:
    """A value within the system (URI) that assigned it."""

    system: str
    value: str


@dataclass(frozen=True, slots=True)
class Coding:
    """A code, the system it is from, and words for people."""

    system: str
    code: str
    display: str | None = None


@dataclass(frozen=True, slots=True)
class SecurityLabel(Coding):
    """A label of how sensitive something is, and the laws and policies that it was given by."""

    basis: tuple[Coding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FacilityAuth:
    """How the gateway proves itself to a facility. Secrets are left out of `repr`."""

    type: Literal["none", "basic", "bearer", "oauth2", "mtls"] = "none"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    token_url: str | None = None
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)
    scope: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    ca_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facility:
    """A member of the exchange: its name to people, its address to the gateway, its address to clients."""

    id: FacilityID
    name: str
    identifier_system: str
    issuer: str | None = None
    time_zone: str = ""
    """IANA name; empty where it is not known, and then times without an offset of their own are not told."""
    adapter: Literal["dicomweb", "dimse", "fhir"] = "dicomweb"
    query_url: str | None = None
    link_url: str = ""
    deadline: timedelta = timedelta(milliseconds=3000)
    retrieve: RetrieveMode = "own"
    auth: FacilityAuth = FacilityAuth()
    accession_system: str | None = None
    gate_url: str | None = None
    host: str | None = None
    port: int | None = None
    called_aet: str | None = None
    calling_aet: str | None = None
    link_origins: tuple[str, ...] = ()
    part2: bool = False
    freshness_s: int | None = None
    ask_by_demographics: bool = False
    suspended: bool = False
    downtime: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Requester:
    """Who is asking, as the access token says (RFC 9068, UDAP `hl7-b2b`, IHE IUA) and as nothing else can."""

    client_id: ClientID
    client_name: str
    organization: str
    scopes: tuple[str, ...]
    purposes: tuple[str, ...]
    """`v3-ActReason` codes, never empty."""
    issuer: str
    subject: str
    token_id: str
    expires_at: datetime
    subject_id: str | None = None
    subject_name: str | None = None
    subject_role: str | None = None
    patient: PatientID | None = None
    """The one patient the token is bound to, if it is bound."""
    declaration: str | None = None
    """The break-glass declaration that the token was issued under, if it was."""
    token_exchange: bool = False
    """Whether the client exchanges its tokens for ones that are bound to a facility (RFC 8693)."""
    account: str | None = None
    """The account of the person who uses the app; None where a system asks for itself."""
    grant: str | None = None
    """What that person granted the app, which the token ends with."""
    delegation: str | None = None
    """The delegation by which that person acts for the patient, if they do."""

    @property
    def signed_in(self) -> bool:
        """Whether a person signed in, rather than a system asking for itself (RFC 9068 §2.2, `sub`)."""
        return self.subject != self.client_id

    @property
    def caller(self) -> str:
        """Whom limits count: a system, or a person in an app."""
        return f"{self.client_id} {self.subject}" if self.signed_in else self.client_id

    @property
    def is_the_patient(self) -> bool:
        """Whether the person who asks is the patient the token is bound to (their own access is a right)."""
        return self.patient is not None and self.subject == f"Patient/{self.patient}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demographics:
    """What a record says of a person, as it says it."""

    family: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    birth_date: str | None = None
    """`YYYY-MM-DD`, `YYYY-MM` or `YYYY`."""
    sex: str | None = None
    """FHIR administrative gender."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRecord:
    """One facility domain's record of a patient: the identifier it is known by there, and since when it is linked."""

    record_id: int
    identifier: Identifier
    """`system` is the facility's `identifier_system`, `value` the PatientID its archive uses."""
    demographics: Demographics
    linked_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientIdentity:
    """A person of the index with the source records that are linked to it."""

    id: PatientID
    records: tuple[SourceRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A half-open interval of time `[start, end)` that a FHIR date of any precision denotes."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DateBound:
    """One FHIR date search value: a prefix and the interval its value denotes."""

    prefix: Literal["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]
    moment: Moment
    zoned: bool = True
    """False for a date without a time: calendar days, written as if in UTC, that are compared with wall-clock time
    where the study was made (`2024-05-01` finds what was made on that day there)."""


@dataclass(frozen=True, slots=True)
class Token:
    """One FHIR token search value. `system` None: any system; empty: no system. `code` None: any code."""

    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientRef:
    """How a search names its one patient: by the gateway's id or by an identifier."""

    id: PatientID | None = None
    identifier: Identifier | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyQuery:
    """One imaging search, parsed. Each tuple is an AND of ORs (`?modality=CT,MR&modality=US`)."""

    patient: PatientRef
    identifier: tuple[tuple[Token, ...], ...] = ()
    started: tuple[tuple[DateBound, ...], ...] = ()
    last_updated: tuple[tuple[DateBound, ...], ...] = ()
    modality: tuple[tuple[Token, ...], ...] = ()
    status: tuple[tuple[Token, ...], ...] = ()
    bodysite: tuple[tuple[Token, ...], ...] = ()
    endpoint: tuple[tuple[str, ...], ...] = ()
    id: tuple[tuple[str, ...], ...] = ()
    wants_series: bool = True
    """False when the answer needs nothing that only a series query tells."""
