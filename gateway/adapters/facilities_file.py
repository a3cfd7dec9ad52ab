"""`facilities.toml`, as operators write it: read as a whole, every problem told at once, or all of it usable."""

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marshmallow import ValidationError
from marshmallow.exceptions import SCHEMA

from gateway.adapters.facility_schema import AUTH_KEYS, FACILITY_KEYS, UNKNOWN, FacilitySchema
from gateway.errors import LoadRefused
from gateway.model import Facility, FacilityID

MOST_BYTES = 1_000_000
_PLACE = re.compile(r"at line (\d+), column (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class FacilitiesFile:
    """The facilities of a file, secrets resolved."""

    facilities: tuple[Facility, ...]
    suspension_stated: frozenset[FacilityID]
    """Those for which the file says whether they are suspended."""


def read_facilities(
    content: bytes, *, environment: Mapping[str, str], folder: Path, production: bool
) -> FacilitiesFile:
    """The facilities in `content`. Raises LoadRefused, which names the facility and the key of every problem.

    `environment` resolves `*_env` keys, `folder` relative file names. No problem quotes a secret.
    """
    document = _parsed(content)
    problems = [
        f"{key}: is not a key of the file; facilities stand under [[facility]]"
        for key in document.keys() - {"facility"}
    ]
    tables = document.get("facility", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise LoadRefused([*problems, "facility: must be written as [[facility]], once for each"])
    if not tables:
        problems.append("the file holds no [[facility]]")
    schema = FacilitySchema(environment=environment, folder=folder, production=production)
    facilities: list[Facility] = []
    for position, table in enumerate(tables, 1):
        try:
            facilities.append(schema.load(table))
        except ValidationError as exc:
            problems += [f"{_name_of(table, position)}: {problem}" for problem in _flat(exc.messages_dict)]
    problems += _duplicates(tables) + _shared_addresses(facilities)
    if problems:
        raise LoadRefused(problems)
    stated = frozenset(one.id for one, table in zip(facilities, tables, strict=True) if "suspended" in table)
    return FacilitiesFile(facilities=tuple(facilities), suspension_stated=stated)


def _parsed(content: bytes) -> dict[str, Any]:
    if len(content) > MOST_BYTES:
        raise LoadRefused([f"the file is longer than {MOST_BYTES} bytes"])
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise LoadRefused(["the file is not UTF-8"]) from None
    except RecursionError:
        raise LoadRefused(["the file is nested too deeply"]) from None
    except tomllib.TOMLDecodeError as exc:
        place = _PLACE.search(str(exc))
        where = f"line {place[1]}, column {place[2]}" if place else "its end"
        raise LoadRefused([f"the file is not TOML: see {where}"]) from None


def _name_of(table: Mapping[str, Any], position: int) -> str:
    id_ = table.get("id")
    return f"facility {id_}" if isinstance(id_, str) and re.fullmatch(r"[ -~]{1,64}", id_) else f"facility #{position}"


def _flat(messages: Mapping[str, Any], path: str = "", known: Sequence[str] = FACILITY_KEYS) -> Iterator[str]:
    for key, found in messages.items():
        place = path.rstrip(".") if key == SCHEMA else f"{path}{key}"
        if isinstance(found, Mapping):
            if all(isinstance(index, int) for index in found):
                yield from (f"{place}: {text}" for texts in found.values() for text in texts)
            else:
                yield from _flat(found, f"{place}.", AUTH_KEYS)
            continue
        for text in found:
            yield f"{place}: {_unknown(str(key), known) if text == UNKNOWN else text}"


def _unknown(key: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"is not a known key; did you mean {near[0]}?" if near else "is not a known key"


def _shared_addresses(facilities: Sequence[Facility]) -> list[str]:
    """A token that is bound to a facility names it by its address: nobody else may have that one."""
    holders: dict[str, list[Facility]] = {}
    for one in facilities:
        holders.setdefault(one.link_url, []).append(one)
    return [
        f"facility {one.id}: link_url: is also that of {others[0]}; a token for one would be good at the other"
        for held in holders.values()
        for one in held
        if one.retrieve != "own" and (others := [other.id for other in held if other.id != one.id])
    ]


def _duplicates(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    positions: dict[str, list[int]] = {}
    for position, table in enumerate(tables, 1):
        if isinstance(table.get("id"), str):
            positions.setdefault(table["id"], []).append(position)
    return [
        f"{_name_of({'id': id_}, where[0])}: id: stands more than once (entries {', '.join(map(str, where))})"
        for id_, where in positions.items()
        if len(where) > 1
    ]
