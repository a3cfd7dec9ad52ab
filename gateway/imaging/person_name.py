"""How a DICOM person name (PN, PS3.5 §6.2.1) reads."""

from collections.abc import Mapping
from typing import Any

from gateway.imaging.dicom_json import Row, clean, values

_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_LONGEST_NAME = 256


def groups_of(row: Row, tag: str) -> list[str]:
    """The first name's component groups that say anything: alphabetic, ideographic, phonetic, in this order.

    A name is an object of groups (PS3.18 §F.2.2) or, from some archives, the string with `=` between them.
    """
    for value in values(row, tag):
        found = [words for group in _raw_groups(value) if (words := clean(group, _LONGEST_NAME)).strip("^ ")]
        if found:
            return found
    return []


def _raw_groups(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return [value.get(group) for group in _GROUPS]
    return value.split("=") if isinstance(value, str) else []


def readable_name(row: Row, tag: str) -> str | None:
    """The name as people write it in a list, `Family, Given Middle`, or None where there is none."""
    groups = groups_of(row, tag)
    if not groups:
        return None
    family, given, middle, *_ = (part.strip() for part in groups[0].split("^") + ["", ""])
    first_names = " ".join(part for part in (given, middle) if part)
    return ", ".join(part for part in (family, first_names) if part) or None


def family_names(row: Row, tag: str) -> tuple[str, ...]:
    """The family name in each group that has one."""
    families = (group.split("^", 1)[0].strip() for group in groups_of(row, tag))
    return tuple(family for family in families if family)
