"""Is a Patient of the common shape, so that nothing needs a closer look? Pure.

Most Patients of a load hold names, contacts, addresses and identifiers and nothing unusual. For those, what FHIR R4
asks is seen at a glance; whatever else there is goes to the validator of all of FHIR. What passes here passes there (a
property test holds the two together), so the verdict on a Patient never depends on which of the two saw it.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

_DATE = re.compile(r"(?!0000)\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_MOST_TEXT = 1000
_MOST_ITEMS = 50
_DAYS_OF_EVERY_MONTH = 28
Check = Callable[[Any], bool]


def is_plain(resource: Mapping[str, Any]) -> bool:
    """Whether `resource` is surely a valid Patient. False says nothing: it needs a closer look."""
    return _all(resource, _PATIENT) and "resourceType" in resource


def _all(element: Mapping[str, Any], checks: Mapping[str, Check]) -> bool:
    for name, value in element.items():
        check = checks.get(name)
        if check is None or not check(value):
            return False
    return bool(element)


def _text(value: Any) -> bool:
    # Printable: no control character, no line or paragraph separator, no white space but a space.
    return type(value) is str and 0 < len(value) <= _MOST_TEXT and value.isprintable() and not value.isspace()


def _word(value: Any) -> bool:
    return _text(value) and value.isascii() and " " not in value


def _one_of(*words: str) -> Check:
    allowed = frozenset(words)
    return lambda value: type(value) is str and value in allowed


def _texts(value: Any) -> bool:
    return type(value) is list and 0 < len(value) <= _MOST_ITEMS and all(map(_text, value))


def _list_of(checks: Mapping[str, Check]) -> Check:
    def check(value: Any) -> bool:
        if type(value) is not list or not 0 < len(value) <= _MOST_ITEMS:
            return False
        return all(type(one) is dict and _all(one, checks) for one in value)

    return check


def _born(value: Any) -> bool:
    if type(value) is not str or not _DATE.fullmatch(value):
        return False
    if int(value[8:]) <= _DAYS_OF_EVERY_MONTH:
        return True
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _flag(value: Any) -> bool:
    return type(value) is bool


def _small_number(value: Any) -> bool:
    return type(value) is int and 0 < value < 100


_PATIENT: Mapping[str, Check] = {
    "resourceType": _one_of("Patient"),
    "id": lambda value: type(value) is str and _ID.fullmatch(value) is not None,
    "active": _flag,
    "identifier": _list_of(
        {"use": _one_of("usual", "official", "temp", "secondary", "old"), "system": _word, "value": _text}
    ),
    "name": _list_of(
        {
            "use": _one_of("usual", "official", "temp", "nickname", "anonymous", "old", "maiden"),
            **dict.fromkeys(("text", "family"), _text),
            **dict.fromkeys(("given", "prefix", "suffix"), _texts),
        }
    ),
    "telecom": _list_of(
        {
            "system": _one_of("phone", "fax", "email", "pager", "url", "sms", "other"),
            "use": _one_of("home", "work", "temp", "old", "mobile"),
            "value": _text,
        }
    ),
    "gender": _one_of("male", "female", "other", "unknown"),
    "birthDate": _born,
    "deceasedBoolean": _flag,
    "address": _list_of(
        {
            "use": _one_of("home", "work", "temp", "old", "billing"),
            "type": _one_of("postal", "physical", "both"),
            "line": _texts,
            **dict.fromkeys(("text", "city", "district", "state", "postalCode", "country"), _text),
        }
    ),
    "multipleBirthInteger": _small_number,
}
