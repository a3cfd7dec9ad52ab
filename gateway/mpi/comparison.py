"""How alike two records are, field by field: a level for each comparison, best first. Pure.

The first level of each comparison says that nothing can be said: its weight is 0. The levels are those of
Fellegi and Sunter (J Am Stat Assoc 1969;64:1183) as Splink holds them, so `bulk/sql.py` says each of them in SQL, and a
test holds the two together pair by pair. `MISSING` is level 0 of every comparison.
"""

from collections.abc import Callable, Mapping
from typing import Literal

from rapidfuzz.distance import DamerauLevenshtein, JaroWinkler

from gateway.mpi.match_record import MatchRecord

Field = Literal[
    "given", "family", "middle", "birth_date", "sex", "phone", "email", "address", "unit", "place", "national"
]
LevelOf = Callable[[MatchRecord, MatchRecord], int]

MISSING = 0
CLOSE = 0.92
SIMILAR = 0.85
STREET = 0.9

GIVEN = ("missing", "same", "swapped", "nickname", "other_name", "initial", "close", "similar", "different")
FAMILY = ("missing", "same", "other_name", "close", "similar", "as_given_name", "different")
MIDDLE = ("missing", "same", "initial", "different")
BIRTH_DATE = (
    *("missing", "same_first_of_year", "same", "swapped", "typo", "as_far_as_known"),
    *("two_parts", "year", "different"),
)
SEX = ("missing", "same", "different")
PHONE = ("missing", "same", "different")
EMAIL = ("missing", "same", "different")
ADDRESS = ("missing", "home", "door", "similar", "street", "number", "different")
UNIT = ("missing", "same", "similar", "different")
PLACE = ("missing", "postcode_and_city", "postcode", "city", "similar", "different")
NATIONAL = ("missing", "same", "typo", "different")

LEVELS: Mapping[Field, tuple[str, ...]] = {
    "given": GIVEN,
    "family": FAMILY,
    "middle": MIDDLE,
    "birth_date": BIRTH_DATE,
    "sex": SEX,
    "phone": PHONE,
    "email": EMAIL,
    "address": ADDRESS,
    "unit": UNIT,
    "place": PLACE,
    "national": NATIONAL,
}

# Without a score_cutoff: with one, a pair that is at the very edge of a level may fall off it, and Splink's doesn't.
_likeness = JaroWinkler.normalized_similarity


def _meet(some: tuple[str, ...], others: tuple[str, ...]) -> bool:
    # A loop costs a third of what any() over a generator does, and this is called ten times a pair.
    for one in some:  # noqa: SIM110
        if one in others:
            return True
    return False


def swapped(a: MatchRecord, b: MatchRecord) -> bool:
    """Whether given and family name are each other's, one of them letter by letter and the other alike."""
    if a.given == b.family != "":
        return bool(a.family and b.given) and a.given != b.given and _likeness(a.family, b.given) >= SIMILAR
    if a.family == b.given != "":
        return bool(a.given and b.family) and a.given != b.given and _likeness(a.given, b.family) >= SIMILAR
    return False


def given_level(a: MatchRecord, b: MatchRecord) -> int:
    """Which of GIVEN holds for the first given names."""
    one, other = a.given, b.given
    if not one or not other:
        return 0
    if one == other:
        # The same key of two other spellings in one script is another name that sounds alike.
        return 7 if a.given_native and b.given_native and a.given_native != b.given_native else 1
    if swapped(a, b):
        return 2
    if len(one) == 1 or len(other) == 1:
        return 5 if one[0] == other[0] else 8
    if _meet(a.given_forms, b.given_forms):
        return 3
    if one in b.givens or other in a.givens:
        return 4
    alike = _likeness(one, other)
    return 6 if alike >= CLOSE else 7 if alike >= SIMILAR else 8


def family_level(a: MatchRecord, b: MatchRecord) -> int:
    """Which of FAMILY holds; what the given name's `swapped` has said isn't said again."""
    one, other = a.family, b.family
    if not one or not other or swapped(a, b):
        return 0
    if one == other:
        return 4 if a.family_native and b.family_native and a.family_native != b.family_native else 1
    if _meet(a.families, b.families):
        return 2
    alike = _likeness(one, other)
    if alike >= SIMILAR:
        return 3 if alike >= CLOSE else 4
    return 5 if one == b.given or other == a.given else 6


