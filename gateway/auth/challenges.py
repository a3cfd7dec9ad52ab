"""What was asked of a person and is to be answered once, within minutes, in any process: kept sealed, named by hashes.

A passkey's challenge, an identity provider's state, the secret of an authenticator that is being set up, a link to
set a password, a code for the viewer. Whoever has a copy of the database can answer none of them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import orjson
from sqlalchemy import Engine, delete, insert, select

from gateway.auth.people_tables import sign_in_challenge
from gateway.db.crypto import KeyRing
from gateway.db.session import reading, writing

Purpose = Literal["passkey", "provider", "totp", "password", "viewer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked, and of whom."""

    account_id: str | None
    content: dict[str, Any]
    until: datetime
    """When it is too late to answer."""


class StoredChallenges:
    """The open questions of a deployment. Every method raises DependencyUnavailable where the store fails."""

    def __init__(self, engine: Engine, keys: KeyRing) -> None:
        self._engine = engine
        self._keys = keys

    def ask(
        self,
        purpose: Purpose,
        *names: str,
        now: datetime,
        until: datetime,
        account_id: str | None = None,
        content: dict[str, Any] | None = None,
    ) -> None:
        """The question of those names is open until then; one of the same names is asked no longer."""
        key = self._key(purpose, names)
        values = {
            "key": key,
            "purpose": purpose,
            "account_id": account_id,
            "content": self._keys.seal(sign_in_challenge.name, key.hex(), orjson.dumps(content or {})),
            "until": until,
        }
        columns = sign_in_challenge.c
        with writing(self._engine) as connection:
            connection.execute(delete(sign_in_challenge).where((columns.until <= now) | (columns.key == key)))
            connection.execute(insert(sign_in_challenge), values)

    def find(self, purpose: Purpose, *names: str, now: datetime) -> Asked | None:
        """The question of those names, which stays open; None where there is none, or it is too late."""
        return self._find(self._key(purpose, names), now)

    def spent(self, purpose: Purpose, *names: str, now: datetime) -> Asked | None:
        """The question of those names that was answered by `spend` and is still remembered."""
        return self._find(self._spent_key(purpose, names), now)

    def take(self, purpose: Purpose, *names: str, now: datetime) -> Asked | None:
        """The question of those names, for exactly one caller: it is open no longer."""
        columns = sign_in_challenge.c
        key = self._key(purpose, names)
        with writing(self._engine) as connection:
            row = connection.execute(select(sign_in_challenge).where(columns.key == key)).one_or_none()
            gone = connection.execute(delete(sign_in_challenge).where(columns.key == key)).rowcount
        if row is None or gone != 1 or row.until <= now:
            return None
        return self._opened(key, row)

    def spend(self, purpose: Purpose, *names: str, now: datetime, remembered: datetime) -> Asked | None:
        """As `take`; and in the same moment it is `spent`, until `remembered`."""
        return self._move(self._key(purpose, names), self._spent_key(purpose, names), now, remembered)

    def put_back(self, purpose: Purpose, *names: str, now: datetime, until: datetime) -> None:
        """What was spent is open again, until then."""
        self._move(self._spent_key(purpose, names), self._key(purpose, names), now, until)

    def forget(self, purpose: Purpose, account_id: str) -> None:
        """Nothing of that purpose is asked of the account any longer."""
        columns = sign_in_challenge.c
        with writing(self._engine) as connection:
            of_it = (columns.purpose == purpose) & (columns.account_id == account_id)
            connection.execute(delete(sign_in_challenge).where(of_it))

    def _find(self, key: bytes, now: datetime) -> Asked | None:
        columns = sign_in_challenge.c
        with reading(self._engine) as connection:
            row = connection.execute(
                select(sign_in_challenge).where(columns.key == key, columns.until > now)
            ).one_or_none()
        return None if row is None else self._opened(key, row)

    def _move(self, key: bytes, to: bytes, now: datetime, until: datetime) -> Asked | None:
        """For exactly one caller, what is open under `key` is so under `to`."""
        columns = sign_in_challenge.c
        with writing(self._engine) as connection:
            row = connection.execute(
                select(sign_in_challenge).where(columns.key == key, columns.until > now)
            ).one_or_none()
            if row is None:
                return None
            if connection.execute(delete(sign_in_challenge).where(columns.key == key)).rowcount != 1:
                return None
            asked = self._opened(key, row)
            values = {
                "key": to,
                "purpose": row.purpose,
                "account_id": row.account_id,
                "content": self._keys.seal(sign_in_challenge.name, to.hex(), orjson.dumps(asked.content)),
                "until": until,
            }
            connection.execute(insert(sign_in_challenge), values)
        return asked

    def _opened(self, key: bytes, row: Any) -> Asked:
        content = orjson.loads(self._keys.open(sign_in_challenge.name, key.hex(), row.content))
        return Asked(account_id=row.account_id, content=content, until=row.until)

    def _key(self, purpose: Purpose, names: tuple[str, ...]) -> bytes:
        return self._keys.blind("sign-in-challenge", purpose, *names)

    def _spent_key(self, purpose: Purpose, names: tuple[str, ...]) -> bytes:
        return self._keys.blind("sign-in-challenge-spent", purpose, *names)
