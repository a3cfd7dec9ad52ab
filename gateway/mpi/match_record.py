"""What matching compares of a source record: one flat, frozen value, and its compact stored form. Pure."""

from typing import NamedTuple

import orjson


class MatchRecord(NamedTuple):
    """A record's demographics, normalised. What is missing, invalid or a placeholder is empty, never a value.

    Names are keys: folded to lower-case Latin letters. Every tuple holds each value once, the current one first.
    A NamedTuple because a query opens up to two hundred of them: a frozen dataclass takes three times as long to make.
    """

    given: str = ""
    """The first given name."""
    given_forms: tuple[str, ...] = ()
    """The first given name and the formal names it is short for: two names go together when these meet."""
    givens: tuple[str, ...] = ()
    """Every given name of every use, and the parts of compound ones."""
    middle: str = ""
    """The given names after the first, joined; often an initial."""
    family: str = ""
    families: tuple[str, ...] = ()
    """Every family name of every use, and the parts of compound ones."""
    given_native: str = ""
    """The first given name in its own script, where that isn't Latin."""
    family_native: str = ""
    suffix: str = ""
    """Generation: `1` senior, `2` junior or II, `3` …"""
    newborn: bool = False
    """The given name is a placeholder for a child not yet named."""
    mother_given: str = ""
    """The mother's given name where a newborn's placeholder holds it (`Judy Girl A`)."""
    birth_order: int = 0
    """Which of a multiple birth, 0 where not said."""
    birth_date: str = ""
    """`YYYYMMDD`, or `YYYYMM` or `YYYY` where no more is known."""
    sex: str = ""
    """`male` or `female`; another administrative gender says nothing of which record this is."""
    phones: tuple[str, ...] = ()
    """The last nine digits."""
    emails: tuple[str, ...] = ()
    number: str = ""
    """House number of the current address."""
    street: str = ""
    unit: str = ""
    """Flat, building or second line of the current address."""
    postcode: str = ""
    city: str = ""
    homes: tuple[str, ...] = ()
    """House number, street and postcode of every address."""
    doors: tuple[str, ...] = ()
    """House number and street of every address."""
    national: tuple[str, ...] = ()
    """`system|value` of each identifier that names one person."""
    national_systems: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ()
    """`system|value` of each other identifier."""


_TUPLES = tuple(place for place, default in enumerate(MatchRecord()) if isinstance(default, tuple))


def pack(record: MatchRecord) -> bytes:
    """`record` as compact JSON, to be sealed and stored: opening one is what each candidate costs."""
    return orjson.dumps(list(record))


def unpack(stored: bytes) -> MatchRecord:
    """The record that was packed. Raises ValueError for anything that isn't JSON, TypeError for another form."""
    values = orjson.loads(stored)
    for place in _TUPLES:
        values[place] = tuple(values[place])
    return MatchRecord._make(values)
