"""What holds of every decision about images, for any consents of a person, any caller, and whatever is asked for."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.consent.policy import ConsentVersion
from gateway.disclosure import Request
from gateway.imaging.study import Series, SourceStudy
from gateway.model import ImplicitPolicy, PatientRef, Requester, StudyQuery, StudyUID
from gateway.retrieval.resource import Resource
from gateway.search import search_imaging_studies
from tests.factories import PERSON, a_deadline, a_facility, a_patient, a_source_study
from tests.properties.test_consent import POLICIES, rules, versions
from tests.properties.test_consent import requesters as callers
from tests.unit.retrieval.test_desk import House, a_holder

NORTH, SOUTH = a_facility("north"), a_facility("south")
STUDY = StudyUID("1.2.3")
RESOURCES = (
    Resource(study=STUDY),
    Resource(study=STUDY, lists=True),
    Resource(study=STUDY, series="1.2.3.1"),
    Resource(study=STUDY, series="1.2.3.2"),
)
consents = st.lists(versions(), max_size=3).map(tuple)
requesters = callers.map(lambda one: replace(one, purposes=tuple(p for p in one.purposes if p != "BTG") or ("TREAT",)))


def a_copy(facility: str, record: int, *series: str) -> SourceStudy:
    """The study as one facility tells it."""
    told = tuple(Series(uid=uid, modality="CT") for uid in series)
    return a_source_study(a_facility(facility), STUDY, record, series=told)


def a_house(on_file: tuple[ConsentVersion, ...], implicit: ImplicitPolicy) -> House:
    """North and south hold different parts of a study of one person."""
    house = House()
    person = a_patient(NORTH, SOUTH)
    house.rooms.mpi.persons = [person]
    house.rooms.facilities.add(NORTH, a_copy("north", 1, "1.2.3.1"))
    house.rooms.facilities.add(SOUTH, a_copy("south", 2, "1.2.3.1", "1.2.3.2"))
    house.rooms.consents.implicit = implicit
    house.rooms.consents.on_file[PERSON] = on_file
    house.holders.uid = STUDY
    house.holders.shown = [a_holder(person, NORTH, SOUTH)]
    return house


def opened(on_file: tuple[ConsentVersion, ...], implicit: ImplicitPolicy, requester: Requester) -> set[tuple[str, int]]:
    """What the caller may fetch: facility, and place in `RESOURCES`."""
    house = a_house(on_file, implicit)
    return {
        (facility.id, place)
        for facility in (NORTH, SOUTH)
        for place, resource in enumerate(RESOURCES)
        if house.permits(resource, requester, facility)
    }


@given(consents, st.sampled_from(POLICIES), requesters, st.data())
def test_t070_adding_a_deny_never_opens_more(
    on_file: tuple[ConsentVersion, ...], implicit: ImplicitPolicy, requester: Requester, data: st.DataObject
) -> None:
    """Of the images either, whole or in part, at any facility."""
    deny = ConsentVersion(
        id="extra",
        version=1,
        active=True,
        recorded_at=House().rooms.now - timedelta(days=1),
        root=replace(data.draw(rules("deny")), nested=()),
    )

    assert opened((*on_file, deny), implicit, requester) <= opened(on_file, implicit, requester)


@given(consents, st.sampled_from(POLICIES), requesters)
def test_what_can_be_fetched_is_what_a_search_shows(
    on_file: tuple[ConsentVersion, ...], implicit: ImplicitPolicy, requester: Requester
) -> None:
    """A facility opens nothing of a study that a search would not name it for; and of what it is named for, a list."""
    house = a_house(on_file, implicit)
    request = Request(kind="imaging-search", raw="GET /", id="r")
    query = StudyQuery(patient=PatientRef(id=PERSON))
    answer = search_imaging_studies(query, requester, house.rooms.rooms, a_deadline(), request, tuple)
    shown = {facility for study in answer.studies for facility in study.facilities}

    fetched = opened(on_file, implicit, requester)
    assert {facility for facility, _ in fetched} == shown
    assert all((facility, 1) in fetched for facility in shown)
