"""The bytes of a record are one, lossless, and what RFC 8785 says they are."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given

from gateway.audit.canonical import MOST_CHARACTERS, UnreadableRecord, from_canonical, to_canonical
from gateway.audit.record import AuditRecord
from tests.factories_audit import NOON, a_record, a_who, any_record


@given(any_record)
def test_a_record_comes_back_from_its_bytes_as_it_was(record: AuditRecord) -> None:
    """Reading what was written gives an equal record, and writing that gives the same bytes."""
    raw = to_canonical(record)

    assert from_canonical(raw) == record
    assert to_canonical(from_canonical(raw)) == raw


@given(any_record)
def test_the_bytes_are_the_json_that_every_rfc_8785_library_writes(record: AuditRecord) -> None:
    """Someone who checks the log with another library gets the same bytes from the same values."""
    raw = to_canonical(record)

    assert raw == json.dumps(json.loads(raw), ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def test_times_are_utc_with_microseconds_whatever_zone_they_were_given_in() -> None:
    """The same moment gives the same bytes."""
    abroad = NOON.astimezone(timezone(timedelta(hours=-5)))

    assert to_canonical(a_record(id="r", recorded=abroad)) == to_canonical(a_record(id="r", recorded=NOON))
    assert b'"recorded":"2026-03-05T12:00:00.123456Z"' in to_canonical(a_record())
    whole = datetime(2026, 3, 5, tzinfo=UTC)
    assert b'"recorded":"2026-03-05T00:00:00.000000Z"' in to_canonical(a_record(recorded=whole))


def test_the_schema_is_named_inside_and_defaults_take_no_room() -> None:
    """A later field that nobody set leaves the bytes of old records as they are."""
    least = AuditRecord(id="r", recorded=NOON, kind="alert", outcome="success")

    assert json.loads(to_canonical(least)) == {
        "schema": 1,
        "id": "r",
        "recorded": "2026-03-05T12:00:00.123456Z",
        "kind": "alert",
        "outcome": "success",
    }


def test_a_fraction_is_refused_because_no_two_libraries_write_it_alike() -> None:
    """Numbers are whole."""
    with pytest.raises(TypeError, match="float in reason"):
        to_canonical(a_record(reason=0.5))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b'{"schema":2}',
        b'{"schema":1}',
        b'{"schema":1,"id":"r","surprise":1}',
        b'{"schema":1,"id":"r","kind":"alert","outcome":"success","recorded":"2026-03-05T12:00:00Z","asked":[1]}',
        b"\xff\xfe",
    ],
)
def test_bytes_that_are_no_record_are_refused(raw: bytes) -> None:
    """Other schemas, missing and unknown members and other JSON are never taken for a record."""
    with pytest.raises(UnreadableRecord):
        from_canonical(raw)


@pytest.mark.parametrize(
    "hostile", ["a\r\nb", "\x1b[2J", '","outcome":"0', "line\u2028separator", "\ud800", "x" * 2**20]
)
def test_t086_a_hostile_text_stays_inside_its_own_member(hostile: str) -> None:
    """One record, encoded, cut where it is too long; nothing else of it changes."""
    record = a_record(who=a_who(subject_name=hostile))
    raw = to_canonical(record)

    assert b"\n" not in raw
    assert len(raw) < 8_000
    kept = from_canonical(raw)
    assert kept.outcome == record.outcome
    name = kept.who.subject_name
    assert name is not None
    if len(hostile) > MOST_CHARACTERS:
        assert name == "x" * MOST_CHARACTERS + " … (cut: 1048576 characters)"
    else:
        assert name == hostile.replace("\ud800", "\\ud800")


def test_t085_a_token_in_a_request_keeps_its_end_at_most() -> None:
    """In a query or a form, whatever it is called there; everything else of the request stays as it was."""
    token = "eyJ" + "0123456789abcdef" * 5
    asked = f"GET /fhir/r4/ImagingStudy?Access_Token={token}&patient=Patient/1&code=eyJx"
    posted = f"POST /fhir/r4/ImagingStudy/_search\n\npatient=Patient/1&client_assertion={token}"

    signed = f"eyJhbGciOi.eyJpc3Mi.{'0123456789abcdef' * 5}"
    hinted = f"GET /oauth/authorize?id_token_hint={signed}&state=eyJ.x"
    assert from_canonical(to_canonical(a_record(request=hinted))).request == hinted.replace(signed, signed[-32:])

    for request in (asked, posted):
        kept = from_canonical(to_canonical(a_record(request=request))).request
        assert kept == request.replace(token, token[-32:])
    plain = "GET /fhir/r4/Patient?identifier=http://token.example|password&name=Secret"
    assert from_canonical(to_canonical(a_record(request=plain))).request == plain


@pytest.mark.parametrize(
    "text", ["a" * 130_000, "eyJ" * 43_000, "eyJ.eyJ" * 18_000, "token=" * 21_000, "=.eyJ-" * 21_000]
)
def test_t086_no_request_makes_the_search_for_tokens_slow(text: str) -> None:
    """A hostile body is looked through once, from its beginning to its end (quadratic, it would take minutes)."""
    record = a_record(request=f"POST /fhir/r4/ImagingStudy/_search\n\n{text}&x=.eyJ&token=")

    assert from_canonical(to_canonical(record)).id == record.id


def test_a_salted_record_is_the_same_record() -> None:
    """What makes a hash of it untellable is no part of what it says."""
    record = a_record()

    assert from_canonical(to_canonical(record, salt="00" * 16)) == record
    assert to_canonical(record, salt="00" * 16) != to_canonical(record, salt="11" * 16)