def middle_level(a: MatchRecord, b: MatchRecord) -> int:
    """Which of MIDDLE holds; nothing is said where it is the other's first given name, told in another order."""
    one, other = a.middle, b.middle
    if not one or not other or one == b.given or other == a.given:
        return 0
    if one == other:
        return 1
    return 2 if one[0] == other[0] else 3


def birth_date_level(a: MatchRecord, b: MatchRecord) -> int:
    """Which of BIRTH_DATE holds."""
    one, other = a.birth_date, b.birth_date
    if not one or not other:
        return 0
    if one == other and len(one) == 8:
        return 1 if one[4:] == "0101" else 2
    known = min(len(one), len(other))
    if known < 8:
        return 5 if one[:known] == other[:known] else 7 if one[:4] == other[:4] else 8
    return _whole_dates(one, other)


def _whole_dates(one: str, other: str) -> int:
    year, month, day = one[:4] == other[:4], one[4:6], one[6:]
    same = year + (month == other[4:6]) + (day == other[6:])
    if not same:
        # One mistake touches two of the three parts at most, and a swap leaves the year.
        return 8
    if year and month == other[6:] and day == other[4:6]:
        return 3
    if _typo(one, other):
        return 4
    if same == 2:
        return 6
    return 7 if year else 8


def sex_level(a: MatchRecord, b: MatchRecord) -> int:
    """Which of SEX holds."""
    if not a.sex or not b.sex:
        return 0
    return 1 if a.sex == b.sex else 2


def phone_level(a: MatchRecord, b: MatchRecord) -> int:
    """Which of PHONE holds: `same` where any number is shared."""
    if not a.phones or not b.phones:
        return 0
    return 1 if _meet(a.phones, b.phones) else 2


def email_level(a: MatchRecord, b: MatchRecord) -> int:
    """Which of EMAIL holds: `same` where any address is shared."""
    if not a.emails or not b.emails:
        return 0
    return 1 if _meet(a.emails, b.emails) else 2


def address_level(a: MatchRecord, b: MatchRecord) -> int:
    """Which of ADDRESS holds: former homes count for `home` and `door`, the current one for the others."""
    if not a.street or not b.street:
        return 0
    if _meet(a.homes, b.homes):
        return 1
    if _meet(a.doors, b.doors):
        return 2
    numbered = a.number == b.number != ""
    if _likeness(a.street, b.street) >= STREET:
        return 3 if numbered else 4
    return 5 if numbered else 6


def unit_level(a: MatchRecord, b: MatchRecord) -> int:
    """Which of UNIT holds: in a house of two hundred flats the house says little."""
    one, other = a.unit, b.unit
    if not one or not other:
        return 0
    if one == other:
        return 1
    return 2 if _likeness(one, other) >= STREET else 3


def place_level(a: MatchRecord, b: MatchRecord) -> int:
    """Which of PLACE holds; two records of one home are in one place, which isn't said twice."""
    if _meet(a.homes, b.homes) or not (a.postcode or a.city) or not (b.postcode or b.city):
        return 0
    alike = bool(a.city and b.city) and _likeness(a.city, b.city) >= STREET
    if a.postcode == b.postcode != "":
        return 1 if alike else 2
    if a.city == b.city != "":
        return 3
    return 4 if alike or (a.postcode and b.postcode and _typo(a.postcode, b.postcode)) else 5


def _typo(one: str, other: str) -> bool:
    # Of three letters or more, one mistake leaves the first or the last as it is: most strangers are told by that.
    if one[0] != other[0] and one[-1] != other[-1]:
        return False
    return DamerauLevenshtein.distance(one, other, score_cutoff=1) <= 1


def national_level(a: MatchRecord, b: MatchRecord) -> int:
    """Which of NATIONAL holds, of identifiers that name one person; any other identifier shared is `same` too."""
    if _meet(a.national, b.national) or _meet(a.identifiers, b.identifiers):
        return 1
    if not _meet(a.national_systems, b.national_systems):
        return 0
    return 2 if _typo(a.national[0], b.national[0]) else 3


LEVEL_OF: Mapping[Field, LevelOf] = {
    "given": given_level,
    "family": family_level,
    "middle": middle_level,
    "birth_date": birth_date_level,
    "sex": sex_level,
    "phone": phone_level,
    "email": email_level,
    "address": address_level,
    "unit": unit_level,
    "place": place_level,
    "national": national_level,
}
