"""Searches on ImagingStudy, parsed: contract §6."""

from dataclasses import replace

import pytest

from gateway.errors import InvalidQuery, NotAcceptable, UnsupportedParameter
from gateway.fhir.parameters import ENDPOINT, IMAGING_STUDY, ORGANIZATION, SearchTable
from gateway.fhir.patient_parameters import PATIENT
from gateway.fhir.patient_search_params import parse_patient_search
from gateway.fhir.query_string import read_pairs, write_url
from gateway.fhir.search_params import (
    DirectoryType,
    ImagingSearch,
    parse_directory_search,
    parse_imaging_search,
)
from gateway.model import Identifier, PatientRef, Token
from gateway.mpi.patient_query import STRING_FIELDS

BASE = "https://gateway.example/fhir/r4"


def _search(query: str, *, strict: bool = False) -> ImagingSearch:
    return parse_imaging_search(read_pairs(query), strict=strict, path_base=BASE)


def _self(query: str) -> str:
    return write_url("", _search(query).self_pairs).removeprefix("?")


@pytest.mark.parametrize(
    "query",
    [
        *("patient=p1", "patient=Patient/p1", "patient:Patient=p1", "subject=Patient/p1", "subject:Patient=p1"),
        f"patient={BASE}/Patient/p1",
    ],
)
def test_a_patient_is_named_by_reference(query: str) -> None:
    """`patient` and `subject`, bare, relative or absolute."""
    assert _search(query).query.patient == PatientRef(id="p1")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["patient.identifier", "patient:identifier", "subject.identifier", "subject:identifier"]
)
def test_a_patient_is_named_by_identifier(name: str) -> None:
    """An identifier is enough; the caller needs no id of ours."""
    assert _search(f"{name}=urn:oid:1.2%7C42").query.patient == PatientRef(identifier=Identifier("urn:oid:1.2", "42"))


@pytest.mark.parametrize(
    "query",
    [
        *("patient=A&patient=B", "patient=A&patient=A", "patient=A,B", "subject=B&patient=A", "patient=A&subject=A"),
        *("patient=A&patient.identifier=s%7C1", "patient.identifier=s%7C1,s%7C2"),
        "patient:identifier=s%7C1&patient.identifier=s%7C1",
    ],
)
def test_t032a_a_search_names_exactly_one_patient(query: str) -> None:
    """Two patients, or the same one twice, are refused however they are written."""
    with pytest.raises(InvalidQuery):
        _search(query)


@pytest.mark.parametrize(
    "query",
    [
        *("patient:Patient.identifier=s%7C1", "_has:Observation:patient:code=1", "_filter=x", "_query=x", "_content=x"),
        *("_text=x", "_list=1", "patient.name=x", "subject.birthdate=2000", "performer.name=x", "patient:missing=true"),
        *(
            "_has=x",
            "patient:Group=1",
            "_revinclude=*",
            "_revinclude:iterate=x:y",
            "_include:iterate=ImagingStudy:endpoint",
        ),
        *(
            "modality:not=CT",
            "identifier:of-type=x",
            "started:missing=true",
            "_id:not=1",
            "modality:text=x",
            "_cursor=x",
        ),
        *("endpoint.name=x", "_sort:asc=started", "_lastUpdated:exact=2024"),
    ],
)
@pytest.mark.parametrize("value", ["", "patient=A&"])
def test_t037a_what_would_reach_further_if_it_were_ignored_is_refused(query: str, value: str) -> None:
    """Chains, reverse chains, filters, and modifiers of known parameters: 400 `not-supported` in every mode."""
    with pytest.raises(UnsupportedParameter):
        _search(value + query)


@pytest.mark.parametrize("query", ["", "modality=CT", "_id=a,b", "patient=", "_count=10&patient="])
def test_t037b_a_search_without_a_patient_says_what_it_needs(query: str) -> None:
    """The refusal names the parameter that is missing."""
    with pytest.raises(InvalidQuery, match="patient=Patient/") as refused:
        _search(query)

    assert "patient.identifier=system|value" in refused.value.reason


@pytest.mark.parametrize(
    "value", ["*", "ImagingStudy:*", "ImagingStudy:basedon", "Patient:link", "ImagingStudy:endpoint,*"]
)
def test_t038a_only_endpoint_and_patient_are_included(value: str) -> None:
    """`_include=*` and everything else is refused, not ignored."""
    with pytest.raises(UnsupportedParameter):
        _search(f"patient=A&_include={value}")


