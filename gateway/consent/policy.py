"""What a patient has said about sharing, as values: one Consent, and all that is on file for one person.

Semantics: IHE PCF Basic, plus `data.meaning=authoredby` (root or nested), as `docs/explanation/consent.md` says.
"""

from dataclasses import dataclass
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
class Provision:
    """One rule: whom, why and whose data it is about. Empty tuples mean "any"."""

    type: ProvisionType
    purposes: tuple[str, ...] = ()
    """`v3-ActReason` codes."""
    actors: tuple[str, ...] = ()
    """Whom it is about: `Organization/{id}` or a facility id, an organisation's URI, `system|value`, or a reference."""
    authored_by: tuple[FacilityID, ...] | None = None
    """Facilities whose data the rule is about; None means all. Empty means named, and none of them known here."""
    period_start: datetime | None = None
    period_end: datetime | None = None
    """Exclusive. The rule holds in `[period_start, period_end)`."""
    nested: "tuple[Provision, ...]" = ()


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """May data of one facility be shown to this caller? With the words and the consents it rests on."""

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


class Consents(Protocol):
    """The consents on file, as a query sees them."""

    def find(self, patient: PatientID) -> PatientPolicy:
        """All consents of the person as of now. Raises DependencyUnavailable; never answers "none" for an error."""
        ...
