"""A URI is read as narrowly as it can be written: what two programs might read differently is read by neither."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.retrieval.resource import Resource, is_uid, prefixes_of, read_uri
from tests.factories import a_facility

A, B = "1.2.840.1", "1.2.840.2"
PREFIXES = frozenset({"/dicom-web"})


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        (f"/studies/{A}", Resource(study=A)),
        (f"/studies/{A}/metadata", Resource(study=A)),
        (f"/studies/{A}/bulkdata", Resource(study=A)),
        (f"/studies/{A}/series", Resource(study=A, lists=True)),
        (f"/studies/{A}/series?includefield=all&limit=5&offset=0", Resource(study=A, lists=True)),
        (f"/studies/{A}/series/{B}/thumbnail", Resource(study=A, series=B)),
        (f"/studies/{A}/series/{B}/instances", Resource(study=A, series=B, lists=True)),
        (f"/studies/{A}/series/{B}/instances/1.3", Resource(study=A, series=B, instance="1.3")),
        (
            f"/studies/{A}/series/{B}/instances/1.3/frames/1,2,3/rendered?quality=80",
            Resource(study=A, series=B, instance="1.3", frames=True),
        ),
        (
            f"/studies/{A}/series/{B}/instances/1.3/bulkdata/00091010/1/0002",
            Resource(study=A, series=B, instance="1.3"),
        ),
        (f"/studies?0020000D={A}", Resource(study=A, lists=True)),
        (f"/instances?StudyInstanceUID={A}&SeriesInstanceUID={B}", Resource(study=A, lists=True)),
    ],
)
def test_the_known_resources_are_read(path: str, resource: Resource) -> None:
    """DICOM PS3.18 §10.4 and §10.6."""
    assert read_uri(f"/dicom-web{path}", PREFIXES) == resource


TRICKS = (
    f"/dicom-web/studies/{A}/../{B}",
    f"/dicom-web/studies/{A}/./metadata",
    f"/dicom-web//studies/{B}",
    f"//dicom-web/studies/{B}",
    f"/dicom-web/studies//{B}",
    f"/dicom-web/studies/{A}%2F..%2F{B}",
    f"/dicom-web/studies/{A}/%2e%2e/{B}",
    f"/dicom-web/studies/{A}/%252e%252e/{B}",
    f"/dicom-web/studies/{A}%2F{B}",
    f"/dicom-web/%73tudies/{A}",
    f"/dicom-web/studies;x=1/{A}",
    f"/dicom-web/studies/{A};jsessionid=1",
    f"/dicom-web/studies/{A}/",
    f"/dicom-web/studies/{A} ",
    f"/dicom-web/studies/ {A}",
    f"/dicom-web/studies/{A}%20",
    f"/dicom-web/studies/{A}%00",
    f"/dicom-web/studies/{A}\x00",
    f"/dicom-web/studies/{A}\n",
    f"/dicom-web/studies/{A}\\..\\{B}",
    f"/dicom-web/studies/{A}#/../{B}",
    f"/dicom-web/studies/{A},/dicom-web/studies/{B}",
    f"/dicom-web/studies/1.{'2' * 63}",
    "/dicom-web/studies/1",
    "/dicom-web/studies/.1.2",
    "/dicom-web/studies/1.2.",
    "/dicom-web/studies/1..2",
    "/dicom-web/studies/1.2*",
    "/dicom-web/studies/１.２",
    f"/dicom-web/studies/{A}/series/{B}/instances/1.3/frames/0",
    f"/dicom-web/studies/{A}/series/{B}/instances/1.3/frames/1%2F2",
    f"/dicom-web/studies/{A}/bulkdata/../../{B}",
    f"/dicom-web/studies/{A}/bulkdata/..",
    f"/dicom-web/studies/{A}/instances/{B}",
    f"/dicom-web/studies/{A}/unknown",
    f"/dicom-web/STUDIES/{A}",
    f"/dicom-web/studies/{A}?access_token=x",
    f"/dicom-web/studies/{A}?accept=a;b",
    f"/dicom-web/studies/{A}?StudyInstanceUID={B}",
    f"/dicom-web/studies/{A}/series?StudyInstanceUID={B}",
    f"/dicom-web/studies/{A}/series?PatientID=x",
    f"/dicom-web/studies/{A}/series?%53tudyInstanceUID={B}",
    "/dicom-web/studies",
    "/dicom-web/studies?PatientID=x",
    "/dicom-web/studies?StudyInstanceUID=",
    "/dicom-web/studies?StudyInstanceUID=*",
    f"/dicom-web/studies?StudyInstanceUID={A},{B}",
    f"/dicom-web/studies?StudyInstanceUID={A}%5C{B}",
    f"/dicom-web/studies?StudyInstanceUID={A}\\{B}",
    f"/dicom-web/studies?StudyInstanceUID={A}&StudyInstanceUID={B}",
    f"/dicom-web/studies?StudyInstanceUID={A}&0020000D={B}",
    f"/dicom-web/studies?studyinstanceuid={A}",
    f"/dicom-web/studies?StudyInstanceUID={A}&PatientName=x",
    f"/dicom-web/studies?StudyInstanceUID={A}&",
    f"/studies/{A}",
    f"/dicom-webx/studies/{A}",
    f"/dicom-web/x/studies/{A}",
    "/",
    "/dicom-web",
    "/instances/1-2-3/file",
    "/system",
    f"http://evil.example/dicom-web/studies/{A}",
    f"dicom-web/studies/{A}",
    "*",
    "",
    "/dicom-web/studies/" + "1." * 3000 + "1",
)


@pytest.mark.parametrize("uri", TRICKS)
def test_t098_path_tricks_are_not_read(uri: str) -> None:
    """Dots, doubled slashes, escapes, parameters, UIDs that are none, wildcards, lists, other services: refused."""
    assert read_uri(uri, PREFIXES) is None


@given(st.text(max_size=200))
def test_t098_whatever_is_written_only_what_stands_there_is_read(tail: str) -> None:
    """No text makes the gate read a study that does not stand in it, letter by letter, as a segment or a value."""
    resource = read_uri(f"/dicom-web/{tail}", PREFIXES)
    if resource is not None:
        for uid in (resource.study, resource.series, resource.instance):
            assert uid is None or (is_uid(uid) and uid in tail)


def test_t098_leading_zeros_make_another_uid() -> None:
    """It is compared as it is written, so that it is another study, which nobody knows."""
    resource = read_uri("/dicom-web/studies/1.02.840.1", PREFIXES)

    assert resource is not None
    assert resource.study == "1.02.840.1" != A


def test_a_service_stands_where_the_facility_says() -> None:
    """Under the path of its gate, or its own; of two that begin alike, the longer is meant."""
    facility = a_facility(
        "north", gate_url="https://gate.example/north/dicom-web", link_url="https://pacs.example/north"
    )
    prefixes = prefixes_of(facility)

    assert prefixes == {"/north/dicom-web", "/north"}
    assert read_uri(f"/north/dicom-web/studies/{A}", prefixes) == Resource(study=A)
    assert read_uri(f"/north/studies/{A}", prefixes) == Resource(study=A)
    assert read_uri(f"/studies/{A}", prefixes_of(a_facility("x", link_url="https://pacs.example"))) == Resource(study=A)