@pytest.mark.parametrize(
    ("query", "endpoint", "patient"),
    [
        ("", False, False),
        ("&_include=ImagingStudy:endpoint", True, False),
        ("&_include=ImagingStudy:endpoint:Endpoint", True, False),
        ("&_include=ImagingStudy:patient", False, True),
        ("&_include=ImagingStudy:subject:Patient", False, True),
        ("&_include=ImagingStudy:endpoint&_include=ImagingStudy:patient", True, True),
        ("&_include=ImagingStudy:endpoint,ImagingStudy:subject", True, True),
    ],
)
def test_includes_add_up(query: str, endpoint: bool, patient: bool) -> None:
    """Each spelling of both, alone and together."""
    search = _search("patient=A" + query)

    assert (search.include_endpoint, search.include_patient) == (endpoint, patient)


def test_filters_are_an_and_of_ors() -> None:
    """Comma is OR, repetition is AND."""
    query = _search(
        "patient=A&modality=CT,MR&modality=US&identifier=urn:dicom:uid%7Curn:oid:1.2.3&started=ge2024&started=lt2025"
        "&status=available&bodysite=51185008&endpoint=Endpoint/north,south&_id=x,y&_lastUpdated=gt2024-05-01T00:00:00Z"
    ).query

    assert query.modality == ((Token(None, "CT"), Token(None, "MR")), (Token(None, "US"),))
    assert query.identifier == ((Token("urn:dicom:uid", "urn:oid:1.2.3"),),)
    assert [[bound.prefix for bound in alternatives] for alternatives in query.started] == [["ge"], ["lt"]]
    assert query.status == ((Token(None, "available"),),)
    assert query.bodysite == ((Token(None, "51185008"),),)
    assert query.endpoint == (("north", "south"),)
    assert query.id == (("x", "y"),)
    assert query.last_updated[0][0].zoned


def test_unknown_parameters_are_ignored_and_left_out_of_self() -> None:
    """FHIR R4 search: the client learns from `self` what was honoured."""
    assert _self("patient=A&foo=bar&performer=x&_security=R&foo:exact=1&modality=CT") == "patient=A&modality=CT"


@pytest.mark.parametrize("query", ["foo=bar", "performer=x", "_security=R", "Patient=B"])
def test_t117d_strict_handling_refuses_unknown_parameters_by_name(query: str) -> None:
    """`Prefer: handling=strict`: 400 that names the parameter."""
    with pytest.raises(UnsupportedParameter) as refused:
        _search("patient=A&" + query, strict=True)

    assert refused.value.reason == f"{query.partition('=')[0]} is not supported"


@pytest.mark.parametrize("name", ["<script>", "a b", "x" * 65, "Müller", "a\\b"])
def test_t121a_a_name_that_is_no_token_is_not_echoed(name: str) -> None:
    """What a browser might run, or a person be named by, stays out of the answer."""
    with pytest.raises(UnsupportedParameter) as refused:
        parse_imaging_search([("patient", "A"), (name, "1")], strict=True, path_base=BASE)

    assert name not in refused.value.reason


def test_an_empty_value_is_ignored_unless_handling_is_strict() -> None:
    """Forms send fields that nobody filled in; a strict client hears of it."""
    assert _self("patient=A&modality=&_sort=") == "patient=A"
    with pytest.raises(InvalidQuery, match="modality has no value"):
        _search("patient=A&modality=", strict=True)


@pytest.mark.parametrize("value", ["a\x00", "a\r\nb", "\x1b[2J", "\x7f", "\x85", "\u2028", "\ufffd", "a\ud800"])
def test_t117e_what_is_not_text_is_refused(value: str) -> None:
    """Control characters, NUL, lone surrogates and the mark of broken UTF-8: in names and in values."""
    for pair in (("modality", value), (value, "1")):
        with pytest.raises(InvalidQuery, match="not text"):
            parse_imaging_search([("patient", "A"), pair], strict=False, path_base=BASE)


