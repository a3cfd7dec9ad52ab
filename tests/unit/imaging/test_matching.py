"""A search finds exactly the studies that have what it asks for, as the caller may see them."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.imaging.matching import matches, sort_key
from gateway.imaging.study import Started, Study
from gateway.model import Identifier, PatientRef, StudyQuery, Token
from gateway.search_dates import parse_date_bound
from tests.factories import NOON
from tests.factories_imaging import STUDY_ID, a_series, a_source, a_study, some_facts, started_at

ACCESSION = "urn:oid:1.2.36.1.99"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
SNOMED = "http://snomed.info/sct"


def finds(study: Study, **asked: object) -> bool:
    """Whether a search for `asked` finds the study."""
    return matches(study, StudyQuery(patient=PatientRef(), **asked), NOON)  # type: ignore[arg-type]


def started(study: Study, *values: str) -> bool:
    """Whether `started=` with these values, ANDed, finds the study."""
    return finds(study, started=tuple((parse_date_bound(value, "started"),) for value in values))


def updated(study: Study, value: str) -> bool:
    """Whether `_lastUpdated=value` finds the study."""
    return finds(study, last_updated=((parse_date_bound(value, "_lastUpdated"),),))


def test_a_search_that_narrows_nothing_finds_every_study() -> None:
    """The patient has been asked for already."""
    assert finds(a_study())


@pytest.mark.parametrize(
    ("system", "code", "found"),
    [
        ("urn:dicom:uid", "urn:oid:2.25.1", True),
        ("urn:dicom:uid", "2.25.1", True),
        ("urn:dicom:uid", None, True),
        ("urn:dicom:uid", "urn:oid:2.25.2", False),
        ("urn:dicom:uid", "A-1", False),
        (None, "urn:oid:2.25.1", True),
        (None, "2.25.1", True),
        (None, "2.25.2", False),
        ("", "2.25.1", False),
        (None, "A-1", True),
        (ACCESSION, "A-1", True),
        (ACCESSION, None, True),
        (ACCESSION, "A-2", False),
        ("", "A-1", False),
        ("", "A-3", True),
        (None, "A-3", True),
        ("urn:oid:1.1", "A-1", False),
    ],
)
def test_identifiers_find_uids_and_accession_numbers(system: str | None, code: str | None, found: bool) -> None:
    """Contract §6: with and without their systems; `|A-3` is a number without an assigner."""
    study = a_study(
        a_source("north", accession=Identifier(ACCESSION, "A-1")), a_source("south", accession=Identifier("", "A-3"))
    )

    assert finds(study, identifier=((Token(system, code),),)) is found


@pytest.mark.parametrize(
    ("system", "code", "found"),
    [
        (None, "CT", True),
        (None, "ct", True),
        (DCM, "CT", True),
        (DCM, None, True),
        (None, "SR", True),
        (None, "MR", False),
        ("", "CT", False),
        ("http://snomed.info/sct", "CT", False),
    ],
)
def test_modalities_find_studies_that_have_them(system: str | None, code: str | None, found: bool) -> None:
    """Any series' one."""
    study = a_study(a_source("north", [a_series(), a_series("2.25.1.2", modality="SR")], modalities=()))

    assert finds(study, modality=((Token(system, code),),)) is found


def test_a_study_without_a_modality_is_found_as_what_it_is_shown_as() -> None:
    """Unknown."""
    study = a_study(a_source(modalities=()))

    assert finds(study, modality=((Token(None, "unknown"),),))
    assert not finds(study, modality=((Token(None, "OT"),),))


@pytest.mark.parametrize(
    ("system", "code", "found"),
    [
        (None, "available", True),
        ("http://hl7.org/fhir/imagingstudy-status", "available", True),
        (None, "unknown", False),
        (None, "cancelled", False),
        ("urn:other", "available", False),
    ],
)
def test_status_finds_by_code(system: str | None, code: str, found: bool) -> None:
    """With its system or none."""
    assert finds(a_study(), status=((Token(system, code),),)) is found


