"""FHIR date search values: prefix, precision, zone."""

from datetime import UTC, datetime

import pytest

from gateway.errors import InvalidQuery
from gateway.search_dates import parse_date_bound


def _utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("value", "start", "end"),
    [
        ("2024", _utc(2024, 1, 1), _utc(2025, 1, 1)),
        ("2023", _utc(2023, 1, 1), _utc(2024, 1, 1)),
        ("2024-02", _utc(2024, 2, 1), _utc(2024, 3, 1)),
        ("2024-12", _utc(2024, 12, 1), _utc(2025, 1, 1)),
        ("2024-05-01", _utc(2024, 5, 1), _utc(2024, 5, 2)),
        ("2024-05-01T10:30Z", _utc(2024, 5, 1, 10, 30), _utc(2024, 5, 1, 10, 31)),
        ("2024-05-01T10:30:15Z", _utc(2024, 5, 1, 10, 30, 15), _utc(2024, 5, 1, 10, 30, 16)),
        ("2024-05-01T10:30:15.25Z", _utc(2024, 5, 1, 10, 30, 15, 250000), _utc(2024, 5, 1, 10, 30, 15, 260000)),
        ("2024-05-01T10:30:15.1234567Z", _utc(2024, 5, 1, 10, 30, 15, 123456), _utc(2024, 5, 1, 10, 30, 15, 123457)),
        ("2024-05-01T10:30:00+02:00", _utc(2024, 5, 1, 8, 30), _utc(2024, 5, 1, 8, 30, 1)),
        ("2024-05-01T10:30:00-05:30", _utc(2024, 5, 1, 16), _utc(2024, 5, 1, 16, 0, 1)),
        ("2024-06-30T23:59:60Z", _utc(2024, 7, 1), _utc(2024, 7, 1, 0, 0, 1)),
        ("2024-06-30T12:00:00+14:00", _utc(2024, 6, 29, 22), _utc(2024, 6, 29, 22, 0, 1)),
    ],
)
def test_a_value_denotes_the_interval_of_its_precision(value: str, start: datetime, end: datetime) -> None:
    """Year, month, day, minute, second and fraction each denote a half-open interval in UTC."""
    bound = parse_date_bound(value, "started")

    assert (bound.moment.start, bound.moment.end) == (start, end)


@pytest.mark.parametrize("value", ["9999", "9999-12", "9999-12-31", "9999-12-31T23:59Z", "9999-12-31T23:59:59.9Z"])
def test_the_last_day_there_is_ends_with_time(value: str) -> None:
    """The end of the calendar is the end of the interval, without an overflow."""
    assert parse_date_bound(value, "started").moment.end == datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize("prefix", ["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"])
def test_every_prefix_of_r4_is_read(prefix: str) -> None:
    """All nine prefixes; none means `eq`."""
    assert parse_date_bound(f"{prefix}2024-05-01", "started").prefix == prefix
    assert parse_date_bound("2024-05-01", "started").prefix == "eq"


def test_a_date_alone_has_no_zone_and_a_time_has_one() -> None:
    """Calendar days are compared with wall-clock time where the study was made; times with the world's."""
    assert not parse_date_bound("2024-05-01", "started").zoned
    assert not parse_date_bound("ge2024", "started").zoned
    assert parse_date_bound("2024-05-01T00:00Z", "started").zoned


@pytest.mark.parametrize(
    "value",
    [
        *("yesterday", "24-05-01", "2024-5-1", "2024-05-01T10", "2024-05-01T10:30:15.Z", "xx2024", "ge", "2024-05-01Z"),
        *("20240501", "2024-05-01T", "٢٠٢٤-05-01", "2024-05-01 10:30Z", "2024-05-01\n", "ge ge2024", "2024-05-01T10Z"),
    ],
)
def test_what_is_no_fhir_date_is_refused_by_the_parameter_name(value: str) -> None:
    """The refusal names the parameter, never the value."""
    with pytest.raises(InvalidQuery) as refused:
        parse_date_bound(value, "started")

    assert refused.value.reason.startswith("started is not a FHIR date")


@pytest.mark.parametrize(
    "value",
    [
        *("ge9999-99-99", "2024-13", "2024-02-30", "0000", "2024-00-01", "2024-05-01T24:00Z", "2024-05-01T10:60Z"),
        *("2024-05-01T10:30:61Z", "2024-05-01T10:30:99Z", "2024-05-01T10:30+14:01", "2024-05-01T10:30+10:60"),
        *("0001-01-01T00:00+10:00", "9999-12-31T23:59-10:00", "9999-12-31T23:59:60Z"),
    ],
)
def test_t117a_a_date_that_does_not_exist_is_refused(value: str) -> None:
    """`ge9999-99-99` and its like are 400, not a crash."""
    with pytest.raises(InvalidQuery) as refused:
        parse_date_bound(value, "started")

    assert refused.value.reason == "started names a date or time that does not exist"


def test_a_time_needs_its_zone() -> None:
    """FHIR R4 dateTime: a time without a zone could mean any of 26 hours."""
    with pytest.raises(InvalidQuery) as refused:
        parse_date_bound("2024-05-01T10:30:00", "started")

    assert "time zone" in refused.value.reason
