"""May this person act for that patient, now? Pure.

A delegation has a basis, a purpose that its acts are recorded under, and an end. A parent's ends besides, whatever was
agreed, when the child comes of age: at midnight at the beginning of that birthday, in the exchange's time zone.
"""

import calendar
from collections.abc import Sequence
from datetime import date, datetime, time, tzinfo
from typing import Literal, get_args

Basis = Literal["parent", "guardian", "power-of-attorney"]
BASES: tuple[Basis, ...] = get_args(Basis)
PURPOSES = ("FAMRQT", "PWATRNY")
"""v3-ActReason: a request of the family, and one by power of attorney."""
PURPOSE_OF: dict[Basis, str] = {"parent": "FAMRQT", "guardian": "FAMRQT", "power-of-attorney": "PWATRNY"}
ENDS_OF_AGE: frozenset[Basis] = frozenset(("parent",))


def comes_of_age(born: date, age: int, zone: tzinfo) -> datetime:
    """The moment at which somebody born that day is `age` years old: their birthday begins in `zone`.

    Who was born on 29 February comes of age on 1 March in a year without one: not a day too early.
    """
    year = born.year + age
    if (born.month, born.day) == (2, 29) and not calendar.isleap(year):
        return datetime.combine(date(year, 3, 1), time(), zone)
    return datetime.combine(born.replace(year=year), time(), zone)


def stands_until(
    basis: Basis, until: datetime, born: Sequence[str | None], now: datetime, *, age: int, zone: tzinfo
) -> datetime | None:
    """The end of a delegation that lets its holder act at `now`; None where it does not, or no longer.

    `born` are the birth dates that the records of the patient state; the earliest that may be meant decides. Where none
    states one, nobody acts as a parent: that the patient is a child is then not known.
    """
    end = until
    if basis in ENDS_OF_AGE:
        stated = [earliest for text in born if (earliest := _earliest(text)) is not None]
        if not stated:
            return None
        end = min(until, comes_of_age(min(stated), age, zone))
    return end if now < end else None


def _earliest(text: str | None) -> date | None:
    """The first day that a FHIR date (`YYYY`, `YYYY-MM`, `YYYY-MM-DD`) may mean."""
    if not text:
        return None
    try:
        return date.fromisoformat((text + "-01-01")[:10] if len(text) == 4 else (text + "-01")[:10])
    except ValueError:
        return None