@pytest.mark.parametrize(
    ("token", "found"),
    [
        (Token(None, "51185008"), True),
        (Token(SNOMED, "51185008"), True),
        (Token(None, "CHEST"), True),
        (Token(None, "113345001"), False),
    ],
)
def test_body_sites_find_by_code_and_term(token: Token, found: bool) -> None:
    """Of any series."""
    study = a_study(a_source("north", [a_series(), a_series("2.25.1.2", body_part="CHEST")]))

    assert finds(study, bodysite=((token,),)) is found
    assert not finds(a_study(), bodysite=((token,),))


@pytest.mark.parametrize(("id_", "found"), [("north", True), ("Endpoint/north", True), ("south", False), ("", False)])
def test_endpoints_find_what_a_facility_holds(id_: str, found: bool) -> None:
    """By the facility's id."""
    assert finds(a_study(), endpoint=((id_,),)) is found


def test_ids_find_their_study() -> None:
    """`_id`."""
    assert finds(a_study(), id=((STUDY_ID,),))
    assert not finds(a_study(), id=(("f0" * 16,),))


def test_commas_are_or_and_repetition_is_and() -> None:
    """FHIR R4 search §3.1.1.3."""
    ct, mr, us = Token(None, "CT"), Token(None, "MR"), Token(None, "US")
    study = a_study(a_source(modalities=("CT", "US")))

    assert finds(study, modality=((mr, ct),))
    assert finds(study, modality=((mr, ct), (us,)))
    assert not finds(study, modality=((ct,), (mr,)))
    assert not finds(study, modality=((ct,),), id=(("other",),))


EXACT = started_at("20240501", "083000", "+0200")
"""06:30:00 UTC."""
DAY = started_at("20240501", zone="Europe/Zurich")


@pytest.mark.parametrize(
    ("start", "value", "found"),
    [
        (EXACT, "2024-05-01T08:30:00+02:00", True),
        (EXACT, "2024-05-01T06:30:00Z", True),
        (EXACT, "2024-05-01T06:30Z", True),
        (EXACT, "2024-05-01T08:30:00Z", False),
        (EXACT, "2024-05-01", True),
        (EXACT, "2024-05", True),
        (EXACT, "2024", True),
        (EXACT, "2023", False),
        (EXACT, "ne2024-05-01", False),
        (EXACT, "ne2024-05-02", True),
        (EXACT, "gt2024-05-01", False),
        (EXACT, "gt2024-04-30", True),
        (EXACT, "gt2024-05-01T06:29:59Z", True),
        (EXACT, "gt2024-05-01T06:30:00Z", False),
        (EXACT, "lt2024-05-01", False),
        (EXACT, "lt2024-05-02", True),
        (EXACT, "lt2024-05-01T06:30:01Z", True),
        (EXACT, "ge2024-05-01", True),
        (EXACT, "ge2024-05-02", False),
        (EXACT, "ge2024-04-01", True),
        (EXACT, "le2024-05-01", True),
        (EXACT, "le2024-04-30", False),
        (EXACT, "le2024-06", True),
        (EXACT, "sa2024-04-30", True),
        (EXACT, "sa2024-05-01", False),
        (EXACT, "eb2024-05-02", True),
        (EXACT, "eb2024-05-01", False),
        (EXACT, "ap2024-05-01", True),
        (EXACT, "ap2024-03", True),
        (EXACT, "ap2010", False),
        (EXACT, "ap2026-11-24", False),
        (EXACT, "ap0001-01-01", False),
        (EXACT, "ap9999-12-31", False),
        (DAY, "2024-05-01", True),
        (DAY, "2024-05", True),
        (DAY, "2024-05-01T08:30:00+02:00", False),
        (DAY, "gt2024-05-01T08:30:00+02:00", True),
        (DAY, "lt2024-05-01T08:30:00+02:00", True),
        (DAY, "sa2024-05-01T08:30:00+02:00", False),
        (DAY, "sa2024-04-30T21:59:59Z", True),
        (DAY, "eb2024-05-01T22:00:00Z", True),
        (DAY, "ne2024-05-01T08:30:00+02:00", True),
    ],
)
def test_started_finds_by_every_prefix_and_precision(start: Started, value: str, found: bool) -> None:
    """FHIR R4 search §3.1.1.4.7: intervals against intervals."""
    assert started(a_study(a_source(started=start)), value) is found


