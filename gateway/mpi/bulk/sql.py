"""The levels of every comparison in SQL, and the table of records they work on: DuckDB's dialect.

Said once in Python (`mpi/comparison.py`) for one pair at a time, and once here for millions at once. The first level
is what is missing, the last is everything else.
"""

from collections.abc import Mapping

from gateway.mpi.comparison import CLOSE, SIMILAR, STREET, Field
from gateway.mpi.match_record import MatchRecord

_LISTS = tuple(name for name, value in MatchRecord()._asdict().items() if isinstance(value, tuple))
COLUMNS: Mapping[str, str] = {
    **{name: "VARCHAR[]" if name in _LISTS else "VARCHAR" for name in MatchRecord._fields},
    "newborn": "BOOLEAN",
    "birth_order": "INTEGER",
}
"""Of the table that holds records, besides `unique_id`."""


def _both(column: str) -> str:
    return f"({column}_l <> '' and {column}_r <> '')"


def _either_missing(column: str) -> str:
    return f"({column}_l = '' or {column}_r = '')"


def _equal(column: str) -> str:
    return f"{column}_l = {column}_r"


def _meet(column: str) -> str:
    return f"list_has_any({column}_l, {column}_r)"


def _alike(column: str, least: float) -> str:
    return f"jaro_winkler_similarity({column}_l, {column}_r) >= {least}"


def _written_otherwise(column: str) -> str:
    return f"({_both(column)} and {column}_l <> {column}_r)"


_FILLED = " and ".join(f"{name} <> ''" for name in ("given_l", "given_r", "family_l", "family_r"))
_SWAPPED = (
    f"({_FILLED} and given_l <> given_r and "
    f"((given_l = family_r and jaro_winkler_similarity(family_l, given_r) >= {SIMILAR}) or "
    f"(given_l <> family_r and family_l = given_r and jaro_winkler_similarity(given_l, family_r) >= {SIMILAR})))"
)
_WHOLE_NAMES = "length(given_l) > 1 and length(given_r) > 1"
_OTHER_NAMES = f"{_WHOLE_NAMES} and given_l <> given_r"
_WHOLE_DATES = "length(birth_date_l) = 8 and length(birth_date_r) = 8"
_KNOWN = "least(length(birth_date_l), length(birth_date_r))"


def _part(start: int, length: int) -> tuple[str, str]:
    return (f"substr(birth_date_l, {start}, {length})", f"substr(birth_date_r, {start}, {length})")


_YEAR, _MONTH, _DAY = _part(1, 4), _part(5, 2), _part(7, 2)
_SAME_YEAR = f"{_YEAR[0]} = {_YEAR[1]}"
_PARTS = " + ".join(f"({one} = {other})::integer" for one, other in (_YEAR, _MONTH, _DAY))

CONDITIONS: Mapping[Field, tuple[str, ...]] = {
    "given": (
        _either_missing("given"),
        f"{_equal('given')} and not {_written_otherwise('given_native')}",
        _SWAPPED,
        f"{_OTHER_NAMES} and {_meet('given_forms')}",
        f"{_OTHER_NAMES} and (list_contains(givens_r, given_l) or list_contains(givens_l, given_r))",
        f"not ({_WHOLE_NAMES}) and given_l <> given_r and given_l[1] = given_r[1]",
        f"{_OTHER_NAMES} and {_alike('given', CLOSE)}",
        f"{_equal('given')} or ({_OTHER_NAMES} and {_alike('given', SIMILAR)})",
    ),
    "family": (
        f"{_either_missing('family')} or {_SWAPPED}",
        f"{_equal('family')} and not {_written_otherwise('family_native')}",
        f"family_l <> family_r and {_meet('families')}",
        f"family_l <> family_r and {_alike('family', CLOSE)}",
        f"{_equal('family')} or {_alike('family', SIMILAR)}",
        "family_l = given_r or family_r = given_l",
    ),
    "middle": (
        f"{_either_missing('middle')} or middle_l = given_r or middle_r = given_l",
        _equal("middle"),
        "middle_l[1] = middle_r[1]",
    ),
    "birth_date": (
        _either_missing("birth_date"),
        f"{_equal('birth_date')} and length(birth_date_l) = 8 and substr(birth_date_l, 5) = '0101'",
        f"{_equal('birth_date')} and length(birth_date_l) = 8",
        f"{_WHOLE_DATES} and {_SAME_YEAR} and {_MONTH[0]} = {_DAY[1]} and {_DAY[0]} = {_MONTH[1]}",
        f"{_WHOLE_DATES} and damerau_levenshtein(birth_date_l, birth_date_r) <= 1",
        f"not ({_WHOLE_DATES}) and left(birth_date_l, {_KNOWN}) = left(birth_date_r, {_KNOWN})",
        f"{_WHOLE_DATES} and {_PARTS} = 2",
        _SAME_YEAR,
    ),
    "sex": (_either_missing("sex"), _equal("sex")),
    "phone": ("len(phones_l) = 0 or len(phones_r) = 0", _meet("phones")),
    "email": ("len(emails_l) = 0 or len(emails_r) = 0", _meet("emails")),
    "address": (
        _either_missing("street"),
        _meet("homes"),
        _meet("doors"),
        f"number_l <> '' and {_equal('number')} and {_alike('street', STREET)}",
        _alike("street", STREET),
        f"number_l <> '' and {_equal('number')}",
    ),
    "unit": (_either_missing("unit"), _equal("unit"), _alike("unit", STREET)),
    "place": (
        f"{_meet('homes')} or (postcode_l = '' and city_l = '') or (postcode_r = '' and city_r = '')",
        f"postcode_l <> '' and {_equal('postcode')} and {_both('city')} and {_alike('city', STREET)}",
        f"postcode_l <> '' and {_equal('postcode')}",
        f"city_l <> '' and {_equal('city')}",
        f"({_both('city')} and {_alike('city', STREET)}) or "
        f"({_both('postcode')} and damerau_levenshtein(postcode_l, postcode_r) <= 1)",
    ),
    "national": (
        f"not {_meet('national')} and not {_meet('identifiers')} and not {_meet('national_systems')}",
        f"{_meet('national')} or {_meet('identifiers')}",
        "damerau_levenshtein(national_l[1], national_r[1]) <= 1",
    ),
}
"""The condition of each level but the last."""
