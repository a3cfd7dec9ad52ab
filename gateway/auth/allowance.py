"""How often something that anybody can cause is recorded: so many times a minute in each process, whoever causes it."""

import threading
from collections.abc import Callable


class Allowance:
    """So many a minute, whoever takes them."""

    def __init__(self, a_minute: int, monotonic: Callable[[], float]) -> None:
        self._a_minute = a_minute
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._minute = -1
        self._left = 0

    def take(self) -> bool:
        """Whether one is left in this minute; it is taken then."""
        minute = int(self._monotonic() // 60)
        with self._lock:
            if minute != self._minute:
                self._minute, self._left = minute, self._a_minute
            self._left -= 1
            return self._left >= 0
