"""Does the person behind an app's token still have the right that it was issued on? Asked at each request.

An account that was disabled, a person who is no longer bound to that patient, a clinician who is none any more, a
delegation that ended: each ends the tokens that rest on it at once, however long they would live (ASVS 5.0 8.3.2).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gateway.auth.app_grants import Capacity
from gateway.auth.people import Account, Delegations, Role
from gateway.errors import AccessRefused, NotAuthenticated
from gateway.model import PatientID, Requester


class AccountsByID(Protocol):
    """The accounts of people. Every method raises DependencyUnavailable where the store fails."""

    def find(self, id_: str) -> Account | None:
        """The account of that id, enabled or not."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Who people are, and whom they may act for, as it stands now."""

    accounts: AccountsByID
    delegations: Delegations


class DelegationEnded(AccessRefused):
    """A delegate's right to act for that patient has ended."""


def capacity_of(requester: Requester) -> Capacity:
    """As what the person behind a token asks."""
    if requester.delegation is not None:
        return "delegate"
    return "patient" if requester.is_the_patient else "clinician"


def require_person_standing(people: People | None, requester: Requester, now: datetime) -> None:
    """The person behind the token may still do what it was issued for; a system's token needs nobody.

    Raises NotAuthenticated where they are no longer whom it names, DelegationEnded where they no longer act for the
    patient, DependencyUnavailable.
    """
    if requester.account is None:
        return
    if people is None:
        raise NotAuthenticated("nobody signs in here")
    require_capacity(
        people,
        requester.account,
        capacity_of(requester),
        patient=requester.patient,
        delegation=requester.delegation,
        now=now,
    )


def require_capacity(
    people: People,
    account_id: str,
    capacity: Capacity,
    *,
    patient: PatientID | None,
    delegation: str | None,
    now: datetime,
) -> Account:
    """The account, enabled, and still what it was granted as. Raises as `require_person_standing` does."""
    account = people.accounts.find(account_id)
    if account is None or not account.enabled:
        raise NotAuthenticated("the account is not there or not enabled")
    if capacity == "patient":
        if Role.PATIENT not in account.roles or account.patient != patient or patient is None:
            raise NotAuthenticated("the account is not that patient's")
    elif capacity == "delegate":
        standing = people.delegations.standing(account_id, now) if Role.DELEGATE in account.roles else ()
        if not any(one.id == delegation and one.patient == patient for one in standing):
            raise DelegationEnded("the delegation has ended")
    elif Role.CLINICIAN not in account.roles:
        # A patient is named in a clinician's token where it is bound to a facility.
        raise NotAuthenticated("the account is not a clinician's")
    return account
