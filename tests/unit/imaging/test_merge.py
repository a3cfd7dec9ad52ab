"""One study per UID, of all its permitted sources and of nothing else, the same whichever order they come in."""

from datetime import UTC, timedelta

import pytest

from gateway.imaging.merge import combine, group_duplicates
from gateway.model import Coding, FacilityID, Identifier, LocalPatientID
from tests.factories import NOON
from tests.factories_imaging import STUDY_ID, a_series, a_source, a_study, some_facts, started_at


def test_sources_are_grouped_by_study() -> None:
    """In the order in which studies first appear, whichever facility told them."""
    a, b, c = a_source("north", uid="2.25.2"), a_source("south", uid="2.25.1"), a_source("east", uid="2.25.2")

    assert group_duplicates([a, b, c]) == [(c, a), (b,)]


def test_what_a_facility_says_twice_is_kept_once() -> None:
    """The fuller of the two, whichever came first; another record of the same facility is another source."""
    full, thin = a_source(number_of_instances=9), a_source(number_of_instances=2)
    other_record = a_source(record_id=2)

    assert group_duplicates([thin, full, full]) == group_duplicates([full, thin]) == [(full,)]
    assert group_duplicates([full, other_record]) == [(full, other_record)]


def test_a_study_of_one_source_says_what_the_source_says() -> None:
    """Nothing is added to it."""
    source = a_source(
        "north",
        [a_series("2.25.1.2", number=2), a_series("2.25.1.1", number=1)],
        description="CT Thorax",
        started=started_at("20240501", "083000", "+0200"),
        accession=Identifier("urn:oid:1.2", "A-1"),
        referrer="Okafor, Ngozi",
        procedure_codes=(Coding("http://loinc.org", "24627-2"),),
    )

    study = a_study(source)

    assert (study.id, study.uid, study.sources, study.facilities) == (STUDY_ID, source.uid, (source,), ("north",))
    assert (study.started, study.description, study.referrer) == (source.started, "CT Thorax", "Okafor, Ngozi")
    assert study.accessions == (Identifier("urn:oid:1.2", "A-1"),)
    assert study.procedure_codes == source.procedure_codes
    assert [series.number for series in study.series or ()] == [1, 2]
    assert study.series_holders == (("north",), ("north",))
    assert (study.number_of_series, study.number_of_instances) == (2, 6)


def test_the_source_that_holds_most_is_believed_first() -> None:
    """And what it leaves open another tells."""
    most = a_source("south", number_of_instances=100, description="CT Thorax", referrer=None)
    less = a_source("east", number_of_instances=5, description="THORAX (copy)", referrer="Okafor, Ngozi")

    study = a_study(less, most)

    assert (study.description, study.referrer, study.number_of_instances) == ("CT Thorax", "Okafor, Ngozi", 100)
    assert study.facilities == ("east", "south")


def test_the_most_exact_start_is_told() -> None:
    """Of equally exact ones, that of the source that holds most."""
    day = a_source("east", number_of_instances=100, started=started_at("20240501"))
    exact = a_source("south", number_of_instances=5, started=started_at("20240501", "083000", "+0200"))
    other = a_source("north", number_of_instances=50, started=started_at("20240501", "083000", "+0100"))

    assert a_study(day, exact).started == exact.started
    assert a_study(day, exact, other).started == other.started
    assert a_study(a_source()).started is None


def test_sets_are_united() -> None:
    """Modalities, accession numbers, procedure codes: all that any source tells, each once."""
    ct, pt = Coding("http://loinc.org", "1", "CT"), Coding("http://loinc.org", "2")
    north = a_source(
        "north", modalities=("CT", "SR"), accession=Identifier("urn:oid:1.2", "A-1"), procedure_codes=(ct,)
    )
    south = a_source(
        "south", modalities=("CT", "PT"), accession=Identifier("", "A-1"), procedure_codes=(pt, Coding(ct.system, "1"))
    )

    study = a_study(south, north)

    assert study.modalities == ("CT", "PT", "SR")
    assert study.accessions == (Identifier("", "A-1"), Identifier("urn:oid:1.2", "A-1"))
    assert study.procedure_codes == (ct, pt)


def test_series_are_united_and_know_their_holders() -> None:
    """Of one that two hold, the fuller copy is told; counts are those of the union."""
    shared, fuller = a_series("2.25.1.1", instances=2, description="part"), a_series("2.25.1.1", instances=10)
    only_south = a_series("2.25.1.2", number=None, instances=7)
    study = a_study(a_source("north", [shared]), a_source("south", [fuller, only_south]))

    assert study.series == (fuller, only_south)
    assert study.series_holders == (("north", "south"), ("south",))
    assert (study.number_of_series, study.number_of_instances) == (2, 17)


def test_two_records_of_one_facility_are_one_holder() -> None:
    """A facility may know a person by two numbers."""
    study = a_study(a_source("north", [a_series()]), a_source("north", [a_series()], record_id=2))

    assert len(study.sources) == 2
    assert study.series_holders == (("north",),)
    assert study.facilities == ("north",)


@pytest.mark.parametrize(
    ("told", "counts"),
    [
        ((None, None), (2, 6)),
        ((5, 50), (5, 50)),
        ((1, 1), (2, 6)),
    ],
)
def test_where_series_were_not_all_told_the_greatest_count_stands(
    told: tuple[int | None, int | None], counts: tuple[int, int]
) -> None:
    """One source lists its series, the other only counts them."""
    listing = a_source("north", [a_series("2.25.1.1"), a_series("2.25.1.2")])
    counting = a_source("south", number_of_series=told[0], number_of_instances=told[1])

    study = a_study(listing, counting)

    assert (study.number_of_series, study.number_of_instances) == counts


def test_unknown_counts_stay_unknown() -> None:
    """A sum with an unknown part is told only where a source says at least as much."""
    unknown = a_source("north", [a_series("2.25.1.1"), a_series("2.25.1.2", instances=None)])
    told = a_source("south", number_of_series=2, number_of_instances=2)

    assert a_study(unknown).number_of_instances is None
    assert a_study(unknown, told).number_of_instances == 3
    silent = a_study(a_source(number_of_series=None, number_of_instances=None))
    assert (silent.number_of_series, silent.number_of_instances, silent.series) == (None, None, None)


def test_one_source_at_hand_is_enough() -> None:
    """The study can be fetched from it."""
    gone, here = a_source("north", availability="unknown"), a_source("south")

    assert a_study(gone).availability == "unknown"
    assert a_study(gone, here).availability == "available"


@pytest.mark.parametrize("latest", ["first_seen", "linked_at", "opened_at"])
def test_it_was_last_updated_when_anything_last_changed(latest: str) -> None:
    """For this caller: seen, linked or opened, over the permitted sources; in UTC, to the millisecond."""
    time = NOON + timedelta(microseconds=123_456)
    sources = [(a_source("north"), some_facts()), (a_source("south"), some_facts(**{latest: time}))]

    study = combine(STUDY_ID, sources)

    assert study.last_updated == NOON + timedelta(milliseconds=123)
    assert study.last_updated.tzinfo is UTC


def test_two_facilities_of_one_domain_are_two_sources() -> None:
    """They share the numbers of their patients, not their archives."""
    study = a_study(*[a_source(name, local_id=LocalPatientID("M1"), record_id=1) for name in ("north", "south")])

    assert study.facilities == (FacilityID("north"), FacilityID("south"))
