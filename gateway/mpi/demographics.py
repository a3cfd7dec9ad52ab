"""Who a record says the person is, and whether two records contradict each other. Pure."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gateway.model import Demographics, Identifier

_NO_LETTER = re.compile(r"[^a-z0-9]+")
_BETWEEN_NAMES = re.compile(r"[\s\-\u2010-\u2015.,/]+")


def demographics_of(patient: Mapping[str, Any]) -> Demographics:
    """What a FHIR Patient says of the person, in its own spelling: all names of all uses, each once."""
    families: dict[str, None] = {}
    given: dict[str, None] = {}
    for name in patient.get("name") or ():
        family = name.get("family")
        if family:
            families[family] = None
        for one in name.get("given") or ():
            # A null stands where a given name has only extensions (FHIR R4 JSON §2.6.2.2).
            if one:
                given[one] = None
    return Demographics(
        family=tuple(families), given=tuple(given), birth_date=patient.get("birthDate"), sex=patient.get("gender")
    )


def identifiers_of(patient: Mapping[str, Any]) -> tuple[Identifier, ...]:
    """Every identifier of a Patient that can be looked up as `system|value` (FHIR R4 search §token), each once.

    White space around a value is no part of it.
    """
    stated = ((one.get("system"), (one.get("value") or "").strip()) for one in patient.get("identifier") or ())
    return tuple(dict.fromkeys(Identifier(system, value) for system, value in stated if system and value))


@lru_cache(maxsize=4096)
def fold(text: str) -> str:
    """`text` for comparing: without case, accents and punctuation, in any script (Unicode NFKD)."""
    if text.isascii():
        return _NO_LETTER.sub("", text.lower())
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    return "".join(letter for letter in decomposed if letter.isalnum())


@dataclass(frozen=True, slots=True)
class Comparable:
    """What linking compares of a record: its folded given names, and its birth date as precise as it is known."""

    given: frozenset[str]
    birth_date: str


def comparable(demographics: Demographics) -> Comparable:
    """`demographics`, ready to compare. Nothing of it can be shown to anyone."""
    return Comparable(frozenset(_folded_names(demographics.given)), demographics.birth_date or "")


def _folded_names(names: Iterable[str]) -> Iterable[str]:
    for name in names:
        # "Anna-Maria" agrees with "Anna", with "Maria" and with "Annamaria".
        for part in (name, *_BETWEEN_NAMES.split(name)):
            if folded := fold(part):
                yield folded


def contradicts(one: Comparable, other: Comparable) -> bool:
    """Whether given name and birth date both conflict. What is missing on either side never conflicts."""
    return _dates_conflict(one.birth_date, other.birth_date) and _names_conflict(one.given, other.given)


def _dates_conflict(one: str, other: str) -> bool:
    # `1980` and `1980-05-01` agree as far as both are known.
    known = min(len(one), len(other))
    return known > 0 and one[:known] != other[:known]


def _names_conflict(one: frozenset[str], other: frozenset[str]) -> bool:
    if not one or not other or one & other:
        return False
    return not (_initials_agree(one, other) or _initials_agree(other, one))


def _initials_agree(short: frozenset[str], names: frozenset[str]) -> bool:
    # "J." agrees with "John": an initial is all that some systems keep.
    return any(len(initial) == 1 and name.startswith(initial) for initial in short for name in names)
