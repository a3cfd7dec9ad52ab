"""Granular scopes, for all studies: what is shown only shrinks as scopes narrow; a grant admits what both sides do."""

from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.app_scopes import narrowed
from gateway.auth.granular import limit_of
from gateway.auth.smart_scopes import grant, limits_of, scope_admits
from gateway.imaging.narrowing import narrow
from gateway.imaging.study import Series, SourceStudy, Started
from gateway.model import Identifier
from gateway.search_values import parse_dates
from tests.factories import NOON, a_facility, a_source_study

NORTH = a_facility("north")
CODES = ("CT", "MR", "SR", "XX")
SITES = ("CHEST", "HEAD", None)
DATES = ("2019-05-01", "2023-01-31", None)


def _started(text: str | None) -> Started | None:
    return Started(text=text, moment=parse_dates(text, "started")[0].moment) if text else None


one_series = st.tuples(
    st.integers(0, 5), st.sampled_from((*CODES, None)), st.sampled_from(SITES), st.sampled_from((None, 1, 40))
).map(lambda told: Series(uid=f"2.25.{told[0]}", modality=told[1], body_part=told[2], instances=told[3]))


@st.composite
def studies(draw: st.DrawFn) -> SourceStudy:
    """As an archive tells it: with series or without, and with modalities that no series has."""
    series = draw(st.none() | st.lists(one_series, max_size=4, unique_by=lambda one: one.uid).map(tuple))
    stated = set(draw(st.lists(st.sampled_from(CODES), max_size=2))) | {
        one.modality for one in series or () if one.modality
    }
    return a_source_study(
        NORTH,
        modalities=tuple(sorted(stated)),
        series=series or None,
        number_of_series=draw(st.sampled_from((None, len(series or ()), 5))),
        started=_started(draw(st.sampled_from(DATES))),
        accession=draw(st.sampled_from((None, Identifier("urn:a", "1")))),
        availability=draw(st.sampled_from(("available", "unknown"))),
    )


values = {
    "modality": ("CT", "CT,MR", "http://dicom.nema.org/resources/ontology/DCM|CT", "|XX", "unknown", "SR"),
    "bodysite": ("CHEST", "HEAD,CHEST", "http://snomed.info/sct|51185008", "http://snomed.info/sct|"),
    "started": ("ge2020", "2019-05-01", "lt2020,gt2022"),
    "status": ("available", "unknown"),
    "identifier": ("urn:a|1", "1", "urn:dicom:uid|urn:oid:2.25.1"),
}


def _said(names: list[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.tuples(*[st.sampled_from([f"{name}={value}" for value in values[name]]) for name in names])


parameters = st.lists(st.sampled_from(tuple(values)), max_size=3, unique=True).flatmap(_said)
granular = st.builds(
    lambda said, letters: f"system/ImagingStudy.{letters}" + (f"?{'&'.join(said)}" if said else ""),
    parameters,
    st.sampled_from(("r", "s", "rs")),
)
some = st.lists(granular, min_size=1, max_size=3)


def shown(scopes: tuple[str, ...], study: SourceStudy, now: datetime = NOON) -> set[str]:
    """What a search with these scopes tells of a study: its being there, its modalities, its series."""
    if not any(text.partition("?")[0].endswith("s") for text in scopes):
        return set()
    limits = limits_of(scopes, "s", patient_bound=False)
    part = study if limits is None else narrow(study, limits, now)
    if part is None:
        return set()
    return {"there", *part.modalities, *(series.uid for series in part.series or ())}


@given(some, granular, studies())
def test_t035_a_scope_less_never_shows_more(scopes: list[str], more: str, study: SourceStudy) -> None:
    """Each scope that is added adds, and none takes away."""
    assert shown(tuple(scopes), study) <= shown((*scopes, more), study)
    assert shown((*scopes, more), study) == shown(tuple(scopes), study) | shown((more,), study)


@given(parameters, st.sampled_from(tuple(values)), studies())
def test_t035_a_parameter_more_never_shows_more(said: tuple[str, ...], name: str, study: SourceStudy) -> None:
    """`?modality=CT&bodysite=CHEST` shows no more than `?modality=CT`."""
    if not said or any(one.startswith(name) for one in said):
        return
    wide = "system/ImagingStudy.s?" + "&".join(said)
    for value in values[name]:
        assert shown((f"{wide}&{name}={value}",), study) <= shown((wide,), study)


@given(some, some, studies())
def test_t035_a_grant_shows_no_more_than_either_side(asked: list[str], held: list[str], study: SourceStudy) -> None:
    """Neither what was not asked for nor what the client isn't registered for; and asked again it is the same."""
    granted = grant(asked, held, context="system")
    assert shown(granted, study) <= shown(tuple(asked), study)
    assert shown(granted, study) <= shown(tuple(held), study)
    assert grant(granted, held, context="system") == granted


@given(some, some, studies())
def test_t035_a_refresh_shows_and_opens_no_more_than_was_granted(
    asked: list[str], held: list[str], study: SourceStudy
) -> None:
    """Whatever it asks for: it is given that or nothing, and what it is given was granted before."""
    given_ = narrowed(" ".join(asked), held)
    assert given_ in ((), tuple(dict.fromkeys(asked)))
    assert shown(given_, study) <= shown(tuple(held), study)
    if scope_admits(given_, study, NOON, patient_bound=False):
        assert scope_admits(tuple(held), study, NOON, patient_bound=False)
    assert narrowed(" ".join(held), held) == tuple(dict.fromkeys(held))


@given(some, studies())
def test_t035_nothing_opens_that_is_not_shown(scopes: list[str], study: SourceStudy) -> None:
    """A series opens where it is shown; the whole opens only where nothing of it is left out."""
    reading = tuple(text.replace(".s", ".rs").replace(".rrs", ".rs") for text in scopes)
    searching = tuple(text.replace(".rs", ".s").replace(".r", ".s") for text in reading)
    told = shown(searching, study)
    for series in study.series or ():
        if scope_admits(reading, study, NOON, patient_bound=False, series_uid=series.uid):
            assert series.uid in told
    if scope_admits(reading, study, NOON, patient_bound=False):
        assert told == {"there", *study.modalities, *(series.uid for series in study.series or ())}


@given(st.text(max_size=40))
def test_any_text_is_read_or_is_not(text: str) -> None:
    """Reading parameters never fails."""
    limit_of("ImagingStudy", text)
