"""How a DICOM person name (PN, PS3.5 §6.2.1) reads."""

from collections.abc import Sequence
from functools import lru_cache

from gateway.imaging.dicom_json import Row, clean, values

_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_LONGEST_NAME = 256


def readable_name(row: Row, tag: str) -> str | None:
    """The name as people write it in a list, `Family, Given Middle`, or None where there is none."""
    return read_name(_groups(row, tag))


def family_names(row: Row, tag: str) -> tuple[str, ...]:
    """The family name in each group that has one."""
    return read_families(_groups(row, tag))


@lru_cache(maxsize=1024)
def read_plain_name(groups: tuple[str, ...]) -> str | None:
    """`read_name` of groups as a row has them. Few physicians refer many studies."""
    return read_name(cleaned_groups(groups))


def cleaned_groups(groups: Sequence[str]) -> list[str]:
    """The groups as they may be shown and compared."""
    return [clean(group, _LONGEST_NAME) for group in groups]


def read_name(groups: Sequence[str]) -> str | None:
    """The first of the groups that names anybody, as people write it, `Family, Given Middle`."""
    for group in groups:
        family, _, others = group.partition("^")
        given, _, others = others.partition("^")
        middle = others.partition("^")[0]
        first_names = f"{given} {middle}".strip()
        if family and first_names:
            return f"{family.strip()}, {first_names}"
        if family or first_names:
            return family.strip() or first_names
    return None


def read_families(groups: Sequence[str]) -> tuple[str, ...]:
    """The family name in each group that has one."""
    families = [group.partition("^")[0].strip() for group in groups]
    return tuple([family for family in families if family])


def _groups(row: Row, tag: str) -> list[str]:
    """The component groups of the first name: alphabetic, ideographic, phonetic, in this order.

    A name is an object of groups (PS3.18 §F.2.2) or, from some archives, the string with `=` between them.
    """
    found: list[str] = []
    for value in values(row, tag):
        if type(value) is dict:
            found += cleaned_groups([value[group] for group in _GROUPS if group in value])
        elif type(value) is str:
            found += cleaned_groups(value.split("="))
    return found
