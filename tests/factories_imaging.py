"""Series, facts and combined studies, ready made for the tests of imaging and of its FHIR shape."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from gateway.imaging.dicom_time import read_started
from gateway.imaging.from_dicom import with_series
from gateway.imaging.merge import combine
from gateway.imaging.study import Series, SourceFacts, SourceStudy, Started, Study
from gateway.model import Facility
from tests.factories import NOON, a_facility, a_source_study

STUDY_ID = "0f" * 16


def started_at(date: str, time: str | None = None, offset: str | None = None, zone: str = "") -> Started:
    """A DICOM date and time that exist, as read."""
    started = read_started(date, time, offset, zone)
    assert started
    return started


def a_series(uid: str = "2.25.1.1", **changes: Any) -> Series:
    """A CT series of three images."""
    return Series(**{"uid": uid, "number": 1, "modality": "CT", "instances": 3, **changes})


def a_source(
    facility: str | Facility = "north", series: Iterable[Series] = (), record_id: int = 1, **changes: Any
) -> SourceStudy:
    """A study with its series as a facility tells it: counts are those of the series where they aren't given."""
    facility = a_facility(facility) if isinstance(facility, str) else facility
    counts = {"number_of_series": None, "number_of_instances": None} if series else {}
    return with_series(a_source_study(facility, record_id=record_id, **{**counts, **changes}), list(series))


def some_facts(**changes: Any) -> SourceFacts:
    """First seen an hour ago, of a record linked a month ago, opened by no consent."""
    known = {"first_seen": NOON - timedelta(hours=1), "linked_at": NOON - timedelta(days=30), "opened_at": None}
    return SourceFacts(**{**known, **changes})


def a_study(*sources: SourceStudy, facts: SourceFacts | None = None) -> Study:
    """The study that the sources together tell, or that North alone does."""
    return combine(STUDY_ID, [(source, facts or some_facts()) for source in sources or (a_source(),)])
