"""What a patient has said about sharing, as values: one Consent, and all that is on file for one person.

Semantics: IHE PCF Basic, Intermediate and Advanced, as `docs/explanation/consent.md` says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from gateway.model import FacilityID, ImplicitPolicy, PatientID

ProvisionType = Literal["permit", "deny"]

POLICY_URL: dict[ImplicitPolicy, str] = {
    "basic-normal": "https://profiles.ihe.net/ITI/PCF/Policy-basic-normal",
    "all-normal": "https://profiles.ihe.net/ITI/PCF/Policy-all-normal",
    "break-glass-only": "https://profiles.ihe.net/ITI/PCF/Policy-break-glass-only",
    "deny": "https://profiles.ihe.net/ITI/PCF/Policy-deny",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPeriod:
    """When data was made, `[start, end)`. A limit without a time is a calendar day where the study was made."""

    start: datetime | None = None
    end: datetime | None = None
    start_zoned: bool = True
    """False for a limit without a time, which is then written as if in UTC."""
    end_zoned: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Provision:
    """One rule: whom, why and which data it is about. Empty tuples and None mean "any"."""

    type: ProvisionType
    purposes: tuple[str, ...] = ()
    """`v3-ActReason` codes; `system|code` for those of another code system, which nobody here can ask for."""
    actors: tuple[str, ...] = ()
    """Whom it is about: `Organization/{id}` or a facility id, an organisation's URI, `system|value`, a reference, a
    role as `PractitionerRole|{system}|{code}`, or a group as `Group/{id}`."""
    authored_by: tuple[FacilityID, ...] | None = None
    """Facilities whose data the rule is about; None means all. Empty means named, and none of them known here."""
    studies: tuple[str, ...] = ()
    """Studies it is about, beside what `authored_by` names: a Study Instance UID, an accession number
    (`system|value`), or `ImagingStudy/{id}`. Values of one element (`data`) are alternatives."""
    labels: tuple[str, ...] = ()
    """`v3-Confidentiality` and `v3-ActCode` codes."""
    data_period: DataPeriod | None = None
    period_start: datetime | None = None
    period_end: datetime | None = None
    """Exclusive. The rule holds in `[period_start, period_end)`."""
    nested: "tuple[Provision, ...]" = ()
    """At the root: rules that refine it. In a nested rule: what is excepted from it (FHIR R5 alone)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentVersion:
    """One version of one Consent of a person."""

    id: str
    version: int
    active: bool
    """`status` is `active`; any other status takes no part in decisions."""
    recorded_at: datetime
    """When this version came to the gateway: contract §7, `meta.lastUpdated`."""
    root: Provision | None
    """None where something in it can't be evaluated: it then denies (fail closed)."""
    bases: tuple[ImplicitPolicy, ...] = ()
    """Implicit policies it names as what it builds on (`policy.uri`): they bound what its denies leave unsaid."""
    person: PatientID | None = None
    """The person it was filed for: under that one's id are its references to `ImagingStudy/{id}` to be read."""
    groups: frozenset[str] = frozenset()
    """The groups of the exchange that it names (`Group/{id}`)."""

    @property
    def reference(self) -> str:
        """`Consent/{id}/_history/{version}`."""
        return f"Consent/{self.id}/_history/{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientPolicy:
    """All that is on file for one person, and the policy of the community where nothing is."""

    patient: PatientID
    consents: tuple[ConsentVersion, ...]
    implicit: ImplicitPolicy
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Members of each group that a consent names (`Group/{id}`), by every name of theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """May data of one facility, or one study of it, be shown to this caller? With words and what it rests on."""

    facility: FacilityID
    permitted: bool
    reason: str
    consents: tuple[str, ...] = ()
    """References of the versions relied on."""
    policy: str | None = None
    """URL of the implicit policy, where that decided."""
    opened_at: datetime | None = None
    """Since when it has been so: the permitting version was recorded, a rule began, or what stood in the way ended.

    None where no consent had a part in it: the implicit policy alone, or the patient's own right."""
    partial: bool = False
    """For a facility as a whole: its studies are decided one by one, and some may be withheld."""
    obligations: tuple[str, ...] = ()
    """What the receiver has to heed: `v3-ActCode` codes of refrain policies."""


class Consents(Protocol):
    """The consents on file, as a query sees them."""

    def find(self, patient: PatientID) -> PatientPolicy:
        """All consents of the person as of now. Raises DependencyUnavailable; never answers "none" for an error."""
        ...
