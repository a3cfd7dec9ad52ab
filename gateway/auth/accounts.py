"""The accounts of people, as stored. Whoever changes one says so to the audit in the same transaction."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, insert, select, update

from gateway.audit.record import AuditRecord
from gateway.audit.within import AuditWithin
from gateway.auth.account_rows import external_key, login_key, opened, patient_key, sealed_content
from gateway.auth.people import Account, Role
from gateway.auth.people_tables import account, sign_in
from gateway.db.crypto import KeyRing
from gateway.db.session import reading, writing
from gateway.errors import Conflict, LoadRefused

Noting = Callable[[Account], AuditRecord]
"""What the audit is told of a change, from the account as it then is."""


class StoredAccounts:
    """The accounts of a deployment. Every method raises DependencyUnavailable where the store fails."""

    def __init__(self, engine: Engine, keys: KeyRing, audit: AuditWithin) -> None:
        self._engine = engine
        self._keys = keys
        self._audit = audit

    def find(self, id_: str) -> Account | None:
        """The account of that id, enabled or not."""
        return self._one(account.c.id == id_)

    def find_login(self, login: str) -> Account | None:
        """The account of that login, enabled or not; upper and lower case are one."""
        return self._one(account.c.login_key == login_key(self._keys, login))

    def find_external(self, issuer: str, subject: str) -> Account | None:
        """The account that an identity provider knows as `subject`."""
        return self._one(account.c.external_key == external_key(self._keys, issuer, subject))

    def of_patient(self, patient: str) -> Sequence[Account]:
        """The accounts that are bound to that person."""
        return self._all(account.c.patient_key == patient_key(self._keys, patient))

    def all(self) -> Sequence[Account]:
        """Every account, in the order of their logins."""
        return sorted(self._all(account.c.id.is_not(None)), key=lambda one: one.login.casefold())

    def find_for_password(self, login: str) -> tuple[Account | None, str | None]:
        """The account of that login with the hash of its password, as far as there are any."""
        wanted = select(account).where(account.c.login_key == login_key(self._keys, login))
        with reading(self._engine) as connection:
            row = connection.execute(wanted).one_or_none()
        if row is None:
            return None, None
        found, extra = self._opened(row)
        return found, extra.get("password")

    def has_password(self, one: Account) -> bool:
        """Whether the account signs in here by itself; others go by their identity provider first."""
        return self.find_for_password(one.login)[1] is not None

    def add(self, one: Account, noting: Noting, now: datetime, *, external: tuple[str, str] | None = None) -> Account:
        """The account is there, under an id of its own. Raises Conflict where its login (or provider's name) is."""
        one = replace(one, id=str(uuid.uuid4()))
        extra = {} if external is None else {"external": list(external)}
        with writing(self._engine) as connection:
            taken = account.c.login_key == login_key(self._keys, one.login)
            if external is not None:
                taken |= account.c.external_key == external_key(self._keys, *external)
            if connection.execute(select(account.c.id).where(taken)).first() is not None:
                raise Conflict("there is an account of that login already")
            values = self._values(one, extra) | {"id": one.id, "created_at": now, "updated_at": now}
            connection.execute(insert(account), values)
            self._audit.record_within(connection, [noting(one)])
        return one

    def change(self, id_: str, changes: Mapping[str, Any], noting: Noting, now: datetime) -> Account:
        """The account's fields are as `changes` says. Raises LoadRefused where there is none."""
        return self._changed(id_, noting, now, changes=changes)

    def set_password(self, id_: str, hashed: str, noting: Noting, now: datetime, *, keeps: str | None = None) -> None:
        """The password is the one of that hash, and every session of the account is over, save that of id `keeps`."""
        self._changed(id_, noting, now, extra={"password": hashed}, ends_sessions=True, keeps=keeps)

    def renew_hash(self, id_: str, hashed: str) -> None:
        """The same password is kept by a newer hash; nobody is told."""
        self._changed(id_, None, None, extra={"password": hashed})

    def link_external(self, id_: str, issuer: str, subject: str, noting: Noting, now: datetime) -> None:
        """The identity provider's `subject` signs in to this account. Raises Conflict where it does to another."""
        other = self.find_external(issuer, subject)
        if other is not None and other.id != id_:
            raise Conflict("the provider's name belongs to another account")
        self._changed(id_, noting, now, extra={"external": [issuer, subject]})

    def disable(self, id_: str, noting: Noting, now: datetime) -> Account:
        """Nobody signs in with it, and its sessions are over. The last HIE administrator stays (T154).

        Raises LoadRefused.
        """
        return self._changed(id_, noting, now, disabled=True, ends_sessions=True)

    def enable(self, id_: str, noting: Noting, now: datetime) -> Account:
        """It can be signed in to again."""
        return self._changed(id_, noting, now, disabled=False)

    def _changed(
        self,
        id_: str,
        noting: Noting | None,
        now: datetime | None,
        *,
        changes: Mapping[str, Any] | None = None,
        extra: Mapping[str, Any] | None = None,
        disabled: bool | None = None,
        ends_sessions: bool = False,
        keeps: str | None = None,
    ) -> Account:
        with writing(self._engine) as connection:
            row = connection.execute(select(account).where(account.c.id == id_).with_for_update()).one_or_none()
            if row is None:
                raise LoadRefused(["there is no such account"])
            before, kept = self._opened(row)
            after = replace(before, **(changes or {}))
            if disabled is not None:
                after = replace(after, enabled=not disabled)
            self._require_an_administrator(connection, before, after)
            values = self._values(after, {**kept, **(extra or {})})
            if now is not None:
                values["updated_at"] = now
            if disabled is not None:
                values["disabled_at"] = now if disabled else None
            connection.execute(update(account).where(account.c.id == id_).values(values))
            if ends_sessions:
                of_it = (sign_in.c.account_id == id_) & sign_in.c.ended_at.is_(None)
                over = of_it & (sign_in.c.id != keeps) if keeps else of_it
                connection.execute(update(sign_in).where(over).values(ended_at=now))
            if noting is not None:
                self._audit.record_within(connection, [noting(after)])
        return after

    def _require_an_administrator(self, connection: Connection, before: Account, after: Account) -> None:
        administers = Role.HIE_ADMINISTRATOR
        loses = administers in before.roles and before.enabled and not (administers in after.roles and after.enabled)
        if not loses:
            return
        others = select(account).where(account.c.disabled_at.is_(None), account.c.id != before.id)
        rows = connection.execute(others.with_for_update())  # of two who go at once, one waits and then stays
        if not any(administers in self._opened(row)[0].roles for row in rows):
            raise LoadRefused(["the last administrator of the exchange stays: make another one first"])

    def _one(self, which: ColumnElement[bool]) -> Account | None:
        found = self._all(which)
        return found[0] if found else None

    def _all(self, which: ColumnElement[bool]) -> list[Account]:
        with reading(self._engine) as connection:
            rows = connection.execute(select(account).where(which)).all()
        return [self._opened(row)[0] for row in rows]

    def _opened(self, row: Any) -> tuple[Account, dict[str, Any]]:
        return opened(self._keys, row.id, row.content, enabled=row.disabled_at is None)

    def _values(self, one: Account, extra: dict[str, Any]) -> dict[str, Any]:
        external = extra.get("external")
        return {
            "login_key": login_key(self._keys, one.login),
            "external_key": external_key(self._keys, *external) if external else None,
            "patient_key": patient_key(self._keys, one.patient) if one.patient else None,
            "content": sealed_content(self._keys, one, extra),
        }
