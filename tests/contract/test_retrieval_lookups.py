"""Whose a study is and whose key it is, in both databases."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, update

from gateway.adapters.sightings import Sightings
from gateway.auth.facility_keys import OVERLAP, FacilityKeys
from gateway.auth.facility_tables import facility_key
from gateway.db.crypto import KeyRing
from gateway.db.session import reading, writing
from gateway.errors import DependencyUnavailable, NotAuthenticated
from gateway.imaging.study import Series
from gateway.model import FacilityID, PatientID, StudyUID
from gateway.mpi.tables import person, record
from gateway.retrieval.whose import Holder, Shown, StudyHolders
from tests.factories import a_facility, a_source_study

T0 = datetime(2026, 11, 24, 12, tzinfo=UTC)
ANNA, BEA = (PatientID(f"00000000-0000-4000-8000-00000000000{n}") for n in (1, 2))
NORTH, SOUTH = a_facility("north"), a_facility("south")
UID = StudyUID("2.25.1")


@pytest.fixture
def records(engine: Engine, keys: KeyRing) -> tuple[int, int, int]:
    """Anna has records 1 and 2, Bea 3."""
    with writing(engine) as connection:
        for id_ in (ANNA, BEA):
            connection.execute(person.insert(), {"id": id_, "created_at": T0})
        numbers = []
        for n, (who, system) in enumerate(((ANNA, "urn:n"), (ANNA, "urn:s"), (BEA, "urn:n"))):
            row = {"identifier_key": bytes([n]) * 16, "system": system, "content": b"", "content_key": b"\0" * 16}
            row |= {"person_id": who, "linked_at": T0, "updated_at": T0, "active": True}
            numbers.append(connection.execute(record.insert().returning(record.c.record_id), row).scalar_one())
    first, second, third = numbers
    return first, second, third


def observe(engine: Engine, keys: KeyRing, who: PatientID, *studies: object) -> None:
    """The facilities have shown these studies of that person."""
    Sightings(engine, keys).observe(who, studies, T0)  # type: ignore[arg-type]


def test_a_study_is_of_those_under_whom_it_was_shown(engine: Engine, keys: KeyRing, records: tuple[int, ...]) -> None:
    """With all records that are theirs, and where it was shown; nobody for one that never was."""
    anna_north, anna_south, _ = records
    observe(engine, keys, ANNA, a_source_study(NORTH, UID, anna_north, series=(Series(uid="2.25.1.1"),)))
    holders = StudyHolders(engine, keys)

    (found,) = holders.find(UID)
    assert (found.person, set(found.records)) == (ANNA, {(anna_north, "urn:n"), (anna_south, "urn:s")})
    (shown,) = found.seen
    assert (shown.record_id, shown.facility) == (anna_north, "north")
    assert found.seen_at(NORTH.id)
    assert not found.seen_at(SOUTH.id)
    assert holders.has_series(shown, frozenset({"2.25.1.1"}))
    assert not holders.has_series(shown, frozenset({"2.25.1.1", "2.25.1.2"}))
    assert not holders.has_series(Shown(1, NORTH.id, None), frozenset())
    assert holders.find(StudyUID("2.25.404")) == []


def test_it_follows_the_record(engine: Engine, keys: KeyRing, records: tuple[int, ...]) -> None:
    """From the moment the record is another person's, or none's."""
    anna_north, _, bea = records
    observe(engine, keys, ANNA, a_source_study(NORTH, UID, anna_north))
    holders = StudyHolders(engine, keys)
    with writing(engine) as connection:
        connection.execute(update(record).where(record.c.record_id == anna_north).values(person_id=BEA))
    (found,) = holders.find(UID)
    assert (found.person, {number for number, _ in found.records}) == (BEA, {anna_north, bea})

    with writing(engine) as connection:
        connection.execute(update(record).where(record.c.record_id == anna_north).values(active=False))
    assert holders.find(UID) == []


def test_what_moved_to_another_patient_is_no_longer_shown_under_the_first(
    engine: Engine, keys: KeyRing, records: tuple[int, ...]
) -> None:
    """As soon as the facility has been asked about the first again."""
    anna_north, _, bea = records
    observe(engine, keys, ANNA, a_source_study(NORTH, UID, anna_north), a_source_study(NORTH, "2.25.2", anna_north))
    observe(engine, keys, BEA, a_source_study(NORTH, UID, bea))
    holders = StudyHolders(engine, keys)
    by_person: dict[str, Holder] = {one.person: one for one in holders.find(UID)}
    assert [holders.is_shown_now(UID, by_person[who], NORTH.id) for who in (ANNA, BEA)] == [True, True]

    observe(engine, keys, ANNA, a_source_study(NORTH, "2.25.2", anna_north))
    assert [holders.is_shown_now(UID, by_person[who], NORTH.id) for who in (ANNA, BEA)] == [False, True]


def test_look_ups_share_a_connection_while_they_are_told_to(
    engine: Engine, keys: KeyRing, records: tuple[int, ...]
) -> None:
    """One is taken out, and given back."""
    holders = StudyHolders(engine, keys)
    before = engine.pool.checkedout()  # type: ignore[attr-defined]
    with holders.looking():
        holders.find(UID)
        assert engine.pool.checkedout() == before + 1  # type: ignore[attr-defined]
    assert engine.pool.checkedout() == before  # type: ignore[attr-defined]


def test_a_key_is_its_facilitys_until_it_ends(engine: Engine, keys: KeyRing) -> None:
    """Keys overlap; with none to spare the one before ends at once; a facility that left has none."""
    store = FacilityKeys(engine, keys, monotonic=iter(range(0, 10_000, 10)).__next__)
    first = store.make(FacilityID("north"), T0)
    other = store.make(FacilityID("south"), T0)
    second = store.make(FacilityID("north"), T0)
    soon, later = T0 + OVERLAP - timedelta(seconds=1), T0 + OVERLAP

    assert [store.find(key, soon) for key in (first, second, other)] == ["north", "north", "south"]
    assert [store.find(key, later) for key in (first, second, other)] == [None, "north", "south"]
    third = store.make(FacilityID("north"), T0, timedelta(0))
    assert [store.find(key, T0) for key in (first, second, third)] == [None, None, "north"]
    assert store.end(FacilityID("north")) >= 1
    assert [store.find(key, T0) for key in (third, other)] == [None, "south"]


@pytest.mark.parametrize("key", ["", "x", "é", "x" * 10_000, "\0"])
def test_what_is_no_key_is_nobodys(engine: Engine, keys: KeyRing, key: str) -> None:
    """Whatever is sent."""
    store = FacilityKeys(engine, keys)

    assert store.find(key, T0) is None
    with pytest.raises(NotAuthenticated):
        store.require(key, T0)


def test_a_key_is_stored_nowhere(engine: Engine, keys: KeyRing) -> None:
    """Only its keyed hash."""
    key = FacilityKeys(engine, keys).make(FacilityID("north"), T0)
    with reading(engine) as connection:
        (row,) = connection.execute(facility_key.select()).all()

    assert key not in str(row)
    assert row.digest == keys.blind("facility-key", key)


def test_a_store_that_fails_is_never_a_yes(sqlite_engine: Engine, keys: KeyRing) -> None:
    """T58, for keys and for studies."""
    with writing(sqlite_engine) as connection:
        facility_key.drop(connection)
    with pytest.raises(DependencyUnavailable):
        FacilityKeys(sqlite_engine, keys).find("ixk_x", T0)
