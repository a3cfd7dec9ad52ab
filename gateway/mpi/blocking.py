"""Which records are worth comparing: keys that records of one person share. Pure.

A key is (kind, text) in clear here; the store keeps only keyed hashes of it (`KeyRing.blind`). Tight keys find whom a
record may be linked to, a handful at most; wide keys find whom a question may mean.
"""

from collections.abc import Iterator
from functools import lru_cache

from doublemetaphone import doublemetaphone

from gateway.mpi.match_record import MatchRecord

BlockingKey = tuple[str, str]

MOST_CANDIDATES = 200
"""Candidates that a question compares, those that share most keys first."""
HOT_KEY_RECORDS = 500
"""A key that more records have says too little to look under it."""


@lru_cache(maxsize=65536)
def sound(name: str) -> str:
    """How `name` sounds (Double Metaphone, primary code); a name without Latin letters stands for itself."""
    return doublemetaphone(name)[0] or name


def day(birth_date: str) -> str:
    """A whole birth date with day and month in ascending order: a swap of the two gives the same. Otherwise empty."""
    if len(birth_date) != 8:
        return ""
    return birth_date[:4] + "".join(sorted((birth_date[4:6], birth_date[6:])))


def tight_keys(record: MatchRecord) -> tuple[BlockingKey, ...]:
    """The keys under which a record is looked for when it is to be linked by itself or put before a steward."""
    return tuple(dict.fromkeys((kind, text) for kind, text in _tight(record) if text))


def wide_keys(record: MatchRecord) -> tuple[BlockingKey, ...]:
    """The keys under which a question (`$match`) looks for persons."""
    return tuple(dict.fromkeys((kind, text) for kind, text in _wide(record) if text))


def _both(*parts: str) -> str:
    return "|".join(parts) if all(parts) else ""


def _pair(one: str, other: str) -> str:
    return _both(*sorted((one, other)))


def _tight(record: MatchRecord) -> Iterator[BlockingKey]:
    family, given = sound(record.family), sound(record.given)
    born, year = day(record.birth_date), record.birth_date[:4]
    for one in (*record.national, *record.identifiers):
        yield "identifier", one
    for email in record.emails:
        yield "email", email
    for phone in record.phones:
        yield "phone+given", _both(phone, given)
        yield "phone+family", _both(phone, family)
        yield "phone+day", _both(phone, born)
    for door in record.doors:
        yield "door+given", _both(door, given)
        yield "door+day", _both(door, born)
    yield "names+year", _both(_pair(family, given), year)
    yield "names+day", _both(_pair(family, given), "".join(sorted((record.birth_date[4:6], record.birth_date[6:]))))
    yield "names+postcode", _both(_pair(family, given), record.postcode)
    yield "day+family", _both(born, family)
    yield "day+given", _both(born, given)
    yield "day+postcode", _both(born, record.postcode)
    yield "day+middle", _both(born, record.middle)


def _wide(record: MatchRecord) -> Iterator[BlockingKey]:
    family, given = sound(record.family), sound(record.given)
    year = record.birth_date[:4]
    for one in (*record.national, *record.identifiers):
        yield "identifier", one
    for phone in record.phones:
        yield "phone", phone
    for email in record.emails:
        yield "email", email
    for door in record.doors:
        yield "door", door
    yield "day", day(record.birth_date)
    yield "family+year", _both(family, year)
    yield "given+year+postcode", _both(given, year, record.postcode)
    yield "names", _pair(family, given)


def loose_keys(record: MatchRecord) -> tuple[BlockingKey, ...]:
    """Every key there is, for small or very mistyped collections: many strangers are compared, few pairs are missed."""
    found = (*_tight(record), *_wide(record), *_loose(record))
    return tuple(dict.fromkeys((kind, text) for kind, text in found if text))


def _loose(record: MatchRecord) -> Iterator[BlockingKey]:
    family, given = sound(record.family), sound(record.given)
    street = record.street[:5]
    # In order of letters too: a name written in the other name's place is found with it.
    for name in {family, given}:
        yield "name+postcode", _both(name, record.postcode)
        yield "name+number", _both(name, record.number)
        yield "name+street", _both(name, street)
    yield "number+postcode", _both(record.number, record.postcode)
    yield "number+street", _both(record.number, street)
    yield "street+postcode", _both(street, record.postcode)
    yield "street+city", _both(street, record.city[:5])
    yield "street+year", _both(street, record.birth_date[:4])
    yield "day+month", record.birth_date[4:]
