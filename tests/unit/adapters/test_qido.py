"""How a question is written, and which answers hold rows."""

import json

import pytest

from gateway.adapters.base import HTTPResult
from gateway.adapters.qido import patient_parameters
from gateway.adapters.qido_answer import Refused, read_rows
from tests.facilities.rows import Row, a_study_row, attribute


@pytest.mark.parametrize(
    ("patient_id", "texts"),
    [
        ("N-1", ["PatientID=N-1"]),
        ("N-1 ", ["PatientID=N-1"]),
        ("A^B", ["PatientID=A^B", "PatientID=A%5EB"]),
        ("A|B", ["PatientID=A|B", "PatientID=A%7CB"]),
        ("a=b;c/d", ["PatientID=a=b;c/d"]),
        ("A B", ["PatientID=A%20B"]),
        ("A&B=C", ["PatientID=A%26B=C"]),
        ("1+1", ["PatientID=1%2B1"]),
        ("50%", ["PatientID=50%25"]),
        ("a#b", ["PatientID=a%23b"]),
        ("Ü7", ["PatientID=%C3%9C7"]),
    ],
)
def test_a_value_goes_out_as_it_is_unless_that_would_say_something_else(patient_id: str, texts: list[str]) -> None:
    """An old Orthanc decodes nothing; what a strict server may refuse is tried escaped after that."""
    assert [parameter.text for parameter in patient_parameters(patient_id)] == texts


def test_escaped_parameters_are_marked() -> None:
    """The limit beside an escaped value is escaped too, so that a server that decodes nothing refuses."""
    assert [one.escaped for one in patient_parameters("A^B")] == [False, True]
    assert [one.escaped for one in patient_parameters("A B")] == [True]


@pytest.mark.parametrize(
    "result",
    [
        HTTPResult(status=204),
        HTTPResult(status=200),
        HTTPResult(status=200, body=b"[]"),
        HTTPResult(status=200, body=b" \r\n"),
        HTTPResult(status=200, body=b"null"),
        HTTPResult(status=200, body=b"\xef\xbb\xbf[]"),
    ],
)
def test_nothing_found_is_said_in_many_ways(result: HTTPResult) -> None:
    """204, an empty list, an empty body and null are the same."""
    assert read_rows(result) == []


@pytest.mark.parametrize("junk", [None, 5, "a", []])
def test_what_is_no_object_among_rows_costs_only_itself(junk: object) -> None:
    """It stays in its place as a row that says nothing, so that pages are still counted right."""
    good = a_study_row("N-1", "2.25.1")

    assert read_rows(HTTPResult(status=200, body=json.dumps([good, junk]).encode())) == [good, {}]


@pytest.mark.parametrize(
    "body",
    [
        b"<html>log in</html>",
        b"{}",
        b"5",
        b'["a"]',
        b"[[]]",
        b"[NaN]",
        b'[{"a":Infinity}]',
        b"[",
        b"[" * 100_000 + b"]" * 100_000,
        b'[{"a":"\xff"}]',
        b'[{"a":"\\ud800"}]',
        b"--boundary\r\nContent-Type: application/dicom+xml",
        json.dumps([a_study_row("N-1", "2.25.1")]).encode()[:-2] + b',"00100020":{"vr":"LO","Value":["OTHER"]}}]',
        b"[" + b"[]," * 2_000_000 + b"[]]",
    ],
    ids=lambda body: body[:20].decode("latin-1"),
)
def test_t106_what_is_no_list_of_rows_is_unreadable(body: bytes) -> None:
    """Whatever an answer is made of, it ends as one word."""
    with pytest.raises(Refused) as refused:
        read_rows(HTTPResult(status=200, body=body))

    assert refused.value.status == "unreadable"


def test_identifiers_inside_sequences_are_no_duplicates() -> None:
    """(0020,000D) stands in sequences too; a second look tells that from a row with two."""
    row: Row = a_study_row("N-1", "2.25.1", _00081110=attribute("SQ", {"0020000D": attribute("UI", "2.25.2")}))

    assert read_rows(HTTPResult(status=200, body=json.dumps([row]).encode())) == [row]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        *((code, "refused") for code in (301, 302, 307, 400, 401, 403, 404, 405, 406, 410, 413)),
        *((code, "unreachable") for code in (408, 425, 429, 500, 501, 502, 503, 504)),
    ],
)
def test_a_status_says_why_there_are_no_rows(code: int, status: str) -> None:
    """A redirect is not followed (T104); trouble of the archive's own is transient."""
    with pytest.raises(Refused) as refused:
        read_rows(HTTPResult(status=code, body=b"[]"))

    assert (refused.value.status, refused.value.code) == (status, code)


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        ("timed_out", "timed_out"),
        ("unreachable", "unreachable"),
        ("too_large", "unreadable"),
        ("unreadable", "unreadable"),
    ],
)
def test_a_failed_exchange_says_why(failure: str, status: str) -> None:
    """The transport's words become the reply's."""
    with pytest.raises(Refused) as refused:
        read_rows(HTTPResult(failure=failure))  # type: ignore[arg-type]

    assert refused.value.status == status
