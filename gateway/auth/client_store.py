"""Registered clients and used client assertions in the database."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from gateway.auth.clients import Client
from gateway.auth.tables import client as clients
from gateway.auth.tables import used_assertion
from gateway.db.crypto import KeyRing
from gateway.db.session import reading, writing
from gateway.errors import DependencyUnavailable
from gateway.log import Event, event
from gateway.model import ClientID, FacilityID

_PURGE_EVERY_S = 60.0
_PURGE_MARGIN = timedelta(minutes=5)
"""Clocks of several machines differ; a row is kept for a while after no machine should need it."""


class DatabaseClientStore:
    """`ClientStore` in SQLite or PostgreSQL. Holds nothing secret: public keys and what a client is registered for."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def find(self, client_id: str) -> Client | None:
        """The client as it is stored now, also where it is disabled."""
        with reading(self._engine) as connection:
            row = connection.execute(select(clients).where(clients.c.id == client_id)).mappings().first()
        return None if row is None else _from_row(cast("Mapping[str, Any]", row))

    def list_all(self) -> Sequence[Client]:
        """Every client, in id order."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(clients).order_by(clients.c.id)).mappings().all()
        return [_from_row(cast("Mapping[str, Any]", row)) for row in rows]

    def save(self, client: Client, now: datetime) -> bool:
        """`client` is registered as given, enabled or not as it says. True where it was not there before."""
        values = _to_row(client) | {"updated_at": now}
        with writing(self._engine) as connection:
            changed = connection.execute(update(clients).where(clients.c.id == client.id).values(values))
            if changed.rowcount:
                return False
            connection.execute(insert(clients).values(values | {"registered_at": now}))
        return True

    def disable(self, client_id: str, now: datetime) -> bool:
        """The client gets no token and its tokens end. False where there is no such client."""
        with writing(self._engine) as connection:
            row = connection.execute(select(clients.c.disabled_at).where(clients.c.id == client_id)).first()
            if row is None:
                return False
            if row.disabled_at is None:
                change = update(clients).where(clients.c.id == client_id)
                connection.execute(change.values(disabled_at=now, updated_at=now))
        return True


class UsedAssertions:
    """Which client assertions were used: each at most once, over all processes and restarts (ASVS 5.0 15.4.2)."""

    def __init__(self, engine: Engine, keys: KeyRing, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._keys = keys
        self._monotonic = monotonic
        self._purge_after = monotonic() + _PURGE_EVERY_S
        self._purging = threading.Lock()

    def use(self, issuer: str, token_id: str, *, expires_at: datetime, now: datetime) -> bool:
        """True for exactly one caller, ever, until `expires_at`. Raises DependencyUnavailable."""
        digest = self._keys.blind("client-assertion", issuer, token_id)
        try:
            with writing(self._engine) as connection:
                connection.execute(insert(used_assertion).values(digest=digest, expires_at=expires_at))
        except DependencyUnavailable as exc:
            if isinstance(exc.__cause__, IntegrityError):
                return False
            raise
        self._purge_now_and_then(now)
        return True

    def _purge_now_and_then(self, now: datetime) -> None:
        if self._monotonic() < self._purge_after or not self._purging.acquire(blocking=False):
            return
        try:
            self._purge_after = self._monotonic() + _PURGE_EVERY_S
            with writing(self._engine) as connection:
                connection.execute(delete(used_assertion).where(used_assertion.c.expires_at < now - _PURGE_MARGIN))
        except DependencyUnavailable:
            # The assertion itself is recorded; old rows only cost space until the next time.
            event(Event.DEPENDENCY_UNAVAILABLE, dependency="database", reason="expired assertions were not removed")
        finally:
            self._purging.release()


def _to_row(client: Client) -> dict[str, Any]:
    return {
        "id": client.id,
        "name": client.name,
        "organization": client.organization,
        "jwks": client.jwks,
        "jwks_uri": client.jwks_uri,
        "scope": " ".join(client.scopes),
        "purpose_of_use": " ".join(client.purposes),
        "token_exchange": client.token_exchange,
        "facility": client.facility,
        "kind": client.kind,
        "redirect_uris": "\n".join(client.redirect_uris) or None,
        "launch_url": client.launch_url,
        "disabled_at": client.disabled_at,
    }


def _from_row(row: Mapping[str, Any]) -> Client:
    return Client(
        id=ClientID(row["id"]),
        name=row["name"],
        organization=row["organization"],
        jwks=row["jwks"],
        jwks_uri=row["jwks_uri"],
        scopes=tuple(row["scope"].split()),
        purposes=tuple(row["purpose_of_use"].split()),
        token_exchange=row["token_exchange"],
        facility=None if row["facility"] is None else FacilityID(row["facility"]),
        kind=row["kind"],
        redirect_uris=tuple((row["redirect_uris"] or "").split()),
        launch_url=row["launch_url"],
        disabled_at=row["disabled_at"],
    )
