"""A search on Patient finds those, and only those, that looking at everybody would find; whatever is asked for."""

import random
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from gateway.db.crypto import KeyRing
from gateway.db.session import open_database
from gateway.db.upgrade import upgrade_to_head
from gateway.disclosure import Request
from gateway.errors import TooCostly
from gateway.fhir.patient_face import PatientFace
from gateway.fhir.query_string import Pairs
from gateway.mpi.patient_finder import PatientFinder
from gateway.mpi.patient_query import MOTHERS_MAIDEN_NAME
from tests.factories import a_facility, a_requester
from tests.factories_mpi import EAST, INSURANCE, NATIONAL, NORTH, SOUTH, STRONG, Index, a_patient
from tests.fakes import FakeFacilities, FakeRooms

BASE = "https://gateway.example/fhir/r4"
FAMILIES = ("Rivera", "Rivera-López", "rivero", "Smith", "Smithson", "Lee", "Leeds", "O'Brien", "Ng", "Étienne", "山田")
GIVENS = ("Ana", "Anne Marie", "Ánna", "Bo", "Bob", "Jo", "Joséphine", "Zoë")
CITIES = ("Oldham", "Old Harbour", "Zürich", "Köln", "Bath")
LINES = ("17 Quarry Lane", "17 Quarry Road", "1 High Street", "Rose Cottage", "12345678 Long Street")
POSTCODES = ("4512", "45129", "SW1A 1AA", "8001")
COUNTRIES = ("CH", "GB", "Switzerland")
BIRTHS = ("1980", "1980-02", "1980-02-03", "1980-02-28", "1980-03-01", "1981-02-03", "1955-12-31", "2000-02-29")
PHONES = ("+41 44 765 43 21", "044 765 43 21", "0161 496 0000", "a.rivera@example.org", "A.Rivera@Example.org")
FIELDS = ("family", "given", "address", "address-city", "address-country", "address-postalcode", "mothersMaidenName")
RECORDS = 110


def _some(rng: random.Random, values: tuple[str, ...], most: int = 2) -> list[str]:
    return rng.sample(values, rng.randint(0, most))


def _a_record(rng: random.Random, number: int) -> dict[str, Any]:
    system = rng.choice((NORTH, SOUTH, EAST))
    patient = a_patient(
        f"R-{number}",
        system=system,
        family=None,
        given=(),
        birth_date=rng.choice((*BIRTHS, None)),
        national=[f"N-{rng.randint(1, 90)}"] if rng.random() < 0.5 else (),
        active=rng.choice((True, True, True, None, False)),
        gender=rng.choice(("female", "male", "other")),
    )
    if rng.random() < 0.5:
        patient["identifier"].append({"system": INSURANCE, "value": f"I-{rng.randint(1, 40)}"})
    patient["name"] = [
        {"family": rng.choice(FAMILIES), **({"given": given} if (given := _some(rng, GIVENS)) else {})}
        for _ in range(rng.randint(1, 2))
    ]
    patient["telecom"] = [
        {"system": "email" if "@" in one else "phone", "value": one, "use": "home"} for one in _some(rng, PHONES)
    ]
    patient["address"] = [
        {
            "line": [rng.choice(LINES)],
            "city": rng.choice(CITIES),
            "postalCode": rng.choice(POSTCODES),
            "country": rng.choice(COUNTRIES),
        }
        for _ in range(rng.randint(0, 2))
    ]
    if rng.random() < 0.3:
        patient["extension"] = [{"url": MOTHERS_MAIDEN_NAME, "valueString": rng.choice(FAMILIES)}]
    return {name: value for name, value in patient.items() if value not in (None, [])}


