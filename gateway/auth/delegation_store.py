"""Who may act for whom, as stored: `Delegations` of a deployment. Whom it is about is sealed."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Engine, insert, select, update

from gateway.audit.record import AuditRecord
from gateway.audit.within import AuditWithin
from gateway.auth.delegations import Basis, stands_until
from gateway.auth.people import Account, Delegation
from gateway.auth.people_tables import account, delegation
from gateway.db.crypto import KeyRing
from gateway.db.session import reading, writing
from gateway.model import PatientID, PatientIdentity, PatientRef

Resolve = Callable[[PatientRef], PatientIdentity | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """One delegation as it was granted, standing or not."""

    id: str
    account_id: str
    patient: PatientID
    basis: Basis
    purpose: str
    proof: str
    granted_by: str
    granted_at: datetime
    until: datetime
    revoked_at: datetime | None


class StoredDelegations:
    """The delegations of a deployment. Every method raises DependencyUnavailable where a store fails."""

    def __init__(
        self, engine: Engine, keys: KeyRing, audit: AuditWithin, resolve: Resolve, *, age: int, zone: tzinfo
    ) -> None:
        """`age` is when a child comes of age, in `zone`; `resolve` tells who a patient is today."""
        self._engine = engine
        self._keys = keys
        self._audit = audit
        self._resolve = resolve
        self._age = age
        self._zone = zone

    def grant(self, granted: Granted, record: AuditRecord) -> Granted:
        """It is on file under an id of its own, and in the audit."""
        id_ = str(uuid.uuid4())
        content = {
            "patient": granted.patient,
            "basis": granted.basis,
            "purpose": granted.purpose,
            "proof": granted.proof,
            "granted_by": granted.granted_by,
        }
        values = {
            "id": id_,
            "account_id": granted.account_id,
            "patient_key": self._key(granted.patient),
            "content": self._keys.seal(delegation.name, id_, orjson.dumps(content)),
            "granted_at": granted.granted_at,
            "until": granted.until,
        }
        with writing(self._engine) as connection:
            connection.execute(insert(delegation), values)
            self._audit.record_within(connection, [record])
        return self._all(delegation.c.id == id_)[0]

    def revoke(self, id_: str, record: AuditRecord, now: datetime) -> bool:
        """It stands no longer, from the next request on; False where it did not."""
        which = (delegation.c.id == id_) & delegation.c.revoked_at.is_(None)
        with writing(self._engine) as connection:
            if connection.execute(update(delegation).where(which).values(revoked_at=now)).rowcount != 1:
                return False
            self._audit.record_within(connection, [record])
        return True

    def find(self, id_: str) -> Granted | None:
        """The delegation of that id, standing or not."""
        return next(iter(self._all(delegation.c.id == id_)), None)

    def of_account(self, account_id: str) -> Sequence[Granted]:
        """Every delegation that the account was ever granted, the oldest first."""
        return self._all(delegation.c.account_id == account_id)

    def of_patient(self, patient: PatientID) -> Sequence[Granted]:
        """Every delegation that was ever granted for that id of the person, the oldest first."""
        return self._all(delegation.c.patient_key == self._key(patient))

    def acts_for(self, account: Account, now: datetime) -> Sequence[PatientID]:
        """Everybody whom the account may act for at `now`."""
        return list(dict.fromkeys(one.patient for one in self.standing(account.id, now)))

    def standing(self, account_id: str, now: datetime) -> Sequence[Delegation]:
        """The delegations of the account that stand at `now`; none where the account is disabled."""
        open_now = (delegation.c.account_id == account_id) & delegation.c.revoked_at.is_(None)
        open_now &= (delegation.c.granted_at <= now) & (delegation.c.until > now) & account.c.disabled_at.is_(None)
        found = []
        for one in self._all(open_now):
            person = self._resolve(PatientRef(id=one.patient))
            if person is None:
                continue
            born = [record.demographics.birth_date for record in person.records]
            until = stands_until(one.basis, one.until, born, now, age=self._age, zone=self._zone)
            if until is not None:
                found.append(Delegation(id=one.id, patient=person.id, purpose=one.purpose, until=until))
        return found

    def _all(self, which: ColumnElement[bool]) -> list[Granted]:
        wanted = select(delegation).join(account, account.c.id == delegation.c.account_id).where(which)
        with reading(self._engine) as connection:
            rows = connection.execute(wanted.order_by(delegation.c.granted_at, delegation.c.id)).all()
        return [self._granted(row) for row in rows]

    def _granted(self, row: Any) -> Granted:
        content: dict[str, Any] = orjson.loads(self._keys.open(delegation.name, row.id, row.content))
        return Granted(
            id=row.id,
            account_id=row.account_id,
            patient=PatientID(content["patient"]),
            basis=content["basis"],
            purpose=content["purpose"],
            proof=content["proof"],
            granted_by=content["granted_by"],
            granted_at=row.granted_at,
            until=row.until,
            revoked_at=row.revoked_at,
        )

    def _key(self, patient: str) -> bytes:
        return self._keys.blind("delegation-patient", patient)
