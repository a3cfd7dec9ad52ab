"""`groups.toml`: organisations and users that a Consent may name as a whole, as operators write it. Pure."""

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.consent.fhir_reference import FacilityNames
from gateway.errors import LoadRefused

_ID = re.compile(r"[a-z0-9-]{1,32}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")
_USER = re.compile(r"(?:(?:Practitioner|PractitionerRole|RelatedPerson|Device)/|[A-Za-z][A-Za-z0-9+.-]*:)[!-~]+")
_LISTS = ("names", "organizations", "users")
_KEYS = frozenset(("id", "name", *_LISTS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Organisations and users that belong together."""

    id: str
    name: str
    names: tuple[str, ...] = ()
    """What else a Consent may call it: the URI of an umbrella organisation, or `system|value`."""
    organizations: tuple[str, ...] = ()
    """As clients are registered for them: facility ids and URIs."""
    users: tuple[str, ...] = ()
    """As clients state them: references, URIs and `system|value`."""

    @property
    def reference(self) -> str:
        """`Group/{id}`."""
        return f"Group/{self.id}"

    @property
    def members(self) -> frozenset[str]:
        """Every member, by the names that a caller has. No user's own words name an organisation."""
        return frozenset((*(f"Organization/{one}" for one in self.organizations), *self.users))


def group_names(groups: Sequence[Group], fhir_base: str = "") -> dict[str, str]:
    """Each group by everything a Reference may call it."""
    names: dict[str, str] = {}
    for group in groups:
        names |= dict.fromkeys((group.reference, f"Organization/{group.id}", *group.names), group.reference)
        if fhir_base:
            names |= {f"{fhir_base}/{kind}/{group.id}": group.reference for kind in ("Group", "Organization")}
    return names


def read_groups(content: bytes, facilities: FacilityNames) -> tuple[Group, ...]:
    """The groups in `content` (TOML). Raises LoadRefused that lists what is wrong with each.

    An organisation that is a facility by another name is that facility too; one written as an id has to be one.
    """
    try:
        document = tomllib.loads(content.decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError):
        raise LoadRefused(["the file is not TOML"]) from None
    problems = [f"{key}: is not a key of the file; groups stand under [[group]]" for key in document if key != "group"]
    tables = document.get("group", [])
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise LoadRefused([*problems, "group: must be written as [[group]], once for each"])
    groups: list[Group] = []
    for position, table in enumerate(tables, 1):
        found = list(_problems_of(table, facilities))
        problems += [f"group {_called(table, position)}: {problem}" for problem in found]
        if not found:
            groups.append(_group(table, facilities))
    problems += clashes(groups)
    if problems:
        raise LoadRefused(problems)
    return tuple(groups)


def clashes(groups: Sequence[Group], others: Collection[Group] = ()) -> list[str]:
    """The names by which two groups are called: whom a Consent means by one couldn't be told."""
    taken = {name: other.id for other in others for name in group_names([other])}
    problems = []
    for group in groups:
        for name in group_names([group]):
            if name in taken:
                problems.append(f"group {group.id}: {name} is a name of the group {taken[name]}")
            taken[name] = group.id
    return problems


def _problems_of(table: Mapping[str, Any], facilities: FacilityNames) -> Iterator[str]:
    yield from (f"{key}: is not a known key" for key in table if key not in _KEYS)
    id_ = table.get("id")
    if not isinstance(id_, str) or not _ID.fullmatch(id_):
        yield "id: is made of a-z, 0-9 and -, at most 32"
    elif f"Organization/{id_}" in facilities:
        yield "id: is a facility's"
    if not isinstance(table.get("name"), str) or not table["name"].strip():
        yield "name: is missing"
    lists = {key: table.get(key, []) for key in _LISTS}
    wrong = [key for key, values in lists.items() if not _is_texts(values)]
    yield from (f"{key}: is a list of texts" for key in wrong)
    if not wrong:
        yield from _problems_of_lists(lists, facilities)


def _is_texts(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(one, str) for one in values)


def _problems_of_lists(lists: Mapping[str, list[str]], facilities: FacilityNames) -> Iterator[str]:
    if not lists["organizations"] and not lists["users"]:
        yield "has no members: organizations, users or both"
    for name in lists["names"]:
        if not _NAME.fullmatch(name):
            yield "names: a URI, or system|value"
        elif name in facilities:
            yield f"names: {name} is a facility's"
    for one in lists["organizations"]:
        if not _NAME.fullmatch(one) and f"Organization/{one}" not in facilities:
            yield f"organizations: {one} is neither a facility nor a URI"
    if not all(_USER.fullmatch(one) for one in lists["users"]):
        yield "users: a reference (Practitioner/…), a URI, or system|value"


def _called(table: Mapping[str, Any], position: int) -> str:
    id_ = table.get("id")
    return id_ if isinstance(id_, str) and _ID.fullmatch(id_) else f"#{position}"


def _group(table: Mapping[str, Any], facilities: FacilityNames) -> Group:
    organizations = table.get("organizations", ())
    also = [facilities[one] for one in organizations if one in facilities]
    return Group(
        id=table["id"],
        name=table["name"].strip(),
        names=tuple(dict.fromkeys(table.get("names", ()))),
        organizations=tuple(dict.fromkeys((*organizations, *also))),
        users=tuple(dict.fromkeys(table.get("users", ()))),
    )