def test_t117f_what_is_too_long_is_refused() -> None:
    """Values, their number and their sum have limits, ignored parameters included."""
    for query in (
        "patient=A&foo=" + "x" * 2049,
        "patient=A" + "&x=1" * 100,
        "patient=A" + ("&foo=" + "x" * 1500) * 3,
        "patient=A" + ("&foo=" + "%C3%A4" * 1100) * 2,
    ):
        with pytest.raises(InvalidQuery, match="at most"):
            _search(query)
    with pytest.raises(InvalidQuery, match="at most 100"):
        parse_imaging_search([("patient", "A")] * 101, strict=False, path_base=BASE)


@pytest.mark.parametrize(
    ("query", "count", "summary", "told"),
    [
        ("", 50, "false", "patient=A"),
        ("&_count=10", 10, "false", "patient=A&_count=10"),
        ("&_count=200", 200, "false", "patient=A&_count=200"),
        ("&_count=201", 200, "false", "patient=A&_count=200"),
        ("&_count=" + "9" * 30, 200, "false", "patient=A&_count=200"),
        ("&_count=0", 50, "count", "patient=A&_count=0"),
        ("&_summary=count", 50, "count", "patient=A&_summary=count"),
        ("&_summary=true", 50, "true", "patient=A&_summary=true"),
        ("&_summary=false&_elements=status", 50, "false", "patient=A&_summary=false&_elements=status"),
    ],
)
def test_t065a_count_and_summary(query: str, count: int, summary: str, told: str) -> None:
    """At most 200 a page, and `self` says so; `_count=0` is `_summary=count`."""
    search = _search("patient=A" + query)

    assert (search.count, search.summary, _self("patient=A" + query)) == (count, summary, told)


@pytest.mark.parametrize(
    "query",
    [
        *("_count=-1", "_count=1e9", "_count=x", "_count=1.5", "_count=٣", "_count=5&_count=6", "_summary=yes"),
        *("_total=exact", "_pretty=1", "_summary=true&_elements=status", "_summary=count&_summary=true"),
        *("_sort=modality", "_sort=started,", "_sort=started:desc", "_sort=started&_sort=-started", "_count=%2B5"),
    ],
)
def test_t117g_result_parameters_that_mean_nothing_are_refused(query: str) -> None:
    """Numbers that are none, words that aren't in the list, one parameter twice."""
    with pytest.raises(InvalidQuery):
        _search("patient=A&" + query)


@pytest.mark.parametrize(
    ("query", "sort"),
    [
        ("", (("started", True),)),
        ("&_sort=started", (("started", False),)),
        ("&_sort=-_lastUpdated,started", (("_lastUpdated", True), ("started", False))),
        ("&_sort=_lastUpdated", (("_lastUpdated", False),)),
        ("&_sort=-started,started", (("started", True),)),
    ],
)
def test_sorting(query: str, sort: object) -> None:
    """Newest first unless said; several keys; the first of a repeated key counts."""
    assert _search("patient=A" + query).sort == sort


def test_elements_are_those_of_the_resource() -> None:
    """Unknown ones are left out, also of `self`; strict handling refuses them."""
    search = _search("patient=A&_elements=identifier,ImagingStudy.series,frobnicate, status,identifier")

    assert search.elements == ("identifier", "series", "status")
    assert dict(search.self_pairs)["_elements"] == "identifier,series,status"
    assert _search("patient=A&_elements=frobnicate").elements == ()
    assert _self("patient=A&_elements=frobnicate") == "patient=A"
    with pytest.raises(InvalidQuery, match="_elements"):
        _search("patient=A&_elements=frobnicate", strict=True)
    assert _search("patient=A&_elements=status", strict=True).elements == ("status",)


def test_total_and_pretty_are_honoured() -> None:
    """What was asked for is kept; both go into `self`."""
    search = _search("patient=A&_total=none&_pretty=true&_format=json")

    assert (search.total, search.pretty) == ("none", True)
    assert _self("patient=A&_total=none&_pretty=true&_format=json") == "patient=A&_total=none&_pretty=true&_format=json"


def test_t118a_another_format_is_not_acceptable() -> None:
    """`_format=html` and XML: 406."""
    for format_ in ("html", "xml", "application/fhir%2Bxml", "ttl"):
        with pytest.raises(NotAcceptable):
            _search(f"patient=A&_format={format_}")