class World:
    """An index of many records, and the same records as a list."""

    def __init__(self, engine: Engine, keys: KeyRing) -> None:
        rng = random.Random(20)
        self.records = [_a_record(rng, number) for number in range(RECORDS)]
        index = Index(engine, keys)
        index.save(*self.records)
        facilities = FakeFacilities()
        facilities.add(a_facility("north", identifier_system=NORTH))
        facilities.add(a_facility("south", identifier_system=SOUTH))  # east is nobody's: nothing of it is shown
        self.rooms = FakeRooms(facilities=facilities)
        self.rooms.mpi = self.rooms.records = index.patients  # type: ignore[assignment]
        self.finder = PatientFinder(engine, keys)
        self.engine, self.keys = engine, keys
        self.persons: dict[str, list[dict[str, Any]]] = {}
        for record in self.records:
            own = record["identifier"][0]
            if record.get("active", True) and (found := index.find(own["system"], own["value"])):
                self.persons.setdefault(found.id, []).append(record)

    def face(self, finder: PatientFinder | None = None) -> PatientFace:
        """The face over this index."""
        return PatientFace(
            rooms=self.rooms.rooms, finder=finder or self.finder, keys=self.keys, base=BASE, strong_systems=STRONG
        )

    def ask(self, pairs: Pairs, count: int) -> tuple[int, list[str]]:
        """The total, and the ids on all pages in order."""
        request = Request(kind="patient-search", raw="GET …", id="r-1")
        bundle = self.face().search((*pairs, ("_count", str(count))), a_requester(), request, strict=True).bundle
        ids: list[str] = []
        for _ in range(RECORDS):
            entries = bundle.get("entry", [])
            ids += [entry["resource"]["id"] for entry in entries if entry["search"]["mode"] == "match"]
            following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
            if not following:
                return bundle["total"], ids
            page = tuple(parse_qsl(urlsplit(following[0]).query))
            bundle = self.face().search(page, a_requester(), request, strict=True).bundle
        raise AssertionError("the pages never end")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, keys: KeyRing) -> Iterator[World]:
    """Once for all examples: searching changes nothing of it."""
    engine = open_database(f"sqlite:///{tmp_path_factory.mktemp('search') / 'index.db'}")
    upgrade_to_head(engine)
    yield World(engine, keys)
    engine.dispose()


def _plain(text: str) -> str:
    """As a person would compare: letters and digits, no accents, no case."""
    return "".join(c for c in unicodedata.normalize("NFKD", text).casefold() if c.isalnum())


def _said(record: Mapping[str, Any], field: str) -> list[str]:
    if field in ("family", "given"):
        listed = [name.get(field) or [] for name in record.get("name", [])]
        return [one for value in listed for one in ([value] if isinstance(value, str) else value)]
    if field == "mothersMaidenName":
        return [one["valueString"] for one in record.get("extension", [])]
    parts: list[str] = []
    for address in record.get("address", []):
        wanted = {"address-city": ["city"], "address-country": ["country"], "address-postalcode": ["postalCode"]}
        for name in wanted.get(field, list(address)):
            parts += address[name] if isinstance(address[name], list) else [address[name]]
    return parts


def _days(text: str) -> tuple[date, date]:
    """The first and the last day of a date of any precision."""
    year, month, day = [*(int(one) for one in text.split("-")), 0, 0][:3]
    first = date(year, month or 1, day or 1)
    if day:
        return first, first
    after = date(year + (month in (0, 12)), month % 12 + 1 if month else 1, 1)
    return first, after - timedelta(days=1)


def _born(record: Mapping[str, Any], value: str) -> bool:
    prefix, text = (value[:2], value[2:]) if value[0].isalpha() else ("eq", value)
    if "birthDate" not in record:
        return False
    (first, last), (start, end) = _days(record["birthDate"]), _days(text)
    inside = start <= first and last <= end
    return {
        "eq": inside,
        "ne": not inside,
        "gt": last > end,
        "ge": last > end or inside,
        "lt": first < start,
        "le": first < start or inside,
        "sa": first > end,
        "eb": last < start,
    }[prefix]


def _same_contact(one: str, other: str) -> bool:
    if "@" in one:
        return one.lower() == other.lower()
    digits = ["".join(c for c in text if c.isdigit())[-9:] for text in (one, other)]
    return "@" not in other and digits[0] == digits[1]


def _says(record: Mapping[str, Any], name: str, value: str) -> bool:
    """Whether one record says one of the alternatives."""
    field, _, modifier = name.partition(":")
    alternatives = value.split(",")
    if field in FIELDS:
        said = _said(record, field)
        if modifier:
            return any(one in said for one in alternatives)
        return any(_plain(text).startswith(_plain(one)) for one in alternatives for text in said)
    if field == "birthdate":
        return any(_born(record, one) for one in alternatives)
    if field == "telecom":
        told = [one["value"] for one in record.get("telecom", [])]
        return any(_same_contact(one, text) for one in alternatives for text in told)
    if field == "gender":
        return record.get("gender") in alternatives
    return "true" in alternatives  # active: inactive records are not there at all


def _carries(person: str, name: str, value: str, world: World) -> bool:
    shown = [one for one in world.persons[person] if one["identifier"][0]["system"] != EAST]
    told = {(one["system"], one["value"]) for record in shown for one in record["identifier"]}
    for one in value.split(","):
        system, bar, code = one.partition("|")
        if name == "targetSystem" or (bar and not code):
            found = any(system == listed for listed, _ in told)
        elif not bar:
            found = any(one == listed for _, listed in told)
        else:
            everybody = {
                owner
                for owner, records in world.persons.items()
                for record in records
                if {"system": system, "value": code} in record["identifier"]
            }
            found = everybody == {person}
        if found:
            return True
    return False


