"""DICOM dates and times become valid FHIR dateTimes with the right offset, or the date alone; none fails a study."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from gateway.imaging.dicom_time import read_date, read_started

FHIR_DATE_TIME = re.compile(
    r"([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)(-(0[1-9]|1[0-2])(-(0[1-9]|[1-2][0-9]|3[0-1])"
    r"(T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?(Z|(\+|-)((0[0-9]|1[0-3]):[0-5][0-9]|14:00)))?)?)?"
)
"""FHIR R4 §datatypes dateTime, its own expression."""
NEW_YORK = "America/New_York"


def text_of(date: str | None, time: str | None = None, offset: str | None = None, zone: str = "") -> str | None:
    """The FHIR text, held against FHIR's own grammar."""
    started = read_started(date, time, offset, zone)
    assert started is None or FHIR_DATE_TIME.fullmatch(started.text)
    return started.text if started else None


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("20240229", "2024-02-29"),
        ("2024.02.29", "2024-02-29"),
        ("2024-02-29", "2024-02-29"),
        ("20230229", None),
        ("20241301", None),
        ("00000000", None),
        ("00010101", None),
        ("99991231", None),
        ("2024", None),
        ("2024.0229", None),
        ("20240229 ", None),
        ("２０２４0229", None),
        ("today", None),
        ("", None),
        (None, None),
    ],
)
def test_only_a_day_that_exists_is_a_date(text: str | None, day: str | None) -> None:
    """DA and its older form; placeholders for no date at all are none."""
    found = read_date(text)

    assert (found.isoformat() if found else None) == day


@pytest.mark.parametrize(
    ("time", "shown", "width"),
    [
        ("083000", "2024-07-01T08:30:00-04:00", timedelta(seconds=1)),
        ("08:30:00", "2024-07-01T08:30:00-04:00", timedelta(seconds=1)),
        ("083000.123", "2024-07-01T08:30:00.123-04:00", timedelta(milliseconds=1)),
        ("083000.120000", "2024-07-01T08:30:00.12-04:00", timedelta(milliseconds=10)),
        ("083000.000000", "2024-07-01T08:30:00-04:00", timedelta(seconds=1)),
        ("083000.123456789", "2024-07-01T08:30:00.123456-04:00", timedelta(microseconds=1)),
        ("083000.", "2024-07-01T08:30:00-04:00", timedelta(seconds=1)),
        ("0830", "2024-07-01T08:30:00-04:00", timedelta(minutes=1)),
        ("08:30", "2024-07-01T08:30:00-04:00", timedelta(minutes=1)),
        ("08", "2024-07-01T08:00:00-04:00", timedelta(hours=1)),
        ("000000", "2024-07-01T00:00:00-04:00", timedelta(seconds=1)),
    ],
)
def test_a_time_is_told_as_exactly_as_it_is_known(time: str, shown: str, width: timedelta) -> None:
    """FHIR wants seconds, so missing ones are zero; the interval searched keeps the true precision."""
    started = read_started("20240701", time, None, NEW_YORK)

    assert started
    assert started.text == shown
    assert FHIR_DATE_TIME.fullmatch(started.text)
    assert started.moment.end - started.moment.start == width


@pytest.mark.parametrize(
    "time", ["", None, "24:00:00", "240000", "236060", "8", "083", "083000-090000", "noon", "08-30", "083000.12a"]
)
def test_a_broken_time_leaves_the_date(time: str | None) -> None:
    """A wrong hour is worse than none."""
    assert text_of("20240701", time, None, NEW_YORK) == "2024-07-01"


@pytest.mark.parametrize(
    ("offset", "shown"),
    [
        ("+0100", "2024-07-01T08:30:00+01:00"),
        ("-0530", "2024-07-01T08:30:00-05:30"),
        ("+05:45", "2024-07-01T08:30:00+05:45"),
        ("+1400", "2024-07-01T08:30:00+14:00"),
        ("-0000", "2024-07-01T08:30:00+00:00"),
        ("+1401", "2024-07-01T08:30:00-04:00"),
        ("+0160", "2024-07-01T08:30:00-04:00"),
        ("0100", "2024-07-01T08:30:00-04:00"),
        ("EST", "2024-07-01T08:30:00-04:00"),
        ("", "2024-07-01T08:30:00-04:00"),
    ],
)
def test_the_offset_the_study_states_goes_before_the_facilitys_zone(offset: str, shown: str) -> None:
    """(0008,0201), where it is one that exists."""
    assert text_of("20240701", "083000", offset, NEW_YORK) == shown


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../../etc/passwd", "America"])
def test_without_any_offset_the_date_stands_alone(zone: str) -> None:
    """FHIR R4: a time has an offset."""
    assert text_of("20240701", "083000", None, zone) == "2024-07-01"


@pytest.mark.parametrize(
    ("date", "time", "zone", "shown"),
    [
        ("20240115", "083000", NEW_YORK, "2024-01-15T08:30:00-05:00"),
        ("20240715", "083000", NEW_YORK, "2024-07-15T08:30:00-04:00"),
        ("20240310", "015959", NEW_YORK, "2024-03-10T01:59:59-05:00"),
        ("20240310", "023000", NEW_YORK, "2024-03-10T02:30:00-05:00"),
        ("20240310", "030000", NEW_YORK, "2024-03-10T03:00:00-04:00"),
        ("20241103", "013000", NEW_YORK, "2024-11-03T01:30:00-04:00"),
        ("20241103", "020000", NEW_YORK, "2024-11-03T02:00:00-05:00"),
        ("20240331", "023000", "Europe/Zurich", "2024-03-31T02:30:00+01:00"),
        ("20070311", "120000", NEW_YORK, "2007-03-11T12:00:00-04:00"),
        ("20060312", "120000", NEW_YORK, "2006-03-12T12:00:00-05:00"),
        ("20240715", "083000", "Asia/Kathmandu", "2024-07-15T08:30:00+05:45"),
        ("20240115", "083000", "Australia/Lord_Howe", "2024-01-15T08:30:00+11:00"),
        ("20240715", "083000", "Australia/Lord_Howe", "2024-07-15T08:30:00+10:30"),
    ],
)
def test_the_offset_is_the_one_of_that_place_at_that_time(date: str, time: str, zone: str, shown: str) -> None:
    """Summer time by the rules of the year; at a change of clocks, the offset from before it."""
    assert text_of(date, time, None, zone) == shown


def test_an_offset_with_seconds_is_none_that_fhir_can_write() -> None:
    """Before standard time New York was 4:56:02 behind."""
    assert text_of("18830101", "120000", None, NEW_YORK) == "1883-01-01"


def test_a_date_alone_is_the_whole_day_of_its_place() -> None:
    """Also where the day has 23 hours."""
    started = read_started("20240310", None, None, NEW_YORK)

    assert started
    assert started.moment.start.astimezone(UTC) == datetime(2024, 3, 10, 5, tzinfo=UTC)
    assert started.moment.end.astimezone(UTC) == datetime(2024, 3, 11, 4, tzinfo=UTC)


@pytest.mark.parametrize(("offset", "start"), [("+0200", 22), (None, 0)])
def test_a_date_alone_uses_the_stated_offset_else_utc(offset: str | None, start: int) -> None:
    """Where the facility has no zone."""
    started = read_started("20240311", None, offset, "")

    assert started
    assert started.moment.start.astimezone(UTC).hour == start
    assert started.moment.end - started.moment.start == timedelta(days=1)


def test_without_a_date_nothing_is_known() -> None:
    """A time alone says nothing."""
    assert text_of(None, "083000", "+0100") is None
    assert text_of("20240230", "083000", "+0100") is None
