"""Which interval a FHIR date of any precision denotes (T43)."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.consent.period import FOREVER, moment_of
from gateway.model import Moment


def at(*parts: int, hours: float = 0) -> datetime:
    """An instant of a clock that is `hours` ahead of UTC."""
    return datetime(*parts, tzinfo=UTC) - timedelta(hours=hours)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026", at(2026, 1, 1), at(2027, 1, 1)),
        ("2026-12", at(2026, 12, 1), at(2027, 1, 1)),
        ("2026-02", at(2026, 2, 1), at(2026, 3, 1)),
        ("2026-12-31", at(2026, 12, 31), at(2027, 1, 1)),
        ("2024-02-29", at(2024, 2, 29), at(2024, 3, 1)),
        ("2026-12-31T23:59:59Z", at(2026, 12, 31, 23, 59, 59), at(2027, 1, 1)),
        ("2026-12-31T23:59:59-05:00", at(2026, 12, 31, 23, 59, 59, hours=-5), at(2027, 1, 1, hours=-5)),
        ("2026-06-01T00:00:00+05:30", at(2026, 6, 1, hours=5.5), at(2026, 6, 1, 0, 0, 1, hours=5.5)),
        ("2026-06-01T00:00:00.5Z", at(2026, 6, 1, 0, 0, 0, 500_000), at(2026, 6, 1, 0, 0, 0, 600_000)),
        ("2026-06-01T00:00:00.1234567Z", at(2026, 6, 1, 0, 0, 0, 123_456), at(2026, 6, 1, 0, 0, 0, 123_457)),
        ("9999", at(9999, 1, 1), FOREVER),
        ("9999-12", at(9999, 12, 1), FOREVER),
        ("9999-12-31", at(9999, 12, 31), FOREVER),
        ("9999-12-31T23:59:59.999999Z", at(9999, 12, 31, 23, 59, 59, 999_999), FOREVER),
    ],
)
def test_t043_a_date_denotes_the_whole_of_what_it_states(text: str, start: datetime, end: datetime) -> None:
    """A date without a time is a day in UTC; a time has its own offset; the end of time is no error."""
    assert moment_of(text) == Moment(start=start, end=end)


@pytest.mark.parametrize(
    "text",
    [
        *("", "26", "2026-13", "2026-02-30", "2026-1-1", "2026-00", "0000", "2026-12-31T10:00Z", "2026-12-31T10:00:00"),
        *("2026-12-31T24:00:00Z", "2026-12-31T23:59:60Z", "2026-12-31T10:00:00+25:00", "2026-12-31 10:00:00Z"),
        *("2026-12-31T10:00:00z", "２０２６", "2026-12-31T10:00:00.Z", "tomorrow", "2026\n"),
    ],
)
def test_what_is_no_fhir_date_denotes_nothing(text: str) -> None:
    """A time without an offset among them: nobody could say when it is."""
    assert moment_of(text) is None