def _expected(world: World, pairs: Pairs) -> set[str]:
    about = [(name, value) for name, value in pairs if name not in ("identifier", "targetSystem")]
    told = [pair for pair in pairs if pair not in about]
    return {
        person
        for person, records in world.persons.items()
        if any(
            record["identifier"][0]["system"] != EAST and all(_says(record, *pair) for pair in about)
            for record in records
        )
        and all(_carries(person, *pair, world) for pair in told)
    }


def _several(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(values, min_size=1, max_size=3, unique=True).map(",".join)


@st.composite
def _beginnings(draw: st.DrawFn, values: tuple[str, ...]) -> str:
    value = draw(st.sampled_from(values))
    cut = value[: draw(st.integers(1, len(value)))]
    return draw(st.sampled_from((cut, cut.upper(), cut.lower()))) if _plain(cut) else value


POOLS = {
    "family": FAMILIES,
    "given": GIVENS,
    "address": (*LINES, *CITIES, *COUNTRIES),
    "address-city": CITIES,
    "address-country": COUNTRIES,
    "address-postalcode": POSTCODES,
    "mothersMaidenName": FAMILIES,
}
PARAMETERS = st.one_of(
    *(st.tuples(st.just(name), _several(_beginnings(pool))) for name, pool in POOLS.items()),
    *(st.tuples(st.just(f"{name}:exact"), _several(st.sampled_from(pool))) for name, pool in POOLS.items()),
    st.tuples(
        st.just("birthdate"),
        _several(
            st.builds(
                str.__add__,
                st.sampled_from(("", "eq", "ne", "gt", "ge", "lt", "le", "sa", "eb")),
                st.sampled_from((*BIRTHS, "1980-02-02", "1979", "1980-02-29", "0001-01-01", "9999-12-31")),
            )
        ),
    ),
    st.tuples(st.just("telecom"), _several(st.sampled_from(PHONES))),
    st.tuples(st.just("gender"), _several(st.sampled_from(("female", "male", "unknown")))),
    st.tuples(st.just("active"), _several(st.sampled_from(("true", "false")))),
    st.tuples(
        st.just("identifier"),
        _several(
            st.one_of(
                st.builds("{}|R-{}".format, st.sampled_from((NORTH, SOUTH, EAST)), st.integers(0, RECORDS)),
                st.builds(f"{NATIONAL}|N-{{}}".format, st.integers(1, 90)),
                st.builds("N-{}".format, st.integers(1, 90)),
                st.builds("R-{}".format, st.integers(0, RECORDS)),
                st.builds("I-{}".format, st.integers(1, 40)),
            )
        ),
    ),
    st.tuples(st.just("identifier"), _several(st.sampled_from((f"{NORTH}|", f"{SOUTH}|", f"{NATIONAL}|")))),
    st.tuples(st.just("targetSystem"), _several(st.sampled_from((NORTH, SOUTH, NATIONAL)))),
)
SEARCHES = st.lists(PARAMETERS, min_size=1, max_size=4).map(tuple)


@settings(max_examples=150)
@given(pairs=SEARCHES, count=st.integers(7, 50))
def test_a_search_finds_what_looking_at_everybody_finds(world: World, pairs: Pairs, count: int) -> None:
    """Each person once over all pages, and the total says how many."""
    total, ids = world.ask(pairs, count)

    assert set(ids) == _expected(world, pairs)
    assert total == len(ids) == len(set(ids))


@settings(max_examples=80)
@given(pairs=SEARCHES, most=st.integers(5, 60))
def test_a_search_that_looks_at_fewer_finds_the_same_or_refuses(world: World, pairs: Pairs, most: int) -> None:
    """However few records may be opened: never a part of the answer for the whole of it."""
    small = PatientFinder(world.engine, world.keys, most=most)
    request = Request(kind="patient-search", raw="GET …", id="r-1")
    try:
        bundle = world.face(small).search((*pairs, ("_count", "0")), a_requester(), request, strict=True).bundle
    except TooCostly:
        return

    assert bundle["total"] == len(_expected(world, pairs))


@settings(max_examples=25)
@given(
    sort=st.lists(st.sampled_from(("family", "-family", "given", "-given", "birthdate", "-birthdate")), min_size=1),
    count=st.integers(5, 30),
)
def test_in_every_order_everybody_comes_once(world: World, sort: list[str], count: int) -> None:
    """Whatever keys there are, and in whichever direction."""
    total, ids = world.ask((("active", "true"), ("_sort", ",".join(sort))), count)

    assert total == len(ids) == len(set(ids)) == len(_expected(world, (("active", "true"),)))
