"""The second factors of accounts, as stored: authenticators (TOTP), passkeys, and codes for the day they are lost.

A code counts once, in whatever process: what it was is remembered by the time step, the signature count or the row.
"""

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import orjson
from sqlalchemy import Connection, Engine, insert, select, update

from gateway.audit.record import AuditRecord
from gateway.audit.within import AuditWithin
from gateway.auth import totp
from gateway.auth.people_tables import second_factor
from gateway.db.crypto import KeyRing
from gateway.db.session import reading, writing
from gateway.errors import Conflict, LoadRefused

FactorKind = Literal["totp", "passkey", "recovery"]
MOST_OF_A_KIND = 10
RECOVERY_CODES = 10
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without those that are taken for one another."""
_CODE_LENGTH = 12
"""59 bits: nobody guesses one, so a keyed hash without a slow function is enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """One second factor of an account."""

    id: str
    kind: FactorKind
    name: str
    created_at: datetime
    used_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Passkey:
    """A passkey as it was registered: whose, its public key, and how often it has signed."""

    id: str
    account_id: str
    credential_id: bytes
    public_key: bytes
    sign_count: int
    transports: tuple[str, ...]


class StoredFactors:
    """The second factors of a deployment. Every method raises DependencyUnavailable where the store fails."""

    def __init__(self, engine: Engine, keys: KeyRing, audit: AuditWithin) -> None:
        self._engine = engine
        self._keys = keys
        self._audit = audit

    def of(self, account_id: str) -> Sequence[Factor]:
        """What the account has, the oldest first; recovery codes that were used are gone."""
        rows = self._rows(account_id)
        return [
            Factor(
                id=row.id,
                kind=row.kind,
                name=self._opened(row).get("name", ""),
                created_at=row.created_at,
                used_at=row.used_at,
            )
            for row in rows
            if row.kind != "recovery" or row.used_at is None
        ]

    def has_any(self, account_id: str) -> bool:
        """Whether the account has a second factor; codes for the day it is lost are none."""
        return any(row.kind != "recovery" for row in self._rows(account_id))

    def add_totp(
        self, account_id: str, secret: str, *, name: str, used_step: int, record: AuditRecord, now: datetime
    ) -> None:
        """The authenticator is one of the account's; the code of `used_step`, which proved it, counts no more."""
        self._add(account_id, "totp", {"secret": secret, "name": name}, None, used_step, record, now)

    def use_totp(self, account_id: str, code: str, now: datetime) -> bool:
        """Whether `code` is that of one of the account's authenticators, now; for exactly one caller, ever."""
        for row in self._rows(account_id):
            if row.kind != "totp":
                continue
            step = totp.step_of(self._opened(row)["secret"], code, now)
            if step is not None and self._advance(row.id, step, now):
                return True
        return False

    def add_passkey(self, account_id: str, passkey: Passkey, *, name: str, record: AuditRecord, now: datetime) -> None:
        """The passkey is one of the account's. Raises Conflict where it is somebody's already."""
        content = {
            "name": name,
            "credential_id": passkey.credential_id.hex(),
            "public_key": passkey.public_key.hex(),
            "transports": list(passkey.transports),
        }
        locator = self._passkey_locator(passkey.credential_id)
        with reading(self._engine) as connection:
            taken = connection.execute(select(second_factor.c.id).where(second_factor.c.locator == locator)).first()
        if taken is not None:
            raise Conflict("this passkey is registered already")
        self._add(account_id, "passkey", content, locator, passkey.sign_count, record, now)

    def find_passkey(self, credential_id: bytes) -> Passkey | None:
        """The passkey of that id, whoever's it is; None where there is none, or it was removed."""
        locator = self._passkey_locator(credential_id)
        wanted = select(second_factor).where(second_factor.c.locator == locator, second_factor.c.removed_at.is_(None))
        with reading(self._engine) as connection:
            row = connection.execute(wanted).one_or_none()
        return None if row is None else self._passkey(row)

    def passkeys_of(self, account_id: str) -> Sequence[Passkey]:
        """The account's passkeys."""
        return [self._passkey(row) for row in self._rows(account_id) if row.kind == "passkey"]

    def use_passkey(self, passkey: Passkey, sign_count: int, now: datetime) -> bool:
        """The signature count is noted; False where another use has come between, or it doesn't rise (a copy)."""
        columns = second_factor.c
        # Passkeys that are kept in several places don't count at all: zero stays zero (WebAuthn §6.1.1).
        statement = update(second_factor).where(columns.id == passkey.id, columns.removed_at.is_(None))
        statement = statement.where(columns.counter < sign_count if sign_count else columns.counter == 0)
        with writing(self._engine) as connection:
            return connection.execute(statement.values(counter=sign_count, used_at=now)).rowcount == 1

    def new_recovery_codes(self, account_id: str, record: AuditRecord, now: datetime) -> Sequence[str]:
        """Codes that open the second step once each. Those that were given out before count no longer."""
        codes = ["".join(secrets.choice(_LETTERS) for _ in range(_CODE_LENGTH)) for _ in range(RECOVERY_CODES)]
        columns = second_factor.c
        with writing(self._engine) as connection:
            old = update(second_factor).where(columns.account_id == account_id, columns.kind == "recovery")
            connection.execute(old.where(columns.removed_at.is_(None)).values(removed_at=now, locator=None))
            for code in codes:
                self._insert(connection, account_id, "recovery", {}, self._code_locator(account_id, code), 0, now)
            self._audit.record_within(connection, [record])
        return [f"{code[:4]}-{code[4:8]}-{code[8:]}" for code in codes]

    def use_recovery_code(self, account_id: str, code: str, now: datetime) -> bool:
        """Whether `code` is one of the account's that was never used; for exactly one caller, ever."""
        plain = code.replace("-", "").replace(" ", "").lower()
        columns = second_factor.c
        statement = update(second_factor).where(
            columns.locator == self._code_locator(account_id, plain),
            columns.account_id == account_id,
            columns.used_at.is_(None),
            columns.removed_at.is_(None),
        )
        with writing(self._engine) as connection:
            return connection.execute(statement.values(used_at=now)).rowcount == 1

    def remove(self, account_id: str, factor_id: str, record: AuditRecord, now: datetime) -> None:
        """The factor counts no longer. Raises LoadRefused where the account has none of that id."""
        columns = second_factor.c
        which = (columns.id == factor_id) & (columns.account_id == account_id) & columns.removed_at.is_(None)
        with writing(self._engine) as connection:
            if (
                connection.execute(update(second_factor).where(which).values(removed_at=now, locator=None)).rowcount
                != 1
            ):
                raise LoadRefused(["there is no such factor"])
            self._audit.record_within(connection, [record])

    def remove_all(self, account_id: str, record: AuditRecord, now: datetime) -> int:
        """No factor of the account counts any longer: its holder has lost them, and somebody knows them in person."""
        columns = second_factor.c
        which = (columns.account_id == account_id) & columns.removed_at.is_(None)
        with writing(self._engine) as connection:
            removed = connection.execute(
                update(second_factor).where(which).values(removed_at=now, locator=None)
            ).rowcount
            self._audit.record_within(connection, [record])
        return removed

    def _rows(self, account_id: str) -> Sequence[Any]:
        columns = second_factor.c
        wanted = select(second_factor).where(columns.account_id == account_id, columns.removed_at.is_(None))
        with reading(self._engine) as connection:
            return connection.execute(wanted.order_by(columns.created_at, columns.id)).all()

    def _advance(self, factor_id: str, counter: int, now: datetime) -> bool:
        columns = second_factor.c
        newer = update(second_factor).where(columns.id == factor_id, columns.counter < counter)
        with writing(self._engine) as connection:
            return connection.execute(newer.values(counter=counter, used_at=now)).rowcount == 1

    def _add(
        self,
        account_id: str,
        kind: FactorKind,
        content: dict[str, Any],
        locator: bytes | None,
        counter: int,
        record: AuditRecord,
        now: datetime,
    ) -> None:
        if sum(row.kind == kind for row in self._rows(account_id)) >= MOST_OF_A_KIND:
            raise Conflict("there are as many of that kind as an account may have")
        with writing(self._engine) as connection:
            self._insert(connection, account_id, kind, content, locator, counter, now)
            self._audit.record_within(connection, [record])

    def _insert(
        self,
        connection: Connection,
        account_id: str,
        kind: FactorKind,
        content: dict[str, Any],
        locator: bytes | None,
        counter: int,
        now: datetime,
    ) -> None:
        id_ = str(uuid.uuid4())
        values = {
            "id": id_,
            "account_id": account_id,
            "kind": kind,
            "locator": locator,
            "content": self._keys.seal(second_factor.name, id_, orjson.dumps(content)),
            "counter": counter,
            "created_at": now,
        }
        connection.execute(insert(second_factor), values)

    def _passkey(self, row: Any) -> Passkey:
        content = self._opened(row)
        return Passkey(
            id=row.id,
            account_id=row.account_id,
            credential_id=bytes.fromhex(content["credential_id"]),
            public_key=bytes.fromhex(content["public_key"]),
            sign_count=row.counter,
            transports=tuple(content["transports"]),
        )

    def _opened(self, row: Any) -> dict[str, Any]:
        content: dict[str, Any] = orjson.loads(self._keys.open(second_factor.name, row.id, row.content))
        return content

    def _passkey_locator(self, credential_id: bytes) -> bytes:
        return self._keys.blind("passkey", credential_id.hex())

    def _code_locator(self, account_id: str, code: str) -> bytes:
        return self._keys.blind("recovery-code", account_id, code)