@pytest.mark.parametrize(
    ("query", "wants"),
    [
        ("", True),
        ("&_summary=true", True),
        ("&_summary=data", True),
        ("&_summary=text", False),
        ("&_summary=count", False),
        ("&_count=0", False),
        ("&_summary=count&modality=CT", True),
        ("&_summary=count&bodysite=1", True),
        ("&_summary=count&_lastUpdated=gt2024", True),
        ("&_summary=count&_sort=_lastUpdated", True),
        ("&_summary=count&identifier=1.2.3", False),
        ("&_elements=status,endpoint", False),
        ("&_elements=status,endpoint&modality=CT", True),
        ("&_elements=series", True),
        ("&_elements=modality", True),
        ("&_elements=numberOfSeries", True),
        ("&_elements=numberOfInstances", True),
    ],
)
def test_series_are_wanted_where_the_answer_needs_them(query: str, wants: bool) -> None:
    """A series query is spared only where neither the answer nor a filter can tell the difference."""
    assert _search("patient=A" + query).query.wants_series is wants


def test_a_blank_for_the_plus_of_a_zone_is_understood() -> None:
    """Many clients forget to percent-encode it; the self link says what was understood, in words that hold."""
    search = _search("patient=A&started=ge2024-05-01T10:00:00+02:00")

    assert search.query.started[0][0].moment.start.isoformat() == "2024-05-01T08:00:00+00:00"
    url = write_url("https://x/ImagingStudy", search.self_pairs)
    assert url == "https://x/ImagingStudy?patient=A&started=ge2024-05-01T10:00:00%2B02:00"
    assert read_pairs(url.partition("?")[2]) == search.self_pairs


def test_a_blank_in_any_other_value_is_a_blank() -> None:
    """A plus that was not percent-encoded reads as one (HTML forms), and the self link means the same."""
    search = _search("patient.identifier=urn:s|A+B%2B1")

    assert search.query.patient.identifier == Identifier("urn:s", "A B+1")
    assert write_url("", search.self_pairs) == "?patient.identifier=urn:s%7CA%20B%2B1"


def test_a_search_is_what_its_self_link_says() -> None:
    """Parsing the honoured parameters again gives the same search: page links rely on it."""
    search = _search("patient=A&x=1&started=ge2024&_count=500&_elements=status,nope&identifier=a%5C,b&_sort=started")

    assert parse_imaging_search(search.self_pairs, strict=True, path_base=BASE) == search


VALUES = {
    "patient": "p2",
    "subject": "p2",
    "patient.identifier": "urn:s|1",
    "identifier": "urn:s|1",
    "_id": "x",
    "started": "2024",
    "_lastUpdated": "2024",
    "modality": "CT",
    "status": "active",
    "bodysite": "1",
    "endpoint": "north",
    "organization": "north",
    "name": "n",
    "_count": "7",
    "_summary": "true",
    "_total": "none",
    "_elements": "id",
    "_sort": "started",
    "_include": "ImagingStudy:endpoint",
    "_pretty": "true",
    "active": "true",
    **dict.fromkeys((*STRING_FIELDS, "telecom"), "x"),
    "birthdate": "2024",
    "gender": "female",
    "targetSystem": "urn:s",
}


def _parsed(table: SearchTable, pairs: list[tuple[str, str]]) -> object:
    if table is IMAGING_STUDY:
        named = any(name in ("patient", "subject", "patient.identifier") for name, _ in pairs)
        return replace(
            parse_imaging_search(pairs if named else [("patient", "p1"), *pairs], strict=True, path_base=BASE),
            self_pairs=(),
        )
    if table is PATIENT:
        named = any(name in ("_id", "identifier") for name, _ in pairs)
        return replace(
            parse_patient_search(pairs if named else [("_id", "p1"), *pairs], strict=True, path_base=BASE),
            self_pairs=(),
        )
    kind: DirectoryType = "Endpoint" if table is ENDPOINT else "Organization"
    return replace(parse_directory_search(pairs, kind, strict=True, path_base=BASE), self_pairs=())


@pytest.mark.parametrize(
    "table", [IMAGING_STUDY, PATIENT, ENDPOINT, ORGANIZATION], ids=lambda table: table.resource_type
)
def test_every_parameter_of_the_tables_changes_the_search(table: SearchTable) -> None:
    """What the CapabilityStatement names, the parsers honour; `_format` changes nothing, as all answers are JSON."""
    for parameter in table.parameters:
        if parameter.name != "_format":
            value = "-family" if table is PATIENT and parameter.name == "_sort" else VALUES[parameter.name]
            assert _parsed(table, [(parameter.name, value)]) != _parsed(table, []), parameter.name
