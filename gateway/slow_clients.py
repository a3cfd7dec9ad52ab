"""How long may a client take to send its request? A thread waits for it meanwhile, and there are only so many.

A client that sends a header a second, or half a header and nothing more, is cut off (OWASP: slow HTTP attacks). A
proxy that buffers requests does this too; the gateway doesn't lean on one being there.
"""

import threading
import time
from contextlib import suppress
from socket import SHUT_RDWR, SHUT_WR, socket

HEADERS_WITHIN_S = 5.0
BODY_WITHIN_S = 10.0
_PARTING_S = 1.0
_PARTING_BYTES = 65_536
_LOOK_EVERY_S = 0.5


class ReadingDeadlines:
    """Ends connections whose request has not arrived in time. One serves a process; it watches from the first on."""

    def __init__(self) -> None:
        self._due: dict[socket, float] = {}
        self._watching = threading.Lock()

    def begin(self, connection: socket, seconds: float) -> None:
        """What is being read from `connection` now has to be complete in `seconds`, or the connection ends."""
        self._due[connection] = time.monotonic() + seconds
        if self._watching.acquire(blocking=False):
            threading.Thread(target=self._watch, name="slow-clients", daemon=True).start()

    def end(self, connection: socket) -> None:
        """It is complete, or nothing more is read."""
        self._due.pop(connection, None)

    def _watch(self) -> None:
        while True:
            time.sleep(_LOOK_EVERY_S)
            now = time.monotonic()
            for connection, at in list(self._due.items()):
                if now >= at and self._due.pop(connection, None) is not None:
                    # The thread that reads from it is told that nothing more comes.
                    with suppress(OSError):
                        connection.shutdown(SHUT_RDWR)


def part(connection: socket) -> None:
    """Nothing more is said; the client may read what was, for a moment, and close (RFC 9112 §9.6). Then it is over.

    What it still sends is read meanwhile: otherwise the answer would be lost on its way. Closing is left to the caller.
    """
    until, left = time.monotonic() + _PARTING_S, _PARTING_BYTES
    with suppress(OSError):
        connection.shutdown(SHUT_WR)
        while left > 0 and (wait := until - time.monotonic()) > 0:
            connection.settimeout(wait)
            received = len(connection.recv(4096))
            if not received:
                break
            left -= received
    with suppress(OSError):
        connection.shutdown(SHUT_RDWR)