def test_a_date_means_the_day_where_the_study_was_made() -> None:
    """Half past ten in the evening in New York is the next day in UTC, and still that day's study."""
    study = a_study(a_source(started=started_at("20240501", "223000", zone="America/New_York")))

    assert started(study, "2024-05-01")
    assert not started(study, "2024-05-02")
    assert started(study, "2024-05-02T02:30:00Z")


def test_a_range_is_two_bounds() -> None:
    """`started=ge…&started=lt…`."""
    study = a_study(a_source(started=EXACT))

    assert started(study, "ge2024-05-01", "lt2024-05-02")
    assert not started(study, "ge2024-05-01", "lt2024-05-01")


@pytest.mark.parametrize("value", ["2024-05-01", "ne2024-05-01", "ge0001", "le9999", "ap2024"])
def test_a_study_without_a_start_is_found_by_none(value: str) -> None:
    """Not even by `ne`: nothing is known."""
    assert not started(a_study(), value)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("gt2026-11-24T12:00:00.123Z", False),
        ("gt2026-11-24T12:00:00.122Z", True),
        ("gt2026-11-24T12:00:00Z", True),
        ("gt2026-11-24T12:00:01Z", False),
        ("gt2026-11-24T12:00Z", False),
        ("gt2026-11-24T11:59Z", True),
        ("gt2026-11-24", False),
        ("gt2026-11-23", True),
        ("ge2026-11-24T12:00:00.123Z", True),
        ("ge2026-11-24", True),
        ("lt2026-11-24T12:00:00.123Z", False),
        ("lt2026-11-24T12:00:00.124Z", True),
        ("2026-11-24", True),
        ("2026-11-24T12:00:00.123Z", True),
        ("eb2026-11-24", False),
    ],
)
def test_last_updated_finds_what_is_newer_and_not_the_same_again(value: str, found: bool) -> None:
    """A poller sends back the instant it was given; cut to seconds, it must not hide the rest of that second."""
    study = a_study(facts=some_facts(first_seen=NOON + timedelta(microseconds=123_456)))

    assert updated(study, value) is found


def test_t068_what_a_withheld_source_says_finds_nothing() -> None:
    """Matching is asked of what was combined: the withheld one isn't in it, whatever it holds."""
    hidden = a_source(
        "south",
        [a_series("2.25.1.9", modality="MR", body_part="KNEE")],
        started=started_at("20200101"),
        accession=Identifier("", "S-9"),
        availability="unknown",
    )
    shown = a_source("north", availability="unknown")
    probes = [
        {"modality": ((Token(None, "MR"),),)},
        {"bodysite": ((Token(None, "KNEE"),),)},
        {"identifier": ((Token(None, "S-9"),),)},
        {"endpoint": (("south",),)},
        {"started": ((parse_date_bound("2020", "started"),),)},
        {"status": ((Token(None, "available"),),)},
    ]

    assert [finds(a_study(shown), **probe) for probe in probes] == [False] * 6
    assert [finds(a_study(shown, hidden), **probe) for probe in probes[:5]] == [True] * 5


def test_studies_are_sorted_by_each_key_in_turn() -> None:
    """Newest first; those without a start last either way; ids decide between equals."""
    early, late = started_at("20240101", "080000", "+0100"), started_at("20240101", "073000", "+0000")
    studies = {
        name: a_study_called(name, start) for name, start in (("a", None), ("b", early), ("c", late), ("d", early))
    }

    def order(*sort: tuple[str, bool]) -> str:
        return "".join(sorted(studies, key=lambda name: sort_key(studies[name], sort)))  # type: ignore[arg-type]

    assert order(("started", True)) == "cbda"
    assert order(("started", False)) == "bdca"
    assert order(("_lastUpdated", True), ("started", False)) == "dcba"
    assert order(("_lastUpdated", False)) == "abcd"
    assert order() == "abcd"


def a_study_called(name: str, start: Started | None) -> Study:
    """A study called `name`, updated the later the further its name is in the alphabet."""
    time = datetime(2026, 1, ord(name) - 96, tzinfo=UTC)
    return a_study(a_source(started=start), facts=some_facts(first_seen=time, linked_at=time))._replace(id=name)
