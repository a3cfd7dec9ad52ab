"""Grants, codes and refresh tokens in the database: sealed, found by keyed hashes, each used at most once."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Column, Connection, Engine, Table, delete, insert, select, update

from gateway.audit.record import AuditRecord
from gateway.audit.within import AuditWithin
from gateway.auth.app_grants import AppGrant, CodeTerms, NewRefresh, StoredCode, StoredRefresh
from gateway.auth.app_tables import app_grant, authorization_code, refresh_token
from gateway.auth.b2b import Subject
from gateway.auth.revoked_tokens import revoke_within
from gateway.db.crypto import KeyRing
from gateway.db.session import reading, writing
from gateway.model import ClientID, PatientID

_KEPT = timedelta(days=1)
"""How long a code or refresh token is known after its end, so that one that comes too late is told from a guess."""
_GRANTS_KEPT = timedelta(days=30)
"""How long a grant is kept after its end; what it was stands in the audit."""
_OF_GRANT = (app_grant.c.content.label("grant_content"), app_grant.c.revoked_at)


def _nothing_to_forget() -> None:
    return None


class StoredGrants:
    """The `AppGrants` of a deployment."""

    def __init__(
        self, engine: Engine, keys: KeyRing, audit: AuditWithin, revoked: Callable[[], None] = _nothing_to_forget
    ) -> None:
        """`revoked` is called after something was, so that this process knows at once."""
        self._engine = engine
        self._keys = keys
        self._audit = audit
        self._revoked = revoked

    def add(self, grant: AppGrant, code: str, terms: CodeTerms, code_until: datetime, record: AuditRecord) -> None:
        """The grant is there, with a code for it."""
        digest = self._digest("code", code)
        of_code = {
            "digest": digest,
            "grant_id": grant.id,
            "content": self._sealed(authorization_code, digest.hex(), asdict(terms)),
            "until": code_until,
        }
        of_grant = {
            "id": grant.id,
            "client_id": grant.client_id,
            "account_key": self._account_key(grant.account_id),
            "content": self._sealed(app_grant, grant.id, _content_of(grant)),
            "granted_at": grant.granted_at,
            "until": grant.until,
        }
        with writing(self._engine) as connection:
            for table in (authorization_code, refresh_token):
                connection.execute(delete(table).where(table.c.until < grant.granted_at - _KEPT))
            connection.execute(delete(app_grant).where(app_grant.c.until < grant.granted_at - _GRANTS_KEPT))
            connection.execute(insert(app_grant).values(of_grant))
            connection.execute(insert(authorization_code).values(of_code))
            self._audit.record_within(connection, [record])

    def find_code(self, code: str) -> StoredCode | None:
        """The code, used or not; None where it is unknown or was long ago."""
        digest = self._digest("code", code)
        row = self._found(authorization_code, digest)
        if row is None:
            return None
        terms = self._opened(authorization_code, digest.hex(), row.content)
        return StoredCode(grant=self._grant(row), terms=CodeTerms(**terms), until=row.until, used_at=row.used_at)

    def find_refresh(self, token: str) -> StoredRefresh | None:
        """The refresh token, used or not; None where it is unknown or was long ago."""
        row = self._found(refresh_token, self._digest("refresh", token))
        return None if row is None else StoredRefresh(grant=self._grant(row), until=row.until, used_at=row.used_at)

    def use_code(self, code: str, refresh: NewRefresh | None, record: AuditRecord, now: datetime) -> bool:
        """The code is used, and `refresh` stored. True for exactly one caller, ever; nothing is changed for others."""
        return self._use(authorization_code, self._digest("code", code), refresh, record, now)

    def use_refresh(self, token: str, refresh: NewRefresh, record: AuditRecord, now: datetime) -> bool:
        """The token is used, and `refresh` takes its place. True for exactly one caller, ever."""
        return self._use(refresh_token, self._digest("refresh", token), refresh, record, now)

    def revoke(self, grant: AppGrant, record: AuditRecord, now: datetime) -> bool:
        """No token comes of the grant, and those that did have ended. False where it was so already."""
        unless_done = (app_grant.c.id == grant.id, app_grant.c.revoked_at.is_(None))
        with writing(self._engine) as connection:
            if not connection.execute(update(app_grant).where(*unless_done).values(revoked_at=now)).rowcount:
                return False
            revoke_within(connection, self._keys, "grant", grant.id, now)
            self._audit.record_within(connection, [record])
        self._revoked()
        return True

    def revoke_token(self, token_id: str, record: AuditRecord, now: datetime) -> None:
        """The access token of that `jti` has ended."""
        with writing(self._engine) as connection:
            revoke_within(connection, self._keys, "token", token_id, now)
            self._audit.record_within(connection, [record])
        self._revoked()

    def end_tokens(self, grant: str, record: AuditRecord, now: datetime) -> bool:
        """The access tokens that name that grant, which is none on file here, have ended; False where they had."""
        with writing(self._engine) as connection:
            if not revoke_within(connection, self._keys, "grant", grant, now):
                return False
            self._audit.record_within(connection, [record])
        self._revoked()
        return True

    def find(self, id_: str) -> AppGrant | None:
        """The grant of that id, standing or not."""
        statement = select(app_grant.c.id.label("grant_id"), *_OF_GRANT).where(app_grant.c.id == id_)
        with reading(self._engine) as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else self._grant(row)

    def standing(self, now: datetime, *, client_id: str | None = None, account_id: str | None = None) -> list[AppGrant]:
        """The grants that stand, of an app or an account where one is named, oldest first."""
        which = [app_grant.c.revoked_at.is_(None), app_grant.c.until > now]
        if client_id is not None:
            which.append(app_grant.c.client_id == client_id)
        if account_id is not None:
            which.append(app_grant.c.account_key == self._account_key(account_id))
        statement = select(app_grant.c.id.label("grant_id"), *_OF_GRANT).where(*which).order_by(app_grant.c.granted_at)
        with reading(self._engine) as connection:
            return [self._grant(row) for row in connection.execute(statement)]

    def _use(self, table: Table, digest: bytes, refresh: NewRefresh | None, record: AuditRecord, now: datetime) -> bool:
        with writing(self._engine) as connection:
            unused = (table.c.digest == digest, table.c.used_at.is_(None))
            grant_id = connection.execute(
                update(table).where(*unused).values(used_at=now).returning(table.c.grant_id)
            ).scalar_one_or_none()
            if grant_id is None or not _still_stands(connection, grant_id):
                return False
            if refresh is not None:
                values = {"grant_id": grant_id, "issued_at": now, "until": refresh.until}
                values["digest"] = self._digest("refresh", refresh.value)
                connection.execute(insert(refresh_token).values(values))
            self._audit.record_within(connection, [record])
        return True

    def _found(self, table: Table, digest: bytes) -> Any:
        statement = select(table, *_OF_GRANT).join(app_grant, _same(table.c.grant_id)).where(table.c.digest == digest)
        with reading(self._engine) as connection:
            return connection.execute(statement).one_or_none()

    def _grant(self, row: Any) -> AppGrant:
        content = self._opened(app_grant, row.grant_id, row.grant_content)
        moments = {name: datetime.fromisoformat(content[name]) for name in ("signed_in_at", "granted_at", "until")}
        lists = {name: tuple(content[name]) for name in ("scopes", "purposes", "methods")}
        return AppGrant(
            **{
                **content,
                **moments,
                **lists,
                "id": row.grant_id,
                "client_id": ClientID(content["client_id"]),
                "patient": None if content["patient"] is None else PatientID(content["patient"]),
                "person": Subject(**content["person"]),
                "revoked_at": row.revoked_at,
            }
        )

    def _account_key(self, account_id: str) -> bytes:
        return self._keys.blind("app-grant-account", account_id)

    def _digest(self, kind: str, secret: str) -> bytes:
        return self._keys.blind("app-grant", kind, secret)

    def _sealed(self, table: Table, row: str, content: dict[str, Any]) -> bytes:
        return self._keys.seal(table.name, row, orjson.dumps(content))

    def _opened(self, table: Table, row: str, sealed: bytes) -> dict[str, Any]:
        opened: dict[str, Any] = orjson.loads(self._keys.open(table.name, row, sealed))
        return opened


def _content_of(grant: AppGrant) -> dict[str, Any]:
    content = asdict(grant)
    del content["id"], content["revoked_at"]
    return content


def _same(column: Column[str]) -> Any:
    return app_grant.c.id == column


def _still_stands(connection: Connection, grant_id: str) -> bool:
    # Read within the transaction that uses up the code or token: a grant that was revoked meanwhile gives nothing.
    unrevoked = select(app_grant.c.id).where(app_grant.c.id == grant_id, app_grant.c.revoked_at.is_(None))
    return connection.execute(unrevoked.with_for_update()).first() is not None
