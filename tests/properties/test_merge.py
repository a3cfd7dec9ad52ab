"""Combining is order-free, idempotent, and adds nothing that no source told."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.imaging.from_dicom import with_series
from gateway.imaging.matching import matches
from gateway.imaging.merge import Source, combine, group_duplicates
from gateway.imaging.study import Series, SourceFacts, SourceStudy
from gateway.model import FacilityID, Identifier, LocalPatientID, PatientRef, StudyQuery, StudyUID, Token
from tests.factories_imaging import started_at

UID = StudyUID("2.25.1")
COUNTS = st.none() | st.integers(0, 20)
WORDS = st.none() | st.sampled_from(["CT Thorax", "Thorax", "CT"])
TIMES = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
STARTS = st.none() | st.sampled_from(
    [started_at("20240501"), started_at("20240501", "0830", "+0100"), started_at("20240501", "083000", "+0200")]
)
SERIES = st.builds(
    Series,
    uid=st.sampled_from(["2.25.1.1", "2.25.1.2", "2.25.1.3"]),
    number=COUNTS,
    modality=st.sampled_from(["CT", "SR", None]),
    instances=COUNTS,
    description=WORDS,
    started=STARTS,
)
FACTS = st.builds(SourceFacts, first_seen=TIMES, linked_at=TIMES, opened_at=st.none() | TIMES)


@st.composite
def source_studies(draw: st.DrawFn, uid: StudyUID = UID) -> SourceStudy:
    """A study of one of three facilities and one of two records."""
    study = SourceStudy(
        uid=uid,
        facility=FacilityID(draw(st.sampled_from(["east", "north", "south"]))),
        local_id=LocalPatientID("M1"),
        record_id=draw(st.integers(1, 2)),
        started=draw(STARTS),
        modalities=tuple(sorted(draw(st.sets(st.sampled_from(["CT", "MR", "US"]))))),
        description=draw(WORDS),
        accession=draw(st.none() | st.builds(Identifier, st.sampled_from(["", "urn:oid:1.2"]), st.just("A-1"))),
        referrer=draw(WORDS),
        availability=draw(st.sampled_from(["available", "unknown"])),
        number_of_series=draw(COUNTS),
        number_of_instances=draw(COUNTS),
    )
    return with_series(study, draw(st.lists(SERIES, max_size=4)))


SOURCES = st.lists(st.tuples(source_studies(), FACTS), min_size=1, max_size=6)


@given(SOURCES, st.randoms(use_true_random=False))
def test_t069a_sources_in_any_order_make_the_same_study(sources: list[Source], random: object) -> None:
    """Whatever the order in which facilities answered."""
    shuffled = list(sources)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert combine("id", shuffled) == combine("id", sources)
    assert group_duplicates([source for source, _ in shuffled]) == group_duplicates([source for source, _ in sources])


@given(SOURCES)
def test_what_is_told_twice_changes_nothing(sources: list[Source]) -> None:
    """Overlapping pages, a repeated answer."""
    assert combine("id", sources + sources) == combine("id", sources)


@given(SOURCES)
def test_a_study_is_told_by_its_sources_alone(sources: list[Source]) -> None:
    """Every value of it is a value of one of them, nothing is lost, and no count is below any source's own."""
    study = combine("id", sources)
    told = study.sources

    assert {(source.facility, source.record_id) for source in told} == {
        (source.facility, source.record_id) for source, _ in sources
    }
    assert study.started in [source.started for source in told]
    assert study.description in [source.description for source in told]
    assert set(study.modalities) == {modality for source in told for modality in source.modalities}
    assert set(study.accessions) == {source.accession for source in told if source.accession}
    assert all((study.number_of_series or 0) >= (source.number_of_series or 0) for source in told)
    assert all((study.number_of_instances or 0) >= (source.number_of_instances or 0) for source in told)


@given(SOURCES)
def test_series_and_their_holders_are_those_of_the_sources(sources: list[Source]) -> None:
    """Each series once; a facility is named for exactly the series that it told."""
    study = combine("id", sources)
    series = study.series or ()
    held = {
        (facility, one.uid) for one, holders in zip(series, study.series_holders, strict=True) for facility in holders
    }

    assert len({one.uid for one in series}) == len(series)
    assert held == {(source.facility, one.uid) for source in study.sources for one in source.series or ()}
    assert all(one in [own for source in study.sources for own in source.series or ()] for one in series)
    assert study.series is None or len(series) <= (study.number_of_series or 0)


@given(st.lists(source_studies() | source_studies(uid=StudyUID("2.25.2")), max_size=8))
def test_grouping_loses_no_source_and_mixes_no_studies(studies: list[SourceStudy]) -> None:
    """Each facility and record once in the group of its study."""
    groups = group_duplicates(studies)
    places = [(source.uid, source.facility, source.record_id) for group in groups for source in group]

    assert all(len({source.uid for source in group}) == 1 for group in groups)
    assert len(set(places)) == len(places)
    assert set(places) == {(study.uid, study.facility, study.record_id) for study in studies}


@given(SOURCES, FACTS)
def test_a_further_source_takes_no_set_away(sources: list[Source], facts: SourceFacts) -> None:
    """Seeing more never means finding less: a modality that was found is found still."""
    without = combine("id", sources)
    more = SourceStudy(uid=UID, facility=FacilityID("west"), local_id=LocalPatientID("M1"), record_id=1)
    with_more = combine("id", [*sources, (more, facts)])

    for modality in without.modalities:
        query = StudyQuery(patient=PatientRef(), modality=((Token(None, modality),),))
        assert matches(with_more, query, datetime(2026, 1, 1, tzinfo=UTC))
    assert with_more.last_updated >= without.last_updated - timedelta(milliseconds=1)
