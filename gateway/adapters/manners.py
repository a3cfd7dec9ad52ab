"""What an archive has shown of its manners, remembered in this process so that the next query need not find out."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.model import Facility

FORGET_AFTER_S = 3600.0
"""An archive may be upgraded: after this long it is tried anew."""


@dataclass(slots=True)
class Manners:
    """How one level (`studies` or `series`) of an archive wants to be asked."""

    learned_at: float
    style: int = 0
    """The first way of asking that it did not refuse (`qido.STYLES`)."""
    truthful_up_to: int = 9
    """A page of at most so many rows is its whole answer; a longer one might be cut off at the archive's own cap."""
    unsupported: bool = False
    """True where it can't be asked by PatientID at this level."""
    counts_hold: bool = True
    """False where its (0020,1206) has counted more series than it shows."""


class MannersMemory:
    """The manners of every facility. Several threads may learn at once; the last to learn is believed."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[tuple[str, str | None, str], Manners] = {}

    def of(self, facility: Facility, level: str) -> Manners:
        """What is known of this archive at `level`, or the manners of a stranger."""
        key = (facility.id, facility.query_url, level)
        known = self._known.get(key)
        if known is None or self._clock() - known.learned_at > FORGET_AFTER_S:
            known = self._known[key] = Manners(learned_at=self._clock())
        return known
