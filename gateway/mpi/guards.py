"""What never links by itself, however high it scores: families, twins, newborns, lent identifiers. Pure.

Agreements inside a household aren't independent (one phone, one address, one surname), so a score alone takes a twin
for the patient. A pair that a guard holds is for a steward.
"""

from collections.abc import Sequence
from enum import StrEnum

from gateway.mpi.comparison import BIRTH_DATE, GIVEN, LEVELS, MIDDLE, NATIONAL, SEX
from gateway.mpi.match_record import MatchRecord

_PLACE = {field: place for place, field in enumerate(LEVELS)}
_GIVEN, _MIDDLE, _BORN, _SEX = (_PLACE[field] for field in ("given", "middle", "birth_date", "sex"))
_PHONE, _NATIONAL = _PLACE["phone"], _PLACE["national"]
_SAME = GIVEN.index("same")
_GIVEN_DIFFERS = GIVEN.index("different")
_BORN_OTHERWISE = BIRTH_DATE.index("different")
_BORN_APART = (BIRTH_DATE.index("year"), _BORN_OTHERWISE)
_MIDDLE_DIFFERS = MIDDLE.index("different")
_MIDDLE_AGREES = (MIDDLE.index("same"), MIDDLE.index("initial"))
_SEX_DIFFERS = SEX.index("different")
_NATIONAL_TYPO, _NATIONAL_DIFFERS = NATIONAL.index("typo"), NATIONAL.index("different")


class Guard(StrEnum):
    """Why a pair of records can't be linked without a steward."""

    GIVEN_NAMES_DIFFER = "given-names-differ"
    BIRTH_DATES_DIFFER = "birth-dates-differ"
    NO_GIVEN_NAME = "no-given-name"
    NATIONAL_IDENTIFIERS_DIFFER = "national-identifiers-differ"
    SEX_DIFFERS = "sex-differs"
    MIDDLE_NAMES_DIFFER = "middle-names-differ"
    IDENTIFIER_LENT = "identifier-lent"
    GENERATIONS_DIFFER = "generations-differ"
    BIRTH_ORDERS_DIFFER = "birth-orders-differ"


VETOES = frozenset(Guard) - {Guard.NO_GIVEN_NAME}
"""Guards that keep a record from a person even where only one of its records is contradicted. A record without a given
name contradicts nobody: it holds no more than its own pair."""

DESCRIPTIONS = {
    Guard.GIVEN_NAMES_DIFFER: "The given names are neither the same, alike (Jaro-Winkler 0.85), an initial, a "
    "nickname, one of the other given names nor swapped with the family name, and no national identifier is shared.",
    Guard.BIRTH_DATES_DIFFER: "The birth dates have nothing in common, not even the year.",
    Guard.NO_GIVEN_NAME: "A given name is missing or stands for a child not yet named (BABY BOY), neither phone and "
    "middle name both agree nor is a national identifier shared.",
    Guard.NATIONAL_IDENTIFIERS_DIFFER: "Both have a national identifier of one system and it differs by more than one "
    "typing mistake, or it differs at all and the given name isn't the same.",
    Guard.SEX_DIFFERS: "The sex differs and the given name isn't the same.",
    Guard.MIDDLE_NAMES_DIFFER: "The middle names have other initials and the given name isn't the same.",
    Guard.IDENTIFIER_LENT: "A national identifier is shared, given name and birth date both conflict: it may be a "
    "spouse's or a parent's.",
    Guard.GENERATIONS_DIFFER: "Both names say a generation (junior, senior, III), and not the same one.",
    Guard.BIRTH_ORDERS_DIFFER: "Both say which of a multiple birth they are, and not the same.",
}


def find_guards(a: MatchRecord, b: MatchRecord, levels: Sequence[int]) -> tuple[Guard, ...]:
    """Every guard that holds the pair; `levels` are its levels, in the order of LEVELS."""
    given, born = levels[_GIVEN], levels[_BORN]
    shares_national = any(one in b.national for one in a.national)
    held: list[Guard] = []
    if given != _SAME:
        held.extend(_name_guards(a, b, levels, shares_national))
    if born == _BORN_OTHERWISE:
        held.append(Guard.BIRTH_DATES_DIFFER)
    if levels[_NATIONAL] == _NATIONAL_DIFFERS or (levels[_NATIONAL] == _NATIONAL_TYPO and given != _SAME):
        held.append(Guard.NATIONAL_IDENTIFIERS_DIFFER)
    if shares_national and given == _GIVEN_DIFFERS and born in _BORN_APART:
        held.append(Guard.IDENTIFIER_LENT)
    if a.suffix and b.suffix and a.suffix != b.suffix:
        held.append(Guard.GENERATIONS_DIFFER)
    if a.birth_order and b.birth_order and a.birth_order != b.birth_order:
        held.append(Guard.BIRTH_ORDERS_DIFFER)
    return tuple(held)


def is_another(guards: Sequence[Guard]) -> bool:
    """Whether two guards or more hold a pair: then nothing is left to ask a steward, it is a relative or a stranger.

    A shared national identifier is worth asking about whatever else says.
    """
    return len(guards) > 1 and Guard.IDENTIFIER_LENT not in guards


def _name_guards(a: MatchRecord, b: MatchRecord, levels: Sequence[int], shares_national: bool) -> list[Guard]:
    held: list[Guard] = []
    if not a.given or not b.given:
        agrees = levels[_PHONE] == 1 and levels[_MIDDLE] in _MIDDLE_AGREES
        if not agrees and not shares_national:
            held.append(Guard.NO_GIVEN_NAME)
    elif not shares_national and (levels[_GIVEN] == _GIVEN_DIFFERS or _written_otherwise(a, b)):
        held.append(Guard.GIVEN_NAMES_DIFFER)
    if levels[_SEX] == _SEX_DIFFERS:
        held.append(Guard.SEX_DIFFERS)
    if levels[_MIDDLE] == _MIDDLE_DIFFERS:
        held.append(Guard.MIDDLE_NAMES_DIFFER)
    return held


def _written_otherwise(a: MatchRecord, b: MatchRecord) -> bool:
    # Two names of one sound in a script of their own: which of them are one name, a steward can read.
    return a.given == b.given and a.given_native != b.given_native
