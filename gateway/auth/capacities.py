"""As whom may somebody use an app, and what would it then be granted? Pure.

A patient's own access is a right (contract §9) and its purpose PATRQT; a delegate's purpose stands in the delegation; a
clinician's is one that the app is registered for. What an app may do never exceeds what the person may do: `patient/`
scopes count for one patient, `user/` scopes for clinicians alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.auth import app_scopes
from gateway.auth.app_grants import Capacity
from gateway.auth.b2b import Subject
from gateway.auth.clients import Client
from gateway.auth.people import Account, Delegation, Role
from gateway.auth.smart_scopes import Context
from gateway.model import PatientID
from gateway.purposes import BREAK_GLASS

_OWN = "PATRQT"
_TREATMENT = "TREAT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One capacity in which the person may use the app."""

    key: str
    """Names the choice in a form."""
    capacity: Capacity
    scopes: tuple[str, ...]
    purposes: tuple[str, ...]
    person: Subject
    patient: PatientID | None = None
    delegation: str | None = None
    ends: datetime | None = None
    """When the right ends that it rests on."""


def choices(account: Account, delegations: Sequence[Delegation], client: Client, scopes: Sequence[str]) -> list[Choice]:
    """Every capacity in which `account` may use `client` with at least one resource scope of `scopes`."""
    found = []
    own = _counting(scopes, "patient")
    if own and Role.PATIENT in account.roles and account.patient is not None:
        person = Subject(id=account.subject_id, name=account.name, role="patient")
        found.append(
            Choice(key="self", capacity="patient", scopes=own, purposes=(_OWN,), person=person, patient=account.patient)
        )
    if own and Role.DELEGATE in account.roles:
        person = Subject(id=account.subject_id or f"urn:uuid:{account.id}", name=account.name, role="delegate")
        found += [
            Choice(
                key=f"for-{one.id}",
                capacity="delegate",
                scopes=own,
                purposes=(one.purpose,),
                person=person,
                patient=one.patient,
                delegation=one.id,
                ends=one.until,
            )
            for one in delegations
        ]
    users, purpose = _counting(scopes, "user"), _clinical(client)
    if users and purpose and Role.CLINICIAN in account.roles:
        person = Subject(
            id=account.subject_id or f"urn:uuid:{account.id}",
            name=account.name,
            role=account.subject_role or Role.CLINICIAN.value,
        )
        found.append(Choice(key="work", capacity="clinician", scopes=users, purposes=(purpose,), person=person))
    return found


def _counting(scopes: Sequence[str], context: Context) -> tuple[str, ...]:
    return app_scopes.for_capacity(scopes, context) if app_scopes.in_context(scopes, context) else ()


def _clinical(client: Client) -> str | None:
    """What a clinician uses the app for: treatment where it is registered for that, else its one purpose."""
    purposes = [code for code in client.purposes if code != BREAK_GLASS]
    if _TREATMENT in purposes:
        return _TREATMENT
    return purposes[0] if len(purposes) == 1 else None
