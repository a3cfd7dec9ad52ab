"""How a facility, or the gate before it, proves who it is to the gateway: a key made for it, and shown once.

Whoever holds it learns what is decided about that facility's own images, and nothing of another's.
"""

import secrets
import time
from base64 import b64decode
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Engine, bindparam, delete, insert, select, update

from gateway.auth.facility_tables import facility_key
from gateway.db.crypto import KeyRing
from gateway.db.lookup import looking
from gateway.db.prepared import Prepared
from gateway.db.session import writing
from gateway.errors import NotAuthenticated
from gateway.model import FacilityID

OVERLAP = timedelta(hours=24)
"""How long the keys before it go on working, so that a gate can be given a new one without closing."""
FRESH_S = 1.0
PREFIX = "ixk_"
_BYTES = 32
_MOST_CHARACTERS = 200
_MOST_REMEMBERED = 1000

_COLUMNS = facility_key.c
_FIND = Prepared(select(_COLUMNS.facility_id, _COLUMNS.until).where(_COLUMNS.digest == bindparam("digest")))


class FacilityKeys:
    """The keys of all facilities. One object serves all threads; every method raises DependencyUnavailable."""

    def __init__(self, engine: Engine, keys: KeyRing, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._keys = keys
        self._monotonic = monotonic
        self._known: dict[bytes, tuple[float, FacilityID, datetime | None]] = {}

    def make(self, facility: FacilityID, now: datetime, overlap: timedelta = OVERLAP) -> str:
        """A new key of the facility. Those before it end after `overlap`; it is kept as a keyed hash alone."""
        key = PREFIX + secrets.token_urlsafe(_BYTES)
        last = now + overlap
        own = _COLUMNS.facility_id == facility
        with writing(self._engine) as connection:
            connection.execute(delete(facility_key).where(own, _COLUMNS.until <= now))
            before = update(facility_key).where(own, _COLUMNS.until.is_(None) | (_COLUMNS.until > last))
            connection.execute(before.values(until=last))
            row = {"digest": self._digest(key), "facility_id": facility, "made_at": now, "until": None}
            connection.execute(insert(facility_key).values(row))
        return key

    def end(self, facility: FacilityID) -> int:
        """The facility has no key any more; how many it had."""
        with writing(self._engine) as connection:
            return connection.execute(delete(facility_key).where(_COLUMNS.facility_id == facility)).rowcount

    def find(self, key: str, now: datetime) -> FacilityID | None:
        """Whose key it is, as of at most a second ago; None where it is nobody's, or has ended.

        That a key is unknown is never remembered, so that a new one works at once.
        """
        if not key or len(key) > _MOST_CHARACTERS or not key.isascii():
            return None
        digest, moment = self._digest(key), self._monotonic()
        known = self._known.get(digest)
        if known is None or moment >= known[0]:
            with looking(self._engine) as session:
                row = _FIND.first(session, digest=digest)
            if row is None:
                self._known.pop(digest, None)
                return None
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            known = self._known[digest] = (moment + FRESH_S, FacilityID(row[0]), row[1])
        _, facility, until = known
        return facility if until is None or now < until else None

    def require(self, key: str | None, now: datetime) -> FacilityID:
        """Whose key `X-Facility-Key` holds. Raises NotAuthenticated."""
        found = self.find(key or "", now)
        if found is None:
            raise NotAuthenticated("a facility's key is needed", presented=key is not None)
        return found

    def require_basic(self, authorization: str | None, now: datetime) -> FacilityID:
        """Whose id and key HTTP Basic authentication states (RFC 7617): both have to be right.

        Raises NotAuthenticated.
        """
        scheme, _, encoded = (authorization or "").partition(" ")
        if scheme.lower() != "basic":
            raise NotAuthenticated("a facility's id and key are needed", presented=authorization is not None)
        try:
            stated, _, key = b64decode(encoded.strip(), validate=True).decode().partition(":")
        except ValueError as exc:
            raise NotAuthenticated("not the Basic scheme") from exc
        found = self.find(key, now)
        if found is None or found != stated:
            raise NotAuthenticated("a facility's id and key are needed")
        return found

    def _digest(self, key: str) -> bytes:
        return self._keys.blind("facility-key", key)
