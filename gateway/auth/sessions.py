"""Sessions, as stored: one is dead in every process the moment it ends, and nothing in the database opens one.

A session ends when its person signs out, is idle for too long, at its last moment whatever happens, and when the
account is disabled. A new proof (a second factor, signing in again) gives it a new id and cookie (ASVS 5.0 7.2.4).
"""

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, delete, insert, select, update

from gateway.auth.account_rows import opened
from gateway.auth.people import Account, SignIn
from gateway.auth.people_tables import account, sign_in
from gateway.db.crypto import KeyRing
from gateway.db.session import reading, writing

STEP_LASTS = timedelta(minutes=10)
"""How long somebody who has given a password may take for the second factor."""
_SEEN_EVERY = timedelta(minutes=1)
"""A request writes that a session was seen only where this much is gained by it."""
_KEPT = timedelta(days=1)
_COOKIE_BYTES = 32
_LONGEST_COOKIE = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A session that has just begun: the cookie's value, which is stored nowhere, and what it stands for."""

    cookie: str
    sign_in: SignIn
    complete: bool
    """False while a second factor is still owed."""


class StoredSignIns:
    """The `SignIns` of a deployment. Every method raises DependencyUnavailable where the store fails."""

    def __init__(self, engine: Engine, keys: KeyRing, *, idle: timedelta, longest: timedelta) -> None:
        """A session ends after `idle` without a request, and after `longest` in any case."""
        self._engine = engine
        self._keys = keys
        self._idle = idle
        self._longest = longest

    def find(self, cookie: str, now: datetime) -> SignIn | None:
        """The sign-in of that cookie's value, which is noted as seen; None where it ended, was never, or is a step."""
        return self._found(cookie, now, sign_in.c.completed_at.is_not(None))

    def find_step(self, cookie: str, now: datetime) -> SignIn | None:
        """The sign-in of that cookie's value that still owes a second factor; it opens nothing else."""
        return self._found(cookie, now, sign_in.c.completed_at.is_(None))

    def stands(self, id_: str, now: datetime) -> bool:
        """Whether the session of that id has neither been ended nor reached its last moment; idle ones stand."""
        columns = sign_in.c
        lasts = columns.ended_at.is_(None) & columns.completed_at.is_not(None) & (columns.until > now)
        with reading(self._engine) as connection:
            return connection.execute(select(columns.id).where(columns.id == id_, lasts)).one_or_none() is not None

    def begin(
        self,
        who: Account,
        methods: Sequence[str],
        now: datetime,
        *,
        complete: bool,
        replaces: str | None = None,
        proved_at: datetime | None = None,
    ) -> Begun:
        """A session of `who`, with the cookie that stands for it. The session of the id `replaces` ends with it.

        `proved_at` is when they proved who they are, where that wasn't now: elsewhere, and some while ago.
        """
        proved = min(proved_at or now, now)
        cookie, id_ = secrets.token_urlsafe(_COOKIE_BYTES), str(uuid.uuid4())
        with writing(self._engine) as connection:
            # Whoever proves once more who they are goes on with a new session, which lasts no longer than the old one.
            began = now if replaces is None else self._began(connection, replaces, who, now)
            longest = began + self._longest
            until = longest if complete else min(longest, now + STEP_LASTS)
            if replaces is not None:
                _end(connection, sign_in.c.id == replaces, now)
            values = {
                "id": id_,
                "cookie_key": self._key(cookie),
                "account_id": who.id,
                "began_at": began,
                "proved_at": proved,
                "seen_at": now,
                "until": until,
                "completed_at": now if complete else None,
                "methods": " ".join(methods),
            }
            connection.execute(insert(sign_in), values)
            connection.execute(delete(sign_in).where(sign_in.c.until < now - _KEPT))
        begun = SignIn(id=id_, account=who, at=proved, methods=tuple(methods))
        return Begun(cookie=cookie, sign_in=begun, complete=complete)

    def _began(self, connection: Connection, replaces: str, who: Account, now: datetime) -> datetime:
        columns = sign_in.c
        which = (columns.id == replaces) & (columns.account_id == who.id) & columns.ended_at.is_(None)
        older = connection.execute(select(columns.began_at).where(which, columns.until > now)).one_or_none()
        return now if older is None else older.began_at

    def end(self, id_: str, now: datetime) -> None:
        """The session of that id is over, in every process."""
        with writing(self._engine) as connection:
            _end(connection, sign_in.c.id == id_, now)

    def end_all(self, account_id: str, now: datetime, *, but: str | None = None) -> int:
        """Every session of the account is over, save the one of the id `but`; how many there were."""
        of_them = sign_in.c.account_id == account_id
        with writing(self._engine) as connection:
            return _end(connection, of_them & (sign_in.c.id != but) if but else of_them, now)

    def any_open(self, account_id: str, now: datetime) -> bool:
        """Whether the account is signed in somewhere: a session that has not ended, idle or not."""
        is_open = (sign_in.c.account_id == account_id, sign_in.c.ended_at.is_(None), sign_in.c.until > now)
        with reading(self._engine) as connection:
            statement = select(sign_in.c.id).where(*is_open, sign_in.c.completed_at.is_not(None)).limit(1)
            return connection.execute(statement).first() is not None

    def _found(self, cookie: str, now: datetime, kind: ColumnElement[bool]) -> SignIn | None:
        if not cookie or len(cookie) > _LONGEST_COOKIE:
            return None
        statement = (
            select(sign_in, account.c.content, account.c.disabled_at)
            .join(account, account.c.id == sign_in.c.account_id)
            .where(sign_in.c.cookie_key == self._key(cookie), kind)
        )
        with reading(self._engine) as connection:
            row = connection.execute(statement).one_or_none()
        if row is None or row.ended_at is not None or row.disabled_at is not None:
            return None
        if now >= row.until or now >= row.seen_at + self._idle:
            return None
        self._note_seen(row, now)
        who, _ = opened(self._keys, row.account_id, row.content, enabled=True)
        return SignIn(id=row.id, account=who, at=row.proved_at, methods=tuple(row.methods.split()))

    def _note_seen(self, row: Any, now: datetime) -> None:
        if now - row.seen_at < min(_SEEN_EVERY, self._idle / 10):
            return
        with writing(self._engine) as connection:
            connection.execute(update(sign_in).where(sign_in.c.id == row.id).values(seen_at=now))

    def _key(self, cookie: str) -> bytes:
        return self._keys.blind("sign-in", cookie)


def _end(connection: Connection, which: ColumnElement[bool], now: datetime) -> int:
    return connection.execute(update(sign_in).where(which, sign_in.c.ended_at.is_(None)).values(ended_at=now)).rowcount
