"""What one answer disclosed, to whom, why and on whose word: the record that is stored before the answer leaves.

One record an answer; its BALP events (`audit/fhir_audit_event.py`) are derived from it when it is read, losslessly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from msgspec import Struct

AuditKind = Literal[
    "imaging-search",
    "imaging-read",
    "patient-search",
    "patient-read",
    "consent-search",
    "consent-read",
    "consent-create",
    "consent-update",
    "patient-feed",
    "access-refused",
    "token-issued",
    "token-refused",
    "token-revoked",
    "token-introspected",
    "app-authorized",
    "app-refused",
    "sign-in",
    "sign-out",
    "account-change",
    "audit-search",
    "audit-read",
    "accounting",
    "retrieval",
    "retrieval-refused",
    "alert",
    "operator",
]
Outcome = Literal["success", "refused", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """The caller, as its token names it. All None where nobody was authenticated."""

    client_id: str | None = None
    client_name: str | None = None
    organization: str | None = None
    subject_id: str | None = None
    subject_name: str | None = None
    subject_role: str | None = None
    issuer: str | None = None
    subject: str | None = None
    token_id: str | None = None
    """`jti` of the access token, never the token."""
    purposes: tuple[str, ...] = ()
    network: str | None = None
    """The address the request came from."""


class Asked(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One facility that was asked, and how that went."""

    facility: str
    status: str
    elapsed_ms: int
    studies: int
    dropped: int = 0
    contradicted: int = 0
    incomplete: bool = False


class Decided(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One consent decision that was relied on: for a facility as a whole, or for one study of it."""

    facility: str
    decision: Literal["permit", "deny"]
    reason: str
    consents: tuple[str, ...] = ()
    """`Consent/{id}/_history/{version}` of each consent relied on; empty under the implicit policy."""
    policy: str | None = None
    """URL of the implicit policy where no consent was on file."""
    study: str | None = None
    """Study Instance UID, where the decision is about one study."""


class Released(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What left the gateway, by facility: the Study Instance UIDs whose links were handed out."""

    facility: str
    studies: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """Everything about one answer that an auditor, a patient or a court may ask for."""

    id: str
    """A UUID; FHIR AuditEvents derived from it are `{id}-{n}`."""
    recorded: datetime
    kind: AuditKind
    outcome: Outcome
    reason: str = ""
    """Why it was refused or failed, or what an alert or an operator's action was; our words."""
    who: Who = Who()
    patient: str | None = None
    """The person's id; None where the patient was not found (the look-up itself is still recorded)."""
    request: str = ""
    """The raw request: `GET /fhir/r4/ImagingStudy?...`, or the method, path and body of a POST."""
    request_id: str = ""
    asked: tuple[Asked, ...] = ()
    decided: tuple[Decided, ...] = ()
    released: tuple[Released, ...] = ()
    resources: tuple[str, ...] = ()
    """References of what a read returned (`ImagingStudy/…`, `Patient/…`)."""
    algorithm: str | None = None
    """The label of the matching algorithm that linked the records, for events of identity."""
    details: tuple[tuple[str, str], ...] = ()
    """Further facts as name and value, in order (never secrets)."""


class AuditLog(Protocol):
    """An append-only store of audit records."""

    def record(self, records: Sequence[AuditRecord]) -> None:
        """All of `records` are stored durably when this returns. Raises AuditUnavailable otherwise."""
        ...
