"""Which web origins may read answers in a browser: those of registered apps, and those that a setting names.

An origin is compared whole (RFC 6454 §4): scheme, host and port. `null` and patterns are nobody's.
"""

import time
from collections.abc import Callable, Collection, Sequence

from gateway.auth.clients import FRESH_S, Client
from gateway.web_origin import origin_of


class AppOrigins:
    """The origins of all enabled apps' redirect URIs, as of at most a second ago, and `always`."""

    def __init__(
        self,
        clients: Callable[[], Sequence[Client]],
        always: Collection[str] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clients = clients
        self._always = frozenset(always)
        self._monotonic = monotonic
        self._known: frozenset[str] = frozenset()
        self._until = float("-inf")

    def __contains__(self, origin: object) -> bool:
        """Whether a page of exactly that origin may read answers. Raises DependencyUnavailable."""
        return isinstance(origin, str) and (origin in self._always or origin in self._of_apps())

    def _of_apps(self) -> frozenset[str]:
        now = self._monotonic()
        if now >= self._until:
            found = (origin_of(uri) for client in self._clients() if client.enabled for uri in client.redirect_uris)
            self._known = frozenset(origin for origin in found if origin)
            self._until = now + FRESH_S
        return self._known
