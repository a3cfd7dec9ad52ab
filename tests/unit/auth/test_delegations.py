"""Until when may somebody act for somebody: the rule alone."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from gateway.auth.delegations import comes_of_age, stands_until

ZURICH = ZoneInfo("Europe/Zurich")
SAMOA = ZoneInfo("Pacific/Apia")
FAR = datetime(2099, 1, 1, tzinfo=UTC)


def _parent(born: str | None, now: datetime, zone: ZoneInfo = ZURICH, until: datetime = FAR) -> datetime | None:
    return stands_until("parent", until, [born], now, age=18, zone=zone)


def test_t063_a_parent_acts_until_the_birthday_begins_where_the_exchange_is() -> None:
    """To the second: 17 years and 364 days old, and 18 years old."""
    birthday = datetime(2026, 5, 4, tzinfo=ZURICH)

    assert comes_of_age(date(2008, 5, 4), 18, ZURICH) == birthday
    assert _parent("2008-05-04", birthday - timedelta(seconds=1)) == birthday
    assert _parent("2008-05-04", birthday) is None
    assert _parent("2008-05-04", birthday - timedelta(days=1)) == birthday
    assert _parent("2008-05-04", birthday + timedelta(days=1)) is None


def test_t063_the_day_begins_in_another_zone_at_another_moment() -> None:
    """Half a day's difference between two exchanges is half a day's difference of the right."""
    moment = datetime(2026, 5, 3, 12, 0, tzinfo=UTC)  # already 4 May in Samoa

    assert _parent("2008-05-04", moment, SAMOA) is None
    assert _parent("2008-05-04", moment, ZURICH) is not None


@pytest.mark.parametrize(("age", "of_age"), [(18, date(2026, 3, 1)), (20, date(2028, 2, 29)), (16, date(2024, 2, 29))])
def test_t063_who_was_born_on_29_february_comes_of_age_on_1_march_in_other_years(age: int, of_age: date) -> None:
    """Never a day too early; on the day itself where the year has one."""
    assert comes_of_age(date(2008, 2, 29), age, ZURICH).date() == of_age


@pytest.mark.parametrize("hour", [1, 2, 3])
def test_t063_a_birthday_on_which_the_clocks_change_is_one(hour: int) -> None:
    """29 March 2026 has 23 hours in Zurich: it begins at its midnight."""
    day = datetime(2026, 3, 29, tzinfo=ZURICH)

    assert _parent("2008-03-29", day - timedelta(seconds=1)) == day
    assert _parent("2008-03-29", day.replace(hour=hour)) is None


def test_t063_where_records_differ_the_earliest_birth_decides() -> None:
    """A part of a date may mean its first day."""
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    assert stands_until("parent", FAR, ["2012-01-01", "2007-01-01"], now, age=18, zone=ZURICH) is None
    assert _parent("2008", now) is None
    assert _parent("2008-04", now) == datetime(2026, 4, 1, tzinfo=ZURICH)


@pytest.mark.parametrize("born", [None, "", "unknown", "2008-13-01"])
def test_t063_without_a_birth_date_nobody_acts_as_a_parent(born: str | None) -> None:
    """That the patient is a child is then not known."""
    assert _parent(born, datetime(2026, 1, 1, tzinfo=UTC)) is None


def test_t063_what_was_agreed_ends_when_it_was_to_end() -> None:
    """Before the birthday too; and for others than parents age is no matter."""
    until = datetime(2026, 1, 1, tzinfo=UTC)

    assert _parent("2020-01-01", until - timedelta(seconds=1), until=until) == until
    assert _parent("2020-01-01", until, until=until) is None
    for basis in ("guardian", "power-of-attorney"):
        assert stands_until(basis, FAR, ["1950-01-01"], until, age=18, zone=ZURICH) == FAR  # type: ignore[arg-type]
