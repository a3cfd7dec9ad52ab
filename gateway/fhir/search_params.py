"""What does a search ask for? The query string of each search, parsed; nothing is silently widened."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gateway.errors import InvalidQuery, UnsupportedParameter
from gateway.fhir.answer_form import AnswerForm, parse_answer_form
from gateway.fhir.parameters import ENDPOINT, IMAGING_STUDY, ORGANIZATION
from gateway.fhir.sift import Sifted, sift
from gateway.imaging.matching import SortKey
from gateway.model import PatientID, PatientRef, StudyQuery, Token
from gateway.search_values import (
    parse_dates,
    parse_identifier,
    parse_ids,
    parse_reference,
    parse_references,
    parse_strings,
    parse_tokens,
)

Sort = tuple[tuple[SortKey, bool], ...]
"""Each key with whether it descends, the first one deciding first."""

DEFAULT_SORT: Sort = (("started", True),)
_SORTS: dict[str, tuple[SortKey, bool]] = {
    "started": ("started", False),
    "-started": ("started", True),
    "_lastUpdated": ("_lastUpdated", False),
    "-_lastUpdated": ("_lastUpdated", True),
}
_INCLUDES = {
    "ImagingStudy:endpoint": "Endpoint",
    "ImagingStudy:endpoint:Endpoint": "Endpoint",
    "ImagingStudy:patient": "Patient",
    "ImagingStudy:patient:Patient": "Patient",
    "ImagingStudy:subject": "Patient",
    "ImagingStudy:subject:Patient": "Patient",
}
_TOLD_BY_SERIES = frozenset(("series", "modality", "numberOfSeries", "numberOfInstances"))

_NEEDS_SERIES = frozenset(("modality", "bodysite", "_lastUpdated"))

Read = Callable[[str, str, str], object]
"""From a value, its parameter and the base of references: the alternatives."""


def _endpoints(value: str, parameter: str, base: str) -> tuple[str, ...]:
    return parse_references(value, parameter, "Endpoint", base)


def _organizations(value: str, parameter: str, base: str) -> tuple[str, ...]:
    return parse_references(value, parameter, "Organization", base)


def _plain(read: Callable[[str, str], object]) -> Read:
    return lambda value, parameter, _: read(value, parameter)


_STUDY_FILTERS: Mapping[str, tuple[str, Read]] = {
    "identifier": ("identifier", _plain(parse_tokens)),
    "started": ("started", _plain(parse_dates)),
    "_lastUpdated": ("last_updated", _plain(parse_dates)),
    "modality": ("modality", _plain(parse_tokens)),
    "status": ("status", _plain(parse_tokens)),
    "bodysite": ("bodysite", _plain(parse_tokens)),
    "endpoint": ("endpoint", _endpoints),
    "_id": ("id", _plain(parse_ids)),
}
_DIRECTORY_FILTERS: Mapping[str, tuple[str, Read]] = {
    "_id": ("id", _plain(parse_ids)),
    "name": ("name", _plain(parse_strings)),
    "organization": ("organization", _organizations),
    "status": ("status", _plain(parse_tokens)),
}

DirectoryType = Literal["Endpoint", "Organization"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagingSearch(AnswerForm):
    """One search on ImagingStudy: what is asked for, and how the answer is wanted."""

    query: StudyQuery
    sort: Sort
    include_endpoint: bool
    include_patient: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectorySearch(AnswerForm):
    """One search on Endpoint or Organization. Each tuple is an AND of ORs."""

    id: tuple[tuple[str, ...], ...] = ()
    name: tuple[tuple[str, ...], ...] = ()
    """Beginnings of names, in any case."""
    organization: tuple[tuple[str, ...], ...] = ()
    status: tuple[tuple[Token, ...], ...] = ()


def parse_imaging_search(pairs: Sequence[tuple[str, str]], *, strict: bool, path_base: str) -> ImagingSearch:
    """The search that `pairs` ask for, about exactly one patient.

    `path_base` is the FHIR base URL, which references may carry. Raises InvalidQuery (UnsupportedParameter where it is
    understood and not supported), and NotAcceptable for a `_format` other than JSON.
    """
    sifted = sift(pairs, IMAGING_STUDY, strict=strict)
    form = parse_answer_form(sifted, IMAGING_STUDY, strict=strict)
    sort = _sort(sifted)
    included = _included(sifted)
    query = StudyQuery(
        patient=_patient(sifted, path_base),
        wants_series=_wants_series(sifted, form, sort),
        **_filters(sifted, _STUDY_FILTERS, path_base),
    )
    return ImagingSearch(
        **of_form(form),
        query=query,
        sort=sort,
        include_endpoint="Endpoint" in included,
        include_patient="Patient" in included,
    )


def parse_directory_search(
    pairs: Sequence[tuple[str, str]], resource_type: DirectoryType, *, strict: bool, path_base: str
) -> DirectorySearch:
    """The search on the directory of facilities. Raises InvalidQuery or UnsupportedParameter."""
    table = ENDPOINT if resource_type == "Endpoint" else ORGANIZATION
    sifted = sift(pairs, table, strict=strict)
    return DirectorySearch(
        **of_form(parse_answer_form(sifted, table, strict=strict)),
        **_filters(sifted, _DIRECTORY_FILTERS, path_base),
    )


def of_form(form: AnswerForm) -> dict[str, Any]:
    """The form's values, by name."""
    return {name: getattr(form, name) for name in AnswerForm.__slots__}


def _filters(sifted: Sifted, filters: Mapping[str, tuple[str, Read]], base: str) -> dict[str, Any]:
    return {
        field: tuple([read(value, name, base) for value in sifted.values[name]])
        for name, (field, read) in filters.items()
        if name in sifted.values
    }


def _patient(sifted: Sifted, base: str) -> PatientRef:
    references = [*sifted.all("patient"), *sifted.all("subject")]
    identifiers = sifted.all("patient.identifier")
    if len(references) + len(identifiers) > 1:
        raise InvalidQuery("a search on ImagingStudy names its one patient once")
    if references:
        return PatientRef(id=PatientID(parse_reference(references[0], "patient", "Patient", base)))
    if identifiers:
        return PatientRef(identifier=parse_identifier(identifiers[0], "patient.identifier"))
    raise InvalidQuery(
        "a search on ImagingStudy needs its patient: patient=Patient/{id} or patient.identifier=system|value"
    )


def _sort(sifted: Sifted) -> Sort:
    text = sifted.one("_sort", "")
    if not text:
        return DEFAULT_SORT
    keys = text.split(",")
    if not all(key in _SORTS for key in keys):
        raise UnsupportedParameter("_sort is one or more of " + ", ".join(_SORTS))
    first: dict[SortKey, bool] = {}
    for key, descends in (_SORTS[key] for key in keys):
        first.setdefault(key, descends)
    return tuple(first.items())


def _included(sifted: Sifted) -> set[str]:
    wanted = [word for value in sifted.all("_include") for word in value.split(",")]
    if not all(word in _INCLUDES for word in wanted):
        raise UnsupportedParameter("_include is ImagingStudy:endpoint or ImagingStudy:patient")
    return {_INCLUDES[word] for word in wanted}


def _wants_series(sifted: Sifted, form: AnswerForm, sort: Sort) -> bool:
    # `meta.lastUpdated` tells of changes in the series, so whoever filters or sorts by it needs them too.
    if not sifted.values.keys().isdisjoint(_NEEDS_SERIES) or any(key == "_lastUpdated" for key, _ in sort):
        return True
    if form.summary in ("count", "text"):
        return False
    return not form.elements or not _TOLD_BY_SERIES.isdisjoint(form.elements)
