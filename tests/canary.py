"""A patient whose values must never be read in a log, a metric or an error: planted in samples, looked for at the end.

A functional test hands over what an outsider could read (`record`); when the run ends, `leaks` names every place in
which a planted value was seen, and the run fails.
"""

from dataclasses import dataclass
from urllib.parse import unquote_plus

FAMILY = "Canarybird"
GIVEN = "Zephyrine"
MRN = "CNRY-90210"
NATIONAL_ID = "999-55-0042"
BIRTH_DATE = "1966-11-11"
PLANTED = (FAMILY, GIVEN, MRN, NATIONAL_ID)
"""What is looked for. A birth date alone could be anybody's, so it is planted and not looked for."""

_AROUND = 60


@dataclass(frozen=True, slots=True)
class Leak:
    """A planted value, where it was seen, and the words around it."""

    value: str
    where: str
    excerpt: str


_leaks: list[Leak] = []


def record(text: str | bytes, where: str) -> None:
    """The text has been searched, as it is and percent-decoded; what was found fails the run."""
    raw = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    _leaks.extend(found_in(raw, where))


def found_in(text: str, where: str) -> list[Leak]:
    """Every planted value that can be read in the text, upper and lower case alike."""
    found: list[Leak] = []
    for shown in dict.fromkeys((text, unquote_plus(text))):
        folded = shown.casefold()
        for value in PLANTED:
            at = folded.find(value.casefold())
            if at >= 0 and value not in {leak.value for leak in found}:
                found.append(Leak(value, where, shown[max(0, at - _AROUND) : at + _AROUND]))
    return found


def leaks() -> tuple[Leak, ...]:
    """What has been found so far in this run."""
    return tuple(_leaks)
