"""Who signs in: a person's account, the roles it holds, and a sign-in as it stands now.

A patient's account is bound to one person of the index by somebody's proof; a delegate's to the people that they act
for by delegations (`auth/delegations.py`); staff hold roles. The scopes of an app never add to what the account may do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from gateway.model import FacilityID, PatientID


class Role(StrEnum):
    """What a person may be to the exchange. An account may hold several."""

    PATIENT = "patient"
    DELEGATE = "delegate"
    CLINICIAN = "clinician"
    FACILITY_ADMINISTRATOR = "facility-administrator"
    HIE_ADMINISTRATOR = "hie-administrator"
    PRIVACY_OFFICER = "privacy-officer"
    AUDITOR = "auditor"


STAFF = frozenset((Role.FACILITY_ADMINISTRATOR, Role.HIE_ADMINISTRATOR, Role.PRIVACY_OFFICER, Role.AUDITOR))
"""Roles that need a second factor, always."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One person's way in."""

    id: str
    """A UUID; `sub` of what is issued to staff and clinicians."""
    login: str
    name: str
    roles: frozenset[Role]
    patient: PatientID | None = None
    """The person of the index that this account is, as somebody proved."""
    facility: FacilityID | None = None
    """The facility that a facility administrator or clinician belongs to."""
    subject_id: str | None = None
    """What consents and audits know a clinician by (contract §5), such as an NPI's URI."""
    subject_role: str | None = None
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """A session that stands: whose, since when, and how they proved who they are."""

    id: str
    """Names the session in the audit; never the cookie's value."""
    account: Account
    at: datetime
    """When they last proved who they are (`auth_time`)."""
    methods: tuple[str, ...]
    """RFC 8176 values: `pwd`, `otp`, `hwk`, `mfa`, `fed`, …"""

    @property
    def second_factor(self) -> bool:
        """Whether two factors were proved, here or (as its `amr` or `acr` states) at the identity provider."""
        return "mfa" in self.methods


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """One person may act for another, for a purpose, until a moment."""

    id: str
    patient: PatientID
    purpose: str
    """`FAMRQT` or `PWATRNY`: what their tokens and audits say."""
    until: datetime
    """Exclusive."""


class SignIns(Protocol):
    """Sessions, as stored. Every method raises DependencyUnavailable where the store fails."""

    def find(self, cookie: str, now: datetime) -> SignIn | None:
        """The sign-in of that cookie's value; None where it ended, is unknown, or the account is disabled."""
        ...

    def find_step(self, cookie: str, now: datetime) -> SignIn | None:
        """The sign-in of that cookie's value that still owes a second factor: it opens nothing but the way to it."""
        ...


class Delegations(Protocol):
    """Who may act for whom, as it stands."""

    def acts_for(self, account: Account, now: datetime) -> Sequence[PatientID]:
        """Everybody whom the account may act for at `now`."""
        ...

    def standing(self, account_id: str, now: datetime) -> Sequence[Delegation]:
        """The delegations of the account of that id that stand at `now`; each request of a delegate's app asks."""
        ...
