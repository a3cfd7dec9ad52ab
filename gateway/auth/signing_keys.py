"""With which key tokens are signed now, and which still verify: as the key file says, also while the gateway runs.

A new signing key stands in the file for a while before it signs (`keys rotate`), so that whoever verifies offline has
seen it first. Every process looks at the file about once a second; what it can't use it leaves aside, and says so.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from joserfc.jwk import KeySet, RSAKey

from gateway.db.crypto import KeyRing, read_key_file
from gateway.errors import ConfigurationError
from gateway.log import Event, event

LOOK_EVERY_S = 1.0


class SigningKeys(Protocol):
    """Keys for tokens. A KeyRing is one that never changes."""

    @property
    def signing(self) -> RSAKey:
        """What new tokens are signed with."""
        ...

    @property
    def verifying(self) -> KeySet:
        """What tokens verify with: the key that signs now first, then older ones and those to come."""
        ...


class WatchedKeys:
    """The signing keys of a key file, followed as it changes. Other keys of the file are not exchanged."""

    def __init__(
        self,
        path: Path,
        ring: KeyRing,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`ring` is what was read from `path` at the start."""
        self._path = path
        self._ring = ring
        self._monotonic = monotonic
        self._wall = wall
        self._lock = threading.Lock()
        self._look_at = monotonic() + LOOK_EVERY_S
        self._seen = _state(path)

    @property
    def signing(self) -> RSAKey:
        """What new tokens are signed with."""
        return self._current().signing

    @property
    def verifying(self) -> KeySet:
        """What tokens verify with."""
        return self._current().verifying

    def _current(self) -> KeyRing:
        if self._monotonic() >= self._look_at and self._lock.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._look_at = self._monotonic() + LOOK_EVERY_S
                self._lock.release()
        return self._ring

    def _look(self) -> None:
        state = _state(self._path)
        due = self._ring.signs_next is not None and self._wall() >= self._ring.signs_next
        if state == self._seen and not due:
            return
        self._seen = state
        try:
            ring = read_key_file(self._path)
        except ConfigurationError:
            event(Event.KEYS_NOT_FOLLOWED, reason="the key file can't be read")
            return
        if not ring.sealing.keys() >= self._ring.sealing.keys() or ring.indexing != self._ring.indexing:
            event(Event.KEYS_NOT_FOLLOWED, reason="the key file holds other keys for sealing or indexing")
            return
        self._ring = ring
        event(Event.KEYS_FOLLOWED, count=len(ring.verifying.keys))


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
