"""What leaves the gateway never grows by a deny: over search, read, counts and pages, whatever is on file."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.base import FacilityReply
from gateway.consent.policy import ConsentVersion, PatientPolicy
from gateway.disclosure import Request
from gateway.errors import AllFacilitiesFailed, BreakGlassRefused, NotFound
from gateway.fhir.paging import page_of
from gateway.imaging.matching import sort_key
from gateway.model import PatientRef, Requester, StudyQuery
from gateway.search import SearchAnswer, read_imaging_study, search_imaging_studies
from tests.factories import PERSON, a_deadline, a_facility, a_patient, a_source_study
from tests.fakes import FakeRooms
from tests.properties.test_consent import policies, requesters, versions

NORTH, SOUTH = a_facility("north"), a_facility("south")
REQUEST = Request(kind="imaging-search", raw="GET /", id="r-1")
QUERY = StudyQuery(patient=PatientRef(id=PERSON))
SORT = (("started", True),)


def a_house(policy: PatientPolicy) -> FakeRooms:
    """One person with studies in two facilities, one of which both hold; and these consents."""
    fake = FakeRooms()
    fake.mpi.persons = [a_patient(NORTH, SOUTH)]
    fake.facilities.add(NORTH, a_source_study(NORTH, "1.2.3", 1), a_source_study(NORTH, "1.2.9", 1))
    fake.facilities.add(SOUTH, a_source_study(SOUTH, "1.2.4", 2), a_source_study(SOUTH, "1.2.9", 2))
    fake.consents.on_file[PERSON] = policy.consents
    fake.consents.implicit = policy.implicit
    return fake


def search(fake: FakeRooms, requester: Requester) -> SearchAnswer:
    """Everything that matches; of a break-glass that opens nothing, which is refused aloud, that is nothing."""
    try:
        return search_imaging_studies(QUERY, requester, fake.rooms, a_deadline(), REQUEST, tuple)
    except BreakGlassRefused:
        return SearchAnswer(facilities={})


def told(answer: SearchAnswer) -> set[tuple[str, str]]:
    """Each study with each facility whose link is handed out."""
    return {(study.uid, facility) for study in answer.studies for facility in study.facilities}


def read(fake: FakeRooms, uid: str, requester: Requester) -> set[str]:
    """The facilities that a read of the study names; none where there is no such study."""
    try:
        study, _ = read_imaging_study(
            fake.sightings.study_id(PERSON, uid), requester, fake.rooms, a_deadline(), REQUEST
        )
    except (NotFound, BreakGlassRefused):
        return set()
    return set(study.facilities)


def pages(fake: FakeRooms, requester: Requester) -> list[str]:
    """The studies as pages of one show them, each page decided afresh."""
    found: list[str] = []
    after = None
    while True:
        studies = search(fake, requester).studies
        page, after = page_of(studies, lambda study: sort_key(study, sort=SORT), 1, after)
        found += [study.uid for study in page]
        if after is None:
            return found


@given(policies, requesters, versions("deny"))
def test_t070_a_deny_shows_no_more_by_any_way_in(
    policy: PatientPolicy, requester: Requester, deny: ConsentVersion
) -> None:
    """Search, count, read and paging agree with each other before, and after none of them shows more."""
    assert deny.root is not None
    only_denies = replace(deny, root=replace(deny.root, nested=()))
    fake = a_house(policy)
    before = search(fake, requester)
    assert sorted(pages(fake, requester)) == sorted(study.uid for study in before.studies)
    for uid in ("1.2.3", "1.2.4", "1.2.9"):
        assert read(fake, uid, requester) == {facility for one, facility in told(before) if one == uid}

    fake.consents.on_file[PERSON] = (*policy.consents, only_denies)
    after = search(fake, requester)

    assert told(after) <= told(before)
    assert after.total <= before.total
    assert after.total == len(after.studies)
    assert {one.record_id for one in after.permitted_records} <= {one.record_id for one in before.permitted_records}
    for uid in ("1.2.3", "1.2.4", "1.2.9"):
        assert read(fake, uid, requester) == {facility for one, facility in told(after) if one == uid}


@given(policies, requesters, st.booleans())
def test_facilities_that_can_show_nothing_are_never_asked(
    policy: PatientPolicy, requester: Requester, fails: bool
) -> None:
    """Whoever is asked may have something to show; whoever isn't is never named, also where it is down."""
    fake = a_house(policy)
    if fails:
        fake.facilities.replies[SOUTH.id] = FacilityReply(facility=SOUTH, status="timed_out")
    named: set[str] = set()
    try:
        answer = search(fake, requester)
        named = {gap.facility.id for gap in answer.gaps} | {facility for _, facility in told(answer)}
    except AllFacilitiesFailed as exc:
        named = {facility for facility, _, _ in exc.gaps}
    assert named <= set(fake.facilities.asked_ids)
