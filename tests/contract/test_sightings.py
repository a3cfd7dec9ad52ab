"""What was seen first when: the memory behind stable ids and `meta.lastUpdated`."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from gateway.adapters.base import Observation
from gateway.adapters.sightings import Sightings
from gateway.db.crypto import KeyRing
from gateway.imaging.study import Series, SourceStudy
from gateway.model import FacilityID, LocalPatientID, PatientID, StudyUID
from tests.factories_mpi import StatementCount

ANNA, BERTA = PatientID("0b7a3c1e-anna"), PatientID("5d2f8e90-berta")
T0 = datetime(2026, 11, 24, 8, tzinfo=UTC)
LATER = T0 + timedelta(hours=1)
UID = "2.25.4242424242"


@pytest.fixture
def sightings(engine: Engine, keys: KeyRing) -> Sightings:
    return Sightings(engine, keys)


def a_study(uid: str = UID, **changes: Any) -> SourceStudy:
    values: dict[str, Any] = {
        "uid": StudyUID(uid),
        "facility": FacilityID("north"),
        "local_id": LocalPatientID("N-1"),
        "record_id": 1,
        "description": "CT THORAX",
        "series": (Series(uid="2.25.1", modality="CT"), Series(uid="2.25.2", modality="CT")),
    }
    return SourceStudy(**(values | changes))


def times(observation: Observation) -> list[datetime]:
    return list(observation.first_seen.values())


def test_a_study_is_first_seen_once(sightings: Sightings) -> None:
    """Seeing it again does not make it new."""
    assert times(sightings.observe(ANNA, [a_study()], T0)) == [T0]
    assert times(sightings.observe(ANNA, [a_study()], LATER)) == [T0]


def test_every_source_of_a_study_has_its_own_time(sightings: Sightings) -> None:
    """Keys are record, facility and UID."""
    sightings.observe(ANNA, [a_study()], T0)
    south = a_study(facility=FacilityID("south"), record_id=2)
    seen = sightings.observe(ANNA, [a_study(), south], LATER).first_seen

    assert seen == {(1, "north", UID): T0, (2, "south", UID): LATER}


@pytest.mark.parametrize(
    "change",
    [
        {"description": "MR HEAD"},
        {"modalities": ("CT", "SR")},
        {"number_of_instances": 7},
        {"availability": "unknown"},
        {"series": (Series(uid="2.25.1", modality="CT"),)},
        {"series": (Series(uid="2.25.1", modality="CT"), Series(uid="2.25.2", modality="CT", instances=3))},
    ],
    ids=str,
)
def test_a_changed_study_is_seen_anew(sightings: Sightings, change: dict[str, Any]) -> None:
    """So that an incremental search finds it."""
    sightings.observe(ANNA, [a_study()], T0)
    changed = a_study(**change)

    assert times(sightings.observe(ANNA, [changed], LATER)) == [LATER]
    assert times(sightings.observe(ANNA, [changed], LATER + timedelta(hours=1))) == [LATER]


def test_seeing_a_study_with_or_without_its_series_is_no_change(sightings: Sightings) -> None:
    """A summary asks for no series, and series may come too late."""
    bare = a_study(series=None)
    assert times(sightings.observe(ANNA, [bare], T0)) == [T0]
    assert times(sightings.observe(ANNA, [a_study()], LATER)) == [T0]
    assert times(sightings.observe(ANNA, [bare], LATER)) == [T0]
    assert times(sightings.observe(ANNA, [a_study()], LATER)) == [T0]
    assert times(sightings.observe(ANNA, [a_study(series=())], LATER)) == [LATER]


def test_an_id_leads_back_to_the_person_and_the_facilities(sightings: Sightings) -> None:
    """For reading a study by id."""
    south = a_study(facility=FacilityID("south"), record_id=2)
    sightings.observe(ANNA, [a_study(), south], T0)
    found = sightings.find(sightings.study_id(ANNA, StudyUID(UID)))

    assert found is not None
    assert (found.person, found.facilities) == (ANNA, {"north", "south"})


@pytest.mark.parametrize(
    "study_id", ["", "x", "0" * 32, "g" * 32, "0" * 31, "0" * 33, "A" * 32, "٠" * 32, "0" * 30 + " 1"]
)
def test_an_id_that_was_never_given_out_leads_nowhere(sightings: Sightings, study_id: str) -> None:
    """Whatever is sent in its place."""
    sightings.observe(ANNA, [a_study()], T0)

    assert sightings.find(study_id) is None


def test_ids_are_opaque_stable_and_distinct(engine: Engine, keys: KeyRing) -> None:
    """The same after a restart; another for another person or study; 32 lower-case hex digits."""
    ids = [
        Sightings(engine, keys).study_id(person, StudyUID(uid)) for person in (ANNA, BERTA) for uid in (UID, "2.25.7")
    ]

    assert len(set(ids)) == 4
    assert all(len(one) == 32 and set(one) <= set("0123456789abcdef") for one in ids)
    assert ids[0] == Sightings(engine, keys).study_id(ANNA, StudyUID(UID))


def test_a_uid_under_two_persons_is_told_once(sightings: Sightings) -> None:
    """Each keeps an id of their own; the second sighting raises the alert, later ones don't."""
    assert sightings.observe(ANNA, [a_study()], T0).shared == ()
    of_berta = a_study(record_id=9)

    assert sightings.observe(BERTA, [of_berta, a_study("2.25.8", record_id=9)], T0).shared == (UID,)
    assert sightings.observe(BERTA, [of_berta], LATER).shared == ()
    assert sightings.observe(ANNA, [a_study()], LATER).shared == ()


