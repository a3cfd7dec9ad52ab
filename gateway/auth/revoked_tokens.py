"""Access tokens that have ended before they expire: a few rows, all of them at hand, as of at most a second ago."""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import Connection, Engine, delete, select

from gateway.auth.app_tables import revoked_token
from gateway.auth.tokens import LIFETIME
from gateway.db.crypto import KeyRing
from gateway.db.session import reading
from gateway.db.upsert import insert_into

FRESH_S = 1.0
_MARGIN = timedelta(minutes=2)
"""Clocks of several machines differ; a row is kept a while after the last token that it ends has expired."""


class Revocations(Protocol):
    """Which access tokens have ended."""

    def has_ended(self, token_id: str, grant: str | None) -> bool:
        """Whether the token of that `jti`, or the grant that it comes of, was revoked. Raises DependencyUnavailable."""
        ...


class NothingRevoked:
    """Where nothing can be revoked."""

    def has_ended(self, token_id: str, grant: str | None) -> bool:
        """False."""
        return False


NOTHING_REVOKED = NothingRevoked()


def revoke_within(connection: Connection, keys: KeyRing, kind: str, id_: str, now: datetime) -> bool:
    """Every token of `id_` (a `token` or a `grant`) has ended with the transaction of `connection`; False if before."""
    row = {"digest": _digest(keys, kind, id_), "until": now + LIFETIME + _MARGIN}
    connection.execute(delete(revoked_token).where(revoked_token.c.until < now))
    added = connection.execute(insert_into(revoked_token, connection).values(row).on_conflict_do_nothing())
    return added.rowcount == 1


class RevokedTokens:
    """The `Revocations` of a deployment: one look-up a second in each process, however many tokens are checked.

    If it fails, so does the check: an old answer is never used.
    """

    def __init__(self, engine: Engine, keys: KeyRing, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._keys = keys
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._known: frozenset[bytes] = frozenset()
        self._until = float("-inf")

    def has_ended(self, token_id: str, grant: str | None) -> bool:
        """Whether the token of that `jti`, or the grant that it comes of, was revoked. Raises DependencyUnavailable."""
        known = self._known if self._monotonic() < self._until else self._read()
        if not known:
            return False
        if _digest(self._keys, "token", token_id) in known:
            return True
        return grant is not None and _digest(self._keys, "grant", grant) in known

    def forget(self) -> None:
        """The next check looks anew: something was revoked in this process."""
        self._until = float("-inf")

    def _read(self) -> frozenset[bytes]:
        with self._lock:
            asked = self._monotonic()
            if asked < self._until:
                return self._known
            with reading(self._engine) as connection:
                found = frozenset(bytes(row.digest) for row in connection.execute(select(revoked_token.c.digest)))
            self._known, self._until = found, asked + FRESH_S
            return found


def _digest(keys: KeyRing, kind: str, id_: str) -> bytes:
    return keys.blind("revoked-token", kind, id_)
