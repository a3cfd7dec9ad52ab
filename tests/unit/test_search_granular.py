"""The spine under granular scopes: what is admitted in part is marked, and series are asked for to judge it."""

from dataclasses import replace

from gateway.disclosure import Request
from gateway.imaging.study import Series
from gateway.model import PatientRef, StudyQuery
from gateway.search import search_imaging_studies
from tests.factories import PERSON, a_deadline, a_facility, a_patient, a_requester, a_source_study
from tests.fakes import FakeRooms

NORTH, SOUTH = a_facility("north"), a_facility("south")
REQUEST = Request(kind="imaging-search", raw="GET /", id="r-1")
QUERY = StudyQuery(patient=PatientRef(id=PERSON), wants_series=False)
CT, SR = Series(uid="1.1", modality="CT"), Series(uid="1.2", modality="SR")


def test_t035_what_is_left_out_of_a_study_is_marked_whether_series_or_source() -> None:
    """So that nobody fetches the whole; a study that is shown whole is not marked, nor any without such a scope."""
    fake = FakeRooms()
    fake.mpi.persons = [a_patient(NORTH, SOUTH)]
    fake.facilities.add(
        NORTH,
        a_source_study(NORTH, "2.25.1", series=(CT,)),
        a_source_study(NORTH, "2.25.2", series=(CT, SR), modalities=("CT", "SR"), number_of_series=2),
        a_source_study(NORTH, "2.25.3", series=(CT,)),
    )
    fake.facilities.add(SOUTH, a_source_study(SOUTH, "2.25.3", 2, series=(SR,), modalities=("SR",)))
    granular = a_requester(scopes=("system/ImagingStudy.rs?modality=CT",))

    answer = search_imaging_studies(QUERY, granular, fake.rooms, a_deadline(), REQUEST, tuple)
    assert {study.uid: study.partial for study in answer.studies} == {"2.25.1": False, "2.25.2": True, "2.25.3": True}
    assert all(question.wants_series for _, question in fake.facilities.asked)
    assert {one.facility for one in fake.audit.records[0].released} == {"north"}
    assert fake.audit.records[0].details == (("shown_in_part", "2.25.2"), ("shown_in_part", "2.25.3"))

    fake.facilities.asked.clear()
    whole = search_imaging_studies(
        QUERY, replace(granular, scopes=("system/*.rs",)), fake.rooms, a_deadline(), REQUEST, tuple
    )
    assert not any(study.partial for study in whole.studies)
    assert not any(question.wants_series for _, question in fake.facilities.asked)
