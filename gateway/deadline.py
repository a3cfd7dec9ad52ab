"""One deadline covers a whole query, and it only shrinks."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point on the monotonic clock. Every step of a query is given the same one, or an earlier one."""

    at: float
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def after(cls, span: timedelta, clock: Callable[[], float] = time.monotonic) -> "Deadline":
        """A deadline `span` from now."""
        return cls(clock() + span.total_seconds(), clock)

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - self.clock())

    def passed(self) -> bool:
        """Whether no time is left."""
        return self.clock() >= self.at

    def within(self, span: timedelta) -> "Deadline":
        """The earlier of this deadline and `span` from now."""
        return Deadline(min(self.at, self.clock() + span.total_seconds()), self.clock)
