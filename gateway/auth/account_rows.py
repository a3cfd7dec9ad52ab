"""How an account lies in its row: what names a person is sealed with the row's id, look-ups are keyed hashes."""

import unicodedata
from typing import Any

import orjson

from gateway.auth.people import Account, Role
from gateway.auth.people_tables import account
from gateway.db.crypto import KeyRing
from gateway.model import FacilityID, PatientID


def login_key(keys: KeyRing, login: str) -> bytes:
    """What an account is found by: two spellings of one login (case, width, spaces around) are one."""
    return keys.blind("account-login", unicodedata.normalize("NFKC", login).casefold().strip())


def external_key(keys: KeyRing, issuer: str, subject: str) -> bytes:
    """What an account is found by after a sign-in at an identity provider."""
    return keys.blind("account-external", issuer, subject)


def patient_key(keys: KeyRing, patient: str) -> bytes:
    """What the accounts of a person of the index are found by."""
    return keys.blind("account-patient", patient)


def sealed_content(keys: KeyRing, one: Account, extra: dict[str, Any]) -> bytes:
    """The account with `extra` (its password's hash, its provider's names for it), sealed for its row."""
    content = {
        "login": one.login,
        "name": one.name,
        "roles": sorted(one.roles),
        "patient": one.patient,
        "facility": one.facility,
        "subject_id": one.subject_id,
        "subject_role": one.subject_role,
        **extra,
    }
    return keys.seal(account.name, one.id, orjson.dumps(content))


def opened(keys: KeyRing, id_: str, sealed: bytes, *, enabled: bool) -> tuple[Account, dict[str, Any]]:
    """The account of a row, and what else its content holds. Raises DependencyUnavailable."""
    content: dict[str, Any] = orjson.loads(keys.open(account.name, id_, sealed))
    patient, facility = content.pop("patient"), content.pop("facility")
    one = Account(
        id=id_,
        login=content.pop("login"),
        name=content.pop("name"),
        roles=frozenset(Role(role) for role in content.pop("roles")),
        patient=None if patient is None else PatientID(patient),
        facility=None if facility is None else FacilityID(facility),
        subject_id=content.pop("subject_id"),
        subject_role=content.pop("subject_role"),
        enabled=enabled,
    )
    return one, content
