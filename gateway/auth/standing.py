"""Does the person behind an app's token still have the right that it was issued on? Asked at each request.

An account that was disabled, a person who is no longer bound to that patient, a clinician who is none any more, a
delegation that ended: each ends the tokens that rest on it within a second, however long they would live (ASVS 5.0
8.3.2). What a grant is asked for anew (a code, a refresh) is decided on what stands at that moment.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from gateway.auth.app_grants import Capacity
from gateway.auth.people import Account, Delegation, Delegations, Role
from gateway.errors import AccessRefused, NotAuthenticated
from gateway.model import PatientID, PatientIdentity, PatientRef, Requester

FRESH_S = 1.0
_MOST_REMEMBERED = 10_000


class AccountsByID(Protocol):
    """The accounts of people. Every method raises DependencyUnavailable where the store fails."""

    def find(self, id_: str) -> Account | None:
        """The account of that id, enabled or not."""
        ...


class AccountsToday:
    """Accounts whose patient is the person as the index knows them today: of one that was merged, the survivor.

    An account stays bound to the id that was proved; so that after an unmerge it is that person's again, and no more.
    """

    def __init__(self, accounts: AccountsByID, resolve: Callable[[PatientRef], PatientIdentity | None]) -> None:
        self._accounts = accounts
        self._resolve = resolve

    def find(self, id_: str) -> Account | None:
        """The account of that id, enabled or not."""
        found = self._accounts.find(id_)
        if found is None or found.patient is None:
            return found
        person = self._resolve(PatientRef(id=found.patient))
        return found if person is None else replace(found, patient=person.id)


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


class _Recent:
    """What was found of a key, for a second; at most so many keys."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._known: dict[str, tuple[float, Any]] = {}

    def of(self, key: str, look: Callable[[], Any]) -> Any:
        asked = self._monotonic()
        known = self._known.get(key)
        if known is not None and asked < known[0]:
            return known[1]
        found = look()
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[key] = (asked + FRESH_S, found)
        return found


class _RecentAccounts:
    def __init__(self, accounts: AccountsByID, monotonic: Callable[[], float]) -> None:
        self._accounts = accounts
        self._recent = _Recent(monotonic)

    def find(self, id_: str) -> Account | None:
        found: Account | None = self._recent.of(id_, lambda: self._accounts.find(id_))
        return found


class _RecentDelegations:
    def __init__(self, delegations: Delegations, monotonic: Callable[[], float]) -> None:
        self._delegations = delegations
        self._recent = _Recent(monotonic)

    def acts_for(self, account: Account, now: datetime) -> Sequence[PatientID]:
        return list(dict.fromkeys(one.patient for one in self.standing(account.id, now)))

    def standing(self, account_id: str, now: datetime) -> Sequence[Delegation]:
        found: Sequence[Delegation] = self._recent.of(account_id, lambda: self._delegations.standing(account_id, now))
        return [one for one in found if now < one.until]


def recent(people: People, monotonic: Callable[[], float] = time.monotonic) -> People:
    """`people` as of at most a second ago, for what is asked at every request: an app asks many times a second.

    If a look-up fails, so does the request: an older answer is never used.
    """
    return People(
        accounts=_RecentAccounts(people.accounts, monotonic),
        delegations=_RecentDelegations(people.delegations, monotonic),
    )
