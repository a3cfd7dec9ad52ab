"""Break-glass declarations and the notices of them to patients, in the database. What is said in them is sealed."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Engine, insert, select, update

from gateway.auth.b2b import Subject
from gateway.auth.break_glass import Declaration
from gateway.auth.clients import Client
from gateway.auth.purpose_of_use import BreakGlass
from gateway.auth.tables import break_glass, patient_notice
from gateway.db.crypto import KeyRing
from gateway.db.session import reading, writing
from gateway.model import ClientID, PatientID


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a patient is to be told: that somebody broke the glass."""

    id: str
    declaration: Declaration
    queued_at: datetime
    delivered_at: datetime | None
    delivered_by: str | None


class StoredDeclarations:
    """The `Declarations` of a deployment, and the queue of notices. Every method raises DependencyUnavailable."""

    def __init__(self, engine: Engine, keys: KeyRing, *, lasts: timedelta) -> None:
        """`lasts` is how long a declaration stands (`GATEWAY_BREAK_GLASS_MINUTES`)."""
        self._engine = engine
        self._keys = keys
        self._lasts = lasts

    def declare(self, client: Client, subject: Subject, stated: BreakGlass, now: datetime) -> tuple[Declaration, bool]:
        """The declaration that stands for this statement, and whether it is new; its notice is queued with it."""
        key = self._keys.blind("break-glass", client.id, subject.id or "", stated.patient, stated.reason)
        standing = (
            select(break_glass)
            .where(break_glass.c.stated_key == key, break_glass.c.declared_at <= now, break_glass.c.until > now)
            .order_by(break_glass.c.declared_at.desc())
            .limit(1)
        )
        with writing(self._engine) as connection:
            found = connection.execute(standing).one_or_none()
            if found is not None:
                return self._opened(found), False
            declaration = Declaration(
                id=str(uuid.uuid4()),
                client_id=client.id,
                client_name=client.name,
                organization=client.organization,
                subject=subject,
                patient=stated.patient,
                reason=stated.reason,
                declared_at=now,
                until=now + self._lasts,
            )
            times = {"declared_at": now, "until": declaration.until}
            content = self._sealed(break_glass.name, declaration.id, _content_of(declaration))
            values = {"id": declaration.id, "stated_key": key, **times, "content": content}
            connection.execute(insert(break_glass), values)
            self._queue_notice(connection, declaration)
        return declaration, True

    def find(self, id_: str) -> Declaration | None:
        """The declaration of that id; None where there was never one."""
        with reading(self._engine) as connection:
            found = connection.execute(select(break_glass).where(break_glass.c.id == id_)).one_or_none()
        return None if found is None else self._opened(found)

    def notices(self, *, patients: Collection[str] | None = None, waiting: bool = False) -> Sequence[Notice]:
        """The notices, oldest first: of the persons of these ids, and those nobody has delivered yet, where asked."""
        statement = (
            select(patient_notice, break_glass.c.declared_at, break_glass.c.until, break_glass.c.content)
            .join(break_glass, break_glass.c.id == patient_notice.c.declaration_id)
            .order_by(patient_notice.c.queued_at, patient_notice.c.id)
        )
        if patients is not None:
            keys = [self._patient_key(PatientID(patient)) for patient in patients]
            statement = statement.where(patient_notice.c.patient_key.in_(keys))
        if waiting:
            statement = statement.where(patient_notice.c.delivered_at.is_(None))
        with reading(self._engine) as connection:
            rows = connection.execute(statement).all()
        return [self._notice(row) for row in rows]

    def deliver(self, notice: Notice, by: str, now: datetime) -> bool:
        """The notice is marked as delivered; False where it was already. The first to say so stands."""
        mark = self._sealed(patient_notice.name, notice.id, {"by": by})
        statement = (
            update(patient_notice)
            .where(patient_notice.c.id == notice.id, patient_notice.c.delivered_at.is_(None))
            .values(delivered_at=now, delivered_by=mark)
        )
        with writing(self._engine) as connection:
            return connection.execute(statement).rowcount == 1

    def _queue_notice(self, connection: Any, declaration: Declaration) -> None:
        values = {
            "id": str(uuid.uuid4()),
            "declaration_id": declaration.id,
            "patient_key": self._patient_key(declaration.patient),
            "queued_at": declaration.declared_at,
        }
        connection.execute(insert(patient_notice), values)

    def _notice(self, row: Any) -> Notice:
        opened = row.delivered_by and orjson.loads(self._keys.open(patient_notice.name, row.id, row.delivered_by))
        return Notice(
            id=row.id,
            declaration=self._declaration(row.declaration_id, row.declared_at, row.until, row.content),
            queued_at=row.queued_at,
            delivered_at=row.delivered_at,
            delivered_by=opened["by"] if opened else None,
        )

    def _opened(self, row: Any) -> Declaration:
        return self._declaration(row.id, row.declared_at, row.until, row.content)

    def _declaration(self, id_: str, declared_at: datetime, until: datetime, sealed: bytes) -> Declaration:
        content: dict[str, Any] = orjson.loads(self._keys.open(break_glass.name, id_, sealed))
        return Declaration(
            id=id_,
            client_id=ClientID(content["client_id"]),
            client_name=content["client_name"],
            organization=content["organization"],
            subject=Subject(**content["subject"]),
            patient=PatientID(content["patient"]),
            reason=content["reason"],
            declared_at=declared_at,
            until=until,
        )

    def _patient_key(self, patient: PatientID) -> bytes:
        return self._keys.blind("patient-notice", patient)

    def _sealed(self, table: str, row: str, content: dict[str, Any]) -> bytes:
        return self._keys.seal(table, row, orjson.dumps(content))


def _content_of(declaration: Declaration) -> dict[str, Any]:
    subject = declaration.subject
    return {
        "client_id": declaration.client_id,
        "client_name": declaration.client_name,
        "organization": declaration.organization,
        "subject": {"id": subject.id, "name": subject.name, "role": subject.role},
        "patient": declaration.patient,
        "reason": declaration.reason,
    }
