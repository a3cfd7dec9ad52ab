"""Which clients are registered, and what for: as of at most a second ago, in every process."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from gateway.errors import AccessRefused, NotAuthenticated
from gateway.model import ClientID, FacilityID

ClientKind = Literal["system", "app"]
FRESH_S = 1.0
_MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A registered client: a system that asks for itself (an EHR, an identity feed), or an app that people use."""

    id: ClientID
    name: str
    organization: str
    """A facility id, or the URI of an organisation: what actors of a consent may be matched by."""
    jwks: str | None
    """Its public keys as a JWK Set (JSON), or None where they are read from `jwks_uri`; an app may have neither."""
    jwks_uri: str | None
    scopes: tuple[str, ...]
    purposes: tuple[str, ...]
    token_exchange: bool = False
    facility: FacilityID | None = None
    """The facility whose identity feed this client is."""
    kind: ClientKind = "system"
    redirect_uris: tuple[str, ...] = ()
    """Where an app is answered, each exactly as it will ask."""
    launch_url: str | None = None
    """Where an app is started from, if it can be."""
    disabled_at: datetime | None = None

    @property
    def is_app(self) -> bool:
        """Whether people use it, rather than it acting for itself."""
        return self.kind == "app"

    @property
    def public(self) -> bool:
        """Whether it has no key to prove itself with (RFC 6749 §2.1)."""
        return self.is_app and self.jwks is None and self.jwks_uri is None

    @property
    def enabled(self) -> bool:
        """Whether it may get and use tokens."""
        return self.disabled_at is None


class UnauthorizedClient(AccessRefused):
    """The client is known, and this is not for its kind (RFC 6749 §5.2 `unauthorized_client`)."""

    code = "unauthorized-client"


class ClientStore(Protocol):
    """Where clients are kept. Every method raises DependencyUnavailable where the store fails."""

    def find(self, client_id: str) -> Client | None:
        """The client as it is stored now, also where it is disabled."""
        ...

    def list_all(self) -> Sequence[Client]:
        """Every client, in id order."""
        ...

    def save(self, client: Client, now: datetime) -> bool:
        """`client` is registered as given, enabled or not as it says. True where it was not there before."""
        ...

    def disable(self, client_id: str, now: datetime) -> bool:
        """The client gets no token and its tokens end. False where there is no such client."""
        ...


class ClientRegistry:
    """Clients as of at most `FRESH_S` ago.

    One row is read a client a second, however many are registered. An absence is never remembered, so a client that
    has just been added is known at once. If the store fails, so does the look-up: a stale answer is never used.
    """

    def __init__(self, store: ClientStore, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._monotonic = monotonic
        self._known: dict[str, tuple[float, Client]] = {}

    def find(self, client_id: str) -> Client | None:
        """The client of that id, None where there is none. Raises DependencyUnavailable."""
        now = self._monotonic()
        known = self._known.get(client_id)
        if known is not None and now < known[0]:
            return known[1]
        client = self._store.find(client_id)
        if client is None:
            self._known.pop(client_id, None)
            return None
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[client_id] = (now + FRESH_S, client)
        return client

    def require_enabled(self, client_id: str) -> Client:
        """The client, registered and enabled. Raises NotAuthenticated (for either alike), DependencyUnavailable."""
        client = self.find(client_id)
        if client is None or not client.enabled:
            raise NotAuthenticated("the client is not registered or not enabled")
        return client
