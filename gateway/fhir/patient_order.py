"""In which order are Patients told? Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.fhir.paging import Place
from gateway.mpi.demographics import fold
from gateway.mpi.normalise_name import stated_parts
from gateway.mpi.patient_query import birth_moment

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AN_INSTANT = timedelta(microseconds=1)
_LAST_LETTER = 0x10FFFF
_LAST = chr(_LAST_LETTER)
_LAST_TIME = 2**62


def place_of(resource: Mapping[str, Any], sort: Sequence[tuple[str, bool]]) -> Place:
    """What orders Patients by `sort` (each key with whether it descends) when compared ascending; no two are equal.

    Names are compared as they are searched. A Patient without the value comes last either way.
    """
    return *[_place(resource, key, descends) for key, descends in sort], resource["id"]


def _place(resource: Mapping[str, Any], key: str, descends: bool) -> int | str:
    if key in ("family", "given"):
        return _name_place(resource, key, descends)
    if key == "birthdate":
        born = birth_moment(resource.get("birthDate"))
        at = born.start if born else None
    else:
        at = datetime.fromisoformat(resource["meta"]["lastUpdated"])
    if at is None:
        return _LAST_TIME
    place = (at - _EPOCH) // _AN_INSTANT
    return -place if descends else place


def _name_place(resource: Mapping[str, Any], key: str, descends: bool) -> str:
    family, given, _ = stated_parts((resource.get("name") or [{}])[0])
    name = fold(family if key == "family" else " ".join(given))
    if not name:
        return _LAST
    # Each letter by its distance from the last one, and the end of a name after every letter.
    return "".join(chr(_LAST_LETTER - 1 - ord(letter)) for letter in name) + _LAST if descends else name
