"""From consent's decisions about sources to an answer about what is asked for: all of it permitted, or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.consent.policy import Decision
from gateway.imaging.study import Series, SourceStudy
from gateway.model import FacilityID, LocalPatientID, StudyUID
from gateway.retrieval.decide import (
    NOT_BY_SCOPE,
    PART,
    UNKNOWN,
    UNKNOWN_SERIES,
    Known,
    Source,
    decide,
    series_permitted,
)
from gateway.retrieval.resource import Resource

STUDY = StudyUID("2.25.1")
NORTH, SOUTH = FacilityID("north"), FacilityID("south")
WHOLE = Resource(study=STUDY)
LIST = Resource(study=STUDY, lists=True)


def a_source(
    *series: str, facility: FacilityID = NORTH, permitted: bool = True, told: bool = True, modality: str = "CT"
) -> Source:
    """A source of the study with these series."""
    found = tuple(Series(uid=uid, modality=modality) for uid in series)
    study = SourceStudy(
        uid=STUDY, facility=facility, local_id=LocalPatientID("p"), record_id=1, series=found if told else None
    )
    decision = Decision(facility=facility, permitted=permitted, reason="Consent/1 permits" if permitted else "denies")
    return Source(study, decision, frozenset(series) if told else None)


def everything(_source: SourceStudy, _series: str | None) -> bool:
    """Scopes without a limit."""
    return True


def of_series(resource_series: str) -> Resource:
    """A series of the study."""
    return Resource(study=STUDY, series=resource_series)


def test_what_nobody_tells_of_is_refused() -> None:
    """By default nothing is open."""
    assert decide(Known(here=()), WHOLE, everything) == UNKNOWN
    assert not UNKNOWN.permitted


def test_a_withheld_source_is_refused_with_consents_own_words() -> None:
    """And of two records of one facility, whoever withholds one withholds both: the archive can't tell them apart."""
    for here in ([a_source("1", permitted=False)], [a_source("1"), a_source("1", permitted=False)]):
        for resource in (WHOLE, LIST, of_series("1")):
            verdict = decide(Known(here=here), resource, everything)
            assert (verdict.permitted, verdict.reason) == (False, "denies")


@pytest.mark.parametrize(
    ("elsewhere", "whole"),
    [
        ([], True),
        ([a_source("2", facility=SOUTH)], True),
        ([a_source("1", facility=SOUTH, permitted=False)], True),
        ([a_source("2", facility=SOUTH, permitted=False)], False),
        ([a_source("1", "2", facility=SOUTH, permitted=False)], False),
        ([a_source(facility=SOUTH, permitted=False, told=False)], False),
    ],
)
def test_a_split_study_is_refused_whole_and_open_by_series(elsewhere: list[Source], whole: bool) -> None:
    """Where a withheld source holds, or may hold, series that are not here. A copy of the same series takes nothing."""
    known = Known(here=[a_source("1")], elsewhere=elsewhere)

    assert decide(known, WHOLE, everything).permitted is whole
    assert decide(known, WHOLE, everything).in_part is not whole
    assert decide(known, of_series("1"), everything).permitted
    assert decide(known, LIST, everything).permitted, "a list is of what this archive holds"


@pytest.mark.parametrize(("same", "whole"), [(True, True), (False, False)])
def test_a_barred_facility_that_has_shown_the_study_counts_too(same: bool, whole: bool) -> None:
    """Nobody asks it: what is known is whether its series were these."""
    known = Known(here=[a_source("1")], barred={SOUTH: same})

    assert decide(known, WHOLE, everything).permitted is whole
    assert decide(known, of_series("1"), everything).permitted


def test_scopes_for_some_series_open_those_and_not_the_study() -> None:
    """`?modality=…|CT` of a study with CT and SR."""
    here = [Source(a_source("1", "2").study, a_source().decision, frozenset({"1", "2"}))]

    def only_first(_source: SourceStudy, series: str | None) -> bool:
        return series == "1"

    known = Known(here=here)
    assert decide(known, WHOLE, only_first).reason == PART
    assert decide(known, LIST, only_first).reason == PART
    assert decide(known, of_series("1"), only_first).permitted
    assert decide(known, of_series("2"), only_first).reason == NOT_BY_SCOPE
    assert decide(known, WHOLE, lambda *_: False).reason == NOT_BY_SCOPE
    assert series_permitted(known, only_first) == ("1",)


def test_a_series_has_to_be_one_of_the_study() -> None:
    """Some archives look up a series whatever study stands before it."""
    assert decide(Known(here=[a_source("1")]), of_series("9"), everything).reason == UNKNOWN_SERIES


def test_where_series_are_not_told_only_an_open_study_opens_them() -> None:
    """An archive that tells of no series can't be asked which are whose."""
    known = Known(here=[a_source(told=False)])

    assert decide(known, of_series("9"), everything).permitted
    assert not decide(known, of_series("9"), lambda _, series: series is not None).permitted
    assert series_permitted(known, everything) is None


SOURCES = st.builds(
    a_source,
    st.sampled_from("123"),
    facility=st.sampled_from([NORTH, SOUTH]),
    permitted=st.booleans(),
    told=st.booleans(),
)
RESOURCES = st.sampled_from([WHOLE, LIST, of_series("1"), of_series("2"), of_series("9")])


@given(st.lists(SOURCES, max_size=4), RESOURCES, st.data())
def test_t070_adding_a_deny_never_opens_more(sources: list[Source], resource: Resource, data: st.DataObject) -> None:
    """Of the same sources, one that is withheld instead of permitted closes things, and opens none."""

    def verdict(given: list[Source]) -> bool:
        here = [one for one in given if one.study.facility == NORTH]
        elsewhere = [one for one in given if one.study.facility != NORTH]
        return decide(Known(here=here, elsewhere=elsewhere), resource, everything).permitted

    closing = data.draw(st.sets(st.sampled_from(range(len(sources)))) if sources else st.just(set()))
    denied = [
        Source(one.study, Decision(facility=one.study.facility, permitted=False, reason="denies"), one.series)
        if place in closing
        else one
        for place, one in enumerate(sources)
    ]

    assert verdict(sources) or not verdict(denied)
