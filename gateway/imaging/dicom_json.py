"""What an attribute of a DICOM JSON object says (PS3.18 Annex F), whatever the archive made of it.

Archives leave out `vr` and `Value`, write null for an empty value, a string for a number, a bare value for a list, one
string with backslashes for several values. All of that is read; what can't be read is as if it were absent.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

Row = Mapping[str, Any]

LONGEST_TEXT = 1024
"""Longer words are cut. DICOM's own limits (64 for LO) are exceeded in the field, and what is beyond is still true."""
LONGEST_CODE = 64
LONGEST_TOKEN = LONGEST_CODE + 2
"""With its padding."""
GREATEST = 2**31 - 1
"""What FHIR's unsignedInt can hold."""
_WHOLE = re.compile(r"\+?[0-9]{1,10}(?:\.0*)?")

_TO_SPACE = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029], " ")
_TO_NOTHING = dict.fromkeys(
    [*range(0xD800, 0xE000), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0xFEFF, 0xFFFE, 0xFFFF]
)
_CLEANING: dict[int, str | None] = {**_TO_SPACE, **_TO_NOTHING}


def values(row: Row, tag: str) -> Sequence[Any]:
    """Every value of the attribute, as the JSON has it; empty where it is absent."""
    attribute = row.get(tag)
    return () if attribute is None else _listed(attribute)


def _listed(attribute: Any) -> Sequence[Any]:
    found = attribute.get("Value") if type(attribute) is dict else attribute
    if type(found) is list:
        return found
    return () if found is None else (found,)


def clean(value: Any, most: int = LONGEST_TEXT) -> str:
    """`value` as words that are safe in FHIR and on a screen, at most `most` characters; empty if it has none.

    Control characters become spaces; lone surrogates (no UTF-8 can hold them) and marks that turn the direction of
    text around vanish.
    """
    if type(value) is not str:
        if type(value) is not int or abs(value) > 10**18:
            return ""
        value = str(value)
    words: str = value.strip(" \0")
    if not words.isprintable():
        words = " ".join(words.translate(_CLEANING).split())
    return words if len(words) <= most else words[:most].rstrip()


def text(row: Row, tag: str, most: int = LONGEST_TEXT) -> str | None:
    """The first value of the attribute that says anything, cleaned, or None."""
    attribute = row.get(tag)
    if attribute is None:
        return None
    found = attribute.get("Value") if type(attribute) is dict else attribute
    # Nearly every attribute is one printable string; it needs no more than its padding taken off.
    if type(found) is list and len(found) == 1 and type(one := found[0]) is str and one.isprintable():
        if words := one.strip(" "):
            return words if len(words) <= most else words[:most].rstrip()
        return None
    for value in _listed(attribute):
        if words := clean(value, most):
            return words
    return None


def token(row: Row, tag: str) -> str | None:
    """The first value of the attribute if it is a short string, unpadded: for what is parsed, not shown."""
    attribute = row.get(tag)
    if attribute is None:
        return None
    found = attribute.get("Value") if type(attribute) is dict else attribute
    if type(found) is not list:
        found = _listed(attribute)
    if not found or type(value := found[0]) is not str or len(value) > LONGEST_TOKEN:
        return None
    return value.strip(" \0")


def exact(row: Row, tag: str, most: int = LONGEST_CODE) -> str | None:
    """The first value of the attribute as an identifier: a part would name another thing, so it is never cut."""
    words = text(row, tag, most + 1)
    return words if words is None or len(words) <= most else None


def texts(row: Row, tag: str) -> list[str]:
    """All values of a short coded attribute."""
    return list(_coded(values(row, tag)))


@lru_cache(maxsize=1024)
def coded(stated: tuple[str, ...]) -> tuple[str, ...]:
    """The values of a short coded attribute, cleaned; a string that holds several is taken apart at its backslashes."""
    return _coded(stated)


def _coded(stated: Sequence[Any]) -> tuple[str, ...]:
    found: list[str] = []
    for value in stated:
        parts = value.split("\\") if type(value) is str and "\\" in value else (value,)
        found += [words for part in parts if (words := clean(part, LONGEST_CODE))]
    return tuple(found)


def count(row: Row, tag: str) -> int | None:
    """The attribute as a whole number that FHIR's unsignedInt can hold, or None."""
    attribute = row.get(tag)
    if attribute is None:
        return None
    for value in _listed(attribute):
        number = value if type(value) is int else whole_number(value)
        if number is not None and 0 <= number <= GREATEST:
            return number
    return None


def whole_number(value: Any) -> int | None:
    """The whole number that an archive wrote as a string or with a fraction of nothing, or None."""
    if type(value) is float:
        return int(value) if value.is_integer() else None
    if type(value) is str and _WHOLE.fullmatch(value := value.strip(" \0")):
        return int(value.partition(".")[0])
    return None


def items(row: Row, tag: str) -> list[Row]:
    """The items of a sequence attribute, those that are no JSON objects left out."""
    return [item for item in values(row, tag) if type(item) is dict]
