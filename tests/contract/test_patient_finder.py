"""The index searched by description, in both databases: what changes is found as it is, and nothing can be read."""

import pytest
from sqlalchemy import Engine, select, update

from gateway.db.crypto import KeyRing
from gateway.db.session import reading, writing
from gateway.errors import DependencyUnavailable, TooCostly
from gateway.mpi.patient_finder import PatientFinder
from gateway.mpi.patient_query import Description, Text
from gateway.mpi.search_backlog import index_backlog
from gateway.mpi.search_keys import VERSION
from gateway.mpi.tables import record, search_key
from tests.factories_mpi import NORTH, NOW, SOUTH, Index, a_patient


def by_family(*names: str) -> Description:
    """Somebody whose family name begins with one of these."""
    return Description(strings={"family": (tuple(Text(name) for name in names),)})


@pytest.fixture
def index(engine: Engine, keys: KeyRing) -> Index:
    """An index with three people, one of them known twice."""
    index = Index(engine, keys)
    index.save(
        a_patient("N-1", family="Rivera", national="1"),
        a_patient("S-1", system=SOUTH, family="Riveros", national="1"),
        a_patient("N-2", family="Riverton", birth_date="1955-01-01"),
        a_patient("N-3", family="Holmgren"),
    )
    return index


def found(index: Index, asked: Description, *, most: int = 2000) -> set[str]:
    """The own identifiers of all records of whoever is found."""
    people = PatientFinder(index.engine, index.keys, most=most).find(asked, NOW)
    return {one.identifier.value for person in people for one in person.patient.records}


def test_a_person_is_found_with_all_live_records(index: Index) -> None:
    """By what one of them says."""
    assert found(index, by_family("riveros")) == {"N-1", "S-1"}
    assert found(index, by_family("river")) == {"N-1", "S-1", "N-2"}
    assert found(index, by_family("holmg", "riverton")) == {"N-2", "N-3"}
    assert found(index, by_family("nobody")) == set()


def test_what_a_record_says_now_counts(index: Index) -> None:
    """A changed name is found and the former one isn't; an inactive record isn't; one that returns is."""
    index.save(a_patient("N-3", family="Lindqvist"))
    assert found(index, by_family("lindq")) == {"N-3"}
    assert found(index, by_family("holmg"), most=2) == set()

    index.save(a_patient("N-3", family="Lindqvist", active=False))
    assert found(index, by_family("lindq")) == set()
    index.save(a_patient("N-3", family="Lindqvist"))
    assert found(index, by_family("lindq")) == {"N-3"}


def test_records_loaded_together_are_found(index: Index, engine: Engine, keys: KeyRing) -> None:
    """As those that came one by one."""
    from gateway.mpi.fhir_patient import read_patient
    from tests.factories_mpi import DOMAINS

    many = [a_patient(f"N-{number}", family=f"Batch{number}") for number in range(100, 130)]
    index.feed.save([read_patient(one, DOMAINS) for one in many], NOW)

    assert found(index, by_family("batch117"), most=31) == {"N-117"}


def test_more_records_than_may_be_opened_are_refused(index: Index) -> None:
    """By their keys; without any, by how many there are."""
    assert found(index, by_family("holmgren"), most=1) == {"N-3"}
    with pytest.raises(TooCostly):
        found(index, by_family("river"), most=2)
    with pytest.raises(TooCostly):
        found(index, by_family("r"), most=3)
    assert found(index, by_family("r"), most=4) == {"N-1", "S-1", "N-2"}


def test_records_without_keys_are_looked_at_until_they_have_some(index: Index, engine: Engine, keys: KeyRing) -> None:
    """As an earlier version has left them; the backlog gives them theirs, and doing it again does nothing."""
    with reading(engine) as connection:
        before = set(map(tuple, connection.execute(select(search_key))))
    with writing(engine) as connection:
        connection.execute(search_key.delete())
        connection.execute(update(record).values(search_keys=None))

    assert found(index, by_family("riveros")) == {"N-1", "S-1"}
    with pytest.raises(TooCostly):
        found(index, by_family("riveros"), most=3)
    index.save(a_patient("N-3", family="Lindqvist"))  # a record without keys that changes gets them
    index.save(a_patient("N-3", family="Holmgren"))

    assert sum(index_backlog(engine, keys)) == 3
    assert list(index_backlog(engine, keys)) == []
    assert found(index, by_family("riveros"), most=3) == {"N-1", "S-1"}
    with reading(engine) as connection:
        assert set(map(tuple, connection.execute(select(search_key)))) == before
        assert set(connection.execute(select(record.c.search_keys)).scalars()) == {VERSION}


def test_an_identifier_is_found_whoever_assigned_it(index: Index) -> None:
    """Own ones by the facilities' domains, others by their value."""
    finder = PatientFinder(index.engine, index.keys)

    assert finder.find_carriers("1", {NORTH, SOUTH}) == {index.person("N-1")}
    assert finder.find_carriers("N-2", {NORTH, SOUTH}) == {index.person("N-2")}
    assert finder.find_carriers("N-2", {SOUTH}) == set()
    assert finder.find_carriers("N-9", {NORTH}) == set()


def test_an_altered_record_is_not_passed_over(index: Index, engine: Engine) -> None:
    """It might be who is meant: nothing is answered."""
    with writing(engine) as connection:
        connection.execute(update(record).values(content=b"\x01broken"))

    with pytest.raises(DependencyUnavailable):
        found(index, by_family("holmg"))
