"""Under which keys is a record looked for by description, and under which ones does a description look? Pure.

Whatever a record says that a description asks for, it has a key that the description looks under: the keys bound who
has to be opened, and what is opened decides. A key is (kind, text) in clear here; the store keeps only keyed hashes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from gateway.model import DateBound
from gateway.mpi.demographics import fold, identifiers_of
from gateway.mpi.patient_query import (
    Description,
    Text,
    address_parts,
    comparable_contact,
    contacts,
    families,
    givens,
)

SearchKey = tuple[str, str]

VERSION = 1
"""Of the keys, kept beside each record: a record without it has none, and is looked at by every search."""
_LETTERS = 5
"""The beginning of a family name that is looked under alone; a shorter one is looked under as a whole."""
_FEW_LETTERS = 3
_ADDRESS_LETTERS = 8
_MOST_DAYS = 62
_AN_INSTANT = timedelta(microseconds=1)  # the end of a span is no part of it
_MOST_YEARS = 12
_MOST_IDENTIFIERS = 50


def record_keys(patient: Mapping[str, Any], own_system: str) -> tuple[SearchKey, ...]:
    """The keys of a record. `own_system` is its domain, whose identifier has an index of its own."""
    return tuple(dict.fromkeys(_record_keys(patient, own_system)))


def _record_keys(patient: Mapping[str, Any], own_system: str) -> Iterator[SearchKey]:
    born = str(patient.get("birthDate") or "").partition("T")[0]
    if born:
        yield "born", born
    given = {name[:_FEW_LETTERS] for one in givens(patient) if len(name := fold(one)) >= _FEW_LETTERS}
    for family in filter(None, {fold(one) for one in families(patient)}):
        yield _family_key(family)
        if len(family) >= _FEW_LETTERS:
            beginning = family[:_FEW_LETTERS]
            if born:
                yield "family+year", f"{beginning}|{born[:4]}"
            yield from (("family+given", f"{beginning}|{one}") for one in given)
    yield from (("telecom", value) for _, value in contacts(patient))
    for one in identifiers_of(patient)[:_MOST_IDENTIFIERS]:
        if one.system != own_system:
            yield "identifier value", one.value
    for part in address_parts(patient):
        if key := _address_key(fold(part)):
            yield key


def _family_key(family: str) -> SearchKey:
    return ("family", family[:_LETTERS]) if len(family) >= _LETTERS else ("whole family", family)


def _address_key(part: str) -> SearchKey | None:
    # Only with a number in it: the names of countries and states, which very many records have, are left out.
    beginning = part[:_ADDRESS_LETTERS]
    return ("address", beginning) if len(part) >= _ADDRESS_LETTERS and not beginning.isalpha() else None


def identifier_value_key(value: str) -> SearchKey:
    """The key of records that have an identifier of that value in another domain than their own."""
    return "identifier value", value


def places_to_look(asked: Description) -> tuple[frozenset[SearchKey], ...]:
    """Sets of keys: whoever is described has one of each. None where nothing of the description has keys."""
    return tuple(found for found in _places(asked) if found)


def _places(asked: Description) -> Iterator[frozenset[SearchKey]]:
    for tokens in asked.telecom:
        yield _all([_telecom_key(one.code) for one in tokens])
    for texts in asked.strings.get("address", ()):
        yield _all([_address_key(one.folded) for one in texts])
    span = _Span.of(asked.birthdate)
    yield frozenset(("born", one) for one in span.dates())
    beginnings = [_beginnings(texts) for texts in asked.strings.get("family", ())]
    for names in beginnings:
        for given in (_beginnings(texts) for texts in asked.strings.get("given", ())):
            yield frozenset(("family+given", f"{one}|{other}") for one in names for other in given)
        yield frozenset(("family+year", f"{one}|{year:04}") for one in names for year in span.years())
    for texts in asked.strings.get("family", ()):
        yield _all([_name_key(one) for one in texts])


def _all(keys: Sequence[SearchKey | None]) -> frozenset[SearchKey]:
    # One alternative without a key, and whoever it describes would be missed.
    return frozenset(key for key in keys if key) if all(keys) else frozenset()


def _telecom_key(code: str | None) -> SearchKey | None:
    return ("telecom", comparable) if (comparable := comparable_contact(code or "")) else None


def _name_key(text: Text) -> SearchKey | None:
    family = text.folded
    return _family_key(family) if text.exact or len(family) >= _LETTERS else None


def _beginnings(texts: Sequence[Text]) -> frozenset[str]:
    folded = [one.folded for one in texts]
    return frozenset(one[:_FEW_LETTERS] for one in folded) if min(map(len, folded)) >= _FEW_LETTERS else frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    """When whoever is asked for was born, at the widest; None: no bound."""

    start: datetime | None = None
    end: datetime | None = None

    @classmethod
    def of(cls, clauses: Sequence[Sequence[DateBound]]) -> "_Span":
        starts, ends = [], []
        for alternatives in clauses:
            spans = [_span(one) for one in alternatives]
            starts.append(_widest([one.start for one in spans], last=False))
            ends.append(_widest([one.end for one in spans], last=True))
        return cls(start=max(filter(None, starts), default=None), end=min(filter(None, ends), default=None))

    def years(self) -> Sequence[int]:
        """The years in it, where they are few."""
        if self.start is None or self.end is None or self.end <= self.start:
            return ()
        years = range(self.start.year, (self.end - _AN_INSTANT).year + 1)
        return years if len(years) <= _MOST_YEARS else ()

    def dates(self) -> Iterator[str]:
        """Every way to write a birth date in it, of any precision, where these are few."""
        if self.start is None or self.end is None or self.end <= self.start:
            return
        days = range(self.start.toordinal(), (self.end - _AN_INSTANT).toordinal() + 1)
        if len(days) <= _MOST_DAYS:
            written = [date.fromordinal(day).isoformat() for day in days]
            yield from dict.fromkeys(text for day in written for text in (day, day[:7], day[:4]))


def _span(bound: DateBound) -> _Span:
    start, end = bound.moment.start, bound.moment.end
    match bound.prefix:
        case "eq":
            return _Span(start=start, end=end)
        case "gt" | "sa":
            return _Span(start=end)
        case "ge":
            return _Span(start=start)
        case "lt" | "eb":
            return _Span(end=start)
        case "le":
            return _Span(end=end)
        case _:  # ne, and ap, whose reach depends on today
            return _Span()


def _widest(bounds: Sequence[datetime | None], *, last: bool) -> datetime | None:
    known = [one for one in bounds if one is not None]
    if len(known) < len(bounds):
        return None
    return (max if last else min)(known)
