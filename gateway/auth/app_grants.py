"""What one person let one app do: the grant that codes, refresh tokens and access tokens rest on, and end with."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from gateway.audit.record import AuditRecord
from gateway.auth.b2b import Subject
from gateway.model import ClientID, PatientID

Capacity = Literal["patient", "delegate", "clinician"]
"""As whom somebody uses an app: for themself, for whom they act for, or for those they treat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppGrant:
    """Who let which app do what, as whom, for which patient, and until when."""

    id: str
    client_id: ClientID
    account_id: str
    capacity: Capacity
    patient: PatientID | None
    """The one patient it is about; None for a clinician."""
    delegation: str | None
    """The delegation that a delegate's grant rests on."""
    scopes: tuple[str, ...]
    purposes: tuple[str, ...]
    person: Subject
    """The person as tokens, consents and audits name them."""
    signed_in_at: datetime
    methods: tuple[str, ...]
    session: str
    granted_at: datetime
    until: datetime
    """Exclusive: no token comes of it after that."""
    revoked_at: datetime | None = None

    @property
    def sub(self) -> str:
        """`sub` of what is issued: a patient is their record in the index, anybody else their account."""
        return f"Patient/{self.patient}" if self.capacity == "patient" else self.account_id

    def stands(self, now: datetime) -> bool:
        """Whether tokens may still come of it."""
        return self.revoked_at is None and now < self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeTerms:
    """What a code may be redeemed with."""

    redirect_uri: str
    challenge: str
    """PKCE, method S256 (RFC 7636)."""
    nonce: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCode:
    """A code as it is stored."""

    grant: AppGrant
    terms: CodeTerms
    until: datetime
    used_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRefresh:
    """A refresh token as it is stored."""

    grant: AppGrant
    until: datetime
    used_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRefresh:
    """A refresh token that is to be stored."""

    value: str = field(repr=False)
    until: datetime


class AppGrants(Protocol):
    """Grants, as stored. A change is stored with its audit or not at all. Every method raises DependencyUnavailable."""

    def add(self, grant: AppGrant, code: str, terms: CodeTerms, code_until: datetime, record: AuditRecord) -> None:
        """The grant is there, with a code for it."""
        ...

    def find_code(self, code: str) -> StoredCode | None:
        """The code, used or not; None where it is unknown or was long ago."""
        ...

    def find_refresh(self, token: str) -> StoredRefresh | None:
        """The refresh token, used or not; None where it is unknown or was long ago."""
        ...

    def find(self, id_: str) -> AppGrant | None:
        """The grant of that id, standing or not."""
        ...

    def standing(
        self, now: datetime, *, client_id: str | None = None, account_id: str | None = None
    ) -> Sequence[AppGrant]:
        """The grants that stand, of an app or an account where one is named, oldest first."""
        ...

    def use_code(self, code: str, refresh: NewRefresh | None, record: AuditRecord, now: datetime) -> bool:
        """The code is used, and `refresh` stored. True for exactly one caller, ever; nothing is changed for others."""
        ...

    def use_refresh(self, token: str, refresh: NewRefresh, record: AuditRecord, now: datetime) -> bool:
        """The token is used, and `refresh` takes its place. True for exactly one caller, ever."""
        ...

    def revoke(self, grant: AppGrant, record: AuditRecord, now: datetime) -> bool:
        """No token comes of the grant, and those that did have ended. False where it was so already."""
        ...

    def revoke_token(self, token_id: str, record: AuditRecord, now: datetime) -> None:
        """The access token of that `jti` has ended."""
        ...