def test_a_record_that_moves_to_another_person_takes_its_studies_along(sightings: Sightings) -> None:
    """The new person's id leads there, the old one nowhere; the study is not new for it."""
    sightings.observe(ANNA, [a_study()], T0)

    assert times(sightings.observe(BERTA, [a_study()], LATER)) == [T0]
    assert sightings.find(sightings.study_id(ANNA, StudyUID(UID))) is None
    found = sightings.find(sightings.study_id(BERTA, StudyUID(UID)))
    assert found is not None
    assert found.person == BERTA


def test_nothing_of_a_patient_stands_in_clear(sightings: Sightings, engine: Engine) -> None:
    """UIDs and descriptions are keyed hashes."""
    sightings.observe(ANNA, [a_study()], T0)
    with engine.connect() as connection:
        stored = str(connection.execute(text("SELECT * FROM sighting")).all())

    assert UID not in stored
    assert "THORAX" not in stored
    assert "N-1" not in stored


def test_nothing_new_costs_one_statement(sightings: Sightings, engine: Engine) -> None:
    """However many studies there are, over however many records."""
    studies = [a_study(f"2.25.{n}", record_id=n % 3) for n in range(60)]
    sightings.observe(ANNA, studies, T0)
    with StatementCount(engine) as count:
        sightings.observe(ANNA, studies, LATER)
        sightings.observe(ANNA, [], LATER)

    assert len(count.statements) == 1


def test_queries_that_see_something_first_together_agree(engine: Engine, keys: KeyRing) -> None:
    """Of all the moments, one stands; each query is told that one."""
    start, told = threading.Barrier(6), []

    def look(number: int) -> None:
        studies = [a_study(f"2.25.{n}") for n in range(20)]
        if number % 2:
            studies.reverse()
        start.wait()
        told.append(Sightings(engine, keys).observe(ANNA, studies, T0 + timedelta(seconds=number)).first_seen)

    threads = [threading.Thread(target=look, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(told) == 6
    assert all(one == told[0] for one in told)


def test_queries_that_see_a_change_together_agree(engine: Engine, keys: KeyRing) -> None:
    """A change is dated once."""
    Sightings(engine, keys).observe(ANNA, [a_study()], T0)
    start, told = threading.Barrier(4), []

    def look(number: int) -> None:
        start.wait()
        at = LATER + timedelta(seconds=number)
        told.append(times(Sightings(engine, keys).observe(ANNA, [a_study(description="NEW")], at))[0])

    threads = [threading.Thread(target=look, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(told)) == 1
    assert told[0] >= LATER


def test_an_answer_that_comes_back_after_another_is_new(sightings: Sightings) -> None:
    """Only what was told last is known at a glance: what is changed and changed back has changed twice."""
    sightings.observe(ANNA, [a_study()], T0)
    sightings.observe(ANNA, [a_study(description="CT HALS")], LATER)
    again = sightings.observe(ANNA, [a_study()], LATER + timedelta(hours=1))

    assert times(again) == [LATER + timedelta(hours=1)]
    assert times(sightings.observe(ANNA, [a_study()], LATER + timedelta(hours=2))) == [LATER + timedelta(hours=1)]


def test_the_ids_of_studies_are_told_with_them(sightings: Sightings) -> None:
    """New or told again, they are the ids of this person's studies; of another person's record they are others."""
    for person in (ANNA, ANNA, BERTA):
        assert sightings.observe(person, [a_study()], T0).study_ids == {UID: sightings.study_id(person, StudyUID(UID))}


def test_what_is_told_in_less_detail_writes_nothing(engine: Engine, sightings: Sightings) -> None:
    """An answer without series takes nothing away from what is known with them, however often it comes."""
    sightings.observe(ANNA, [a_study()], T0)
    with StatementCount(engine) as count:
        assert times(sightings.observe(ANNA, [a_study(series=None)], LATER)) == [T0]
        assert times(sightings.observe(ANNA, [a_study()], LATER)) == [T0]

    assert all(one.lstrip().upper().startswith("SELECT") for one in count.statements), count.statements
