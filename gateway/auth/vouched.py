"""Whose account is it that an identity provider vouches for, and what may it be? (Made, bound or changed here.)

An account is known by the provider's issuer and subject, never by a login or an address that somebody may choose there.
Roles that the provider tells are exactly those it tells now; a patient is bound by an identifier that the index knows
one person by, once, and never to another.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from gateway.audit.record import AuditRecord, Who
from gateway.auth.accounts import StoredAccounts
from gateway.auth.identity_provider import ProviderRefused, Vouched
from gateway.auth.people import STAFF, Account, Role
from gateway.auth.people_audit import people_record, who_is
from gateway.errors import Conflict
from gateway.model import Identifier, PatientID, PatientIdentity, PatientRef

_TOLD_ROLES = STAFF | {Role.CLINICIAN}
"""Roles that a provider's claim may tell; a patient is bound by an identifier, a delegate by a delegation."""
_NEEDS_A_FACILITY = frozenset((Role.FACILITY_ADMINISTRATOR,))
_LOGIN = re.compile(r"[\w][\w.@+-]{1,126}[\w]")

Resolve = Callable[[PatientRef], PatientIdentity | None]


def _name(vouched: Vouched) -> str:
    return "".join(character for character in vouched.name if character.isprintable()).strip()[:200] or vouched.subject


class VouchedAccounts:
    """Finds, makes and keeps the accounts of people whom an identity provider vouches for."""

    def __init__(self, accounts: StoredAccounts, resolve: Resolve) -> None:
        self._accounts = accounts
        self._resolve = resolve

    def account_of(self, vouched: Vouched, network: str | None, now: datetime) -> Account:
        """The account, as the provider says today. Raises ProviderRefused where there is none and none is made."""
        found = self._accounts.find_external(vouched.issuer, vouched.subject)
        if found is not None and not found.enabled:
            raise ProviderRefused("the account is disabled")
        patient = self._patient(vouched)
        if found is None:
            return self._made(vouched, patient, network, now)
        changes = self._changes(found, vouched, patient)
        if not changes:
            return found
        return self._accounts.change(found.id, changes, self._noting("changed by the provider", network, now), now)

    def _made(self, vouched: Vouched, patient: PatientID | None, network: str | None, now: datetime) -> Account:
        draft = Account(id="", login=self._login(vouched), name=_name(vouched), roles=frozenset(), patient=patient)
        draft = replace(draft, roles=self._roles(draft, vouched))
        if not draft.roles:
            raise ProviderRefused("nobody knows the account, and the provider says nothing that makes one")
        try:
            noting = self._noting("account made by the provider's word", network, now)
            return self._accounts.add(draft, noting, now, external=(vouched.issuer, vouched.subject))
        except Conflict as exc:  # made by another request of the same person meanwhile
            found = self._accounts.find_external(vouched.issuer, vouched.subject)
            if found is None or not found.enabled:
                raise ProviderRefused("the login is taken") from exc
            return found

    def _login(self, vouched: Vouched) -> str:
        # A login that is taken stays its owner's: this one gets the provider's own name for the person.
        if vouched.login and _LOGIN.fullmatch(vouched.login) and self._accounts.find_login(vouched.login) is None:
            return vouched.login
        subject = re.sub(r"[^A-Za-z0-9.+-]", "-", vouched.subject)[:60]
        return f"{subject}@{urlsplit(vouched.issuer).hostname or 'provider'}"[:128]

    def _changes(self, found: Account, vouched: Vouched, patient: PatientID | None) -> dict[str, Any]:
        if patient is not None and found.patient not in (None, patient):
            raise ProviderRefused("the account is another person's in the index")
        after = replace(found, patient=patient or found.patient)
        roles = self._roles(after, vouched)
        if Role.HIE_ADMINISTRATOR in found.roles - roles:
            self._require_another_administrator(found)
        changes: dict[str, Any] = {"patient": after.patient, "roles": roles}
        return {name: value for name, value in changes.items() if getattr(found, name) != value}

    def _roles(self, account: Account, vouched: Vouched) -> frozenset[Role]:
        bound = account.roles | ({Role.PATIENT} if account.patient else frozenset())
        if vouched.roles is None:
            return bound
        told = {role for role in _TOLD_ROLES if role in vouched.roles}
        if account.facility is None:
            told -= _NEEDS_A_FACILITY
        return frozenset((bound - _TOLD_ROLES) | told)

    def _require_another_administrator(self, found: Account) -> None:
        others = [one for one in self._accounts.all() if one.id != found.id and one.enabled]
        if not any(Role.HIE_ADMINISTRATOR in one.roles for one in others):
            raise ProviderRefused("the last administrator keeps the role until there is another")

    def _patient(self, vouched: Vouched) -> PatientID | None:
        if vouched.patient is None:
            return None
        system, bar, value = vouched.patient.partition("|")
        if not bar or not system or not value:
            raise ProviderRefused("the patient claim is no system|value")
        found = self._resolve(PatientRef(identifier=Identifier(system, value)))
        if found is None:
            raise ProviderRefused("the index knows nobody, or several, by the patient claim")
        return found.id

    def _noting(self, reason: str, network: str | None, now: datetime) -> Callable[[Account], AuditRecord]:
        def noted(one: Account) -> AuditRecord:
            who: Who = who_is(one, network=network)
            details = [("account", one.id), ("roles", " ".join(sorted(one.roles)))]
            return people_record("account-change", who, now, reason, patient=one.patient, details=details)

        return noted
