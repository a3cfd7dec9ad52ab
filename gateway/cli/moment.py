"""A point in time as operators give it to a command."""

from datetime import UTC, date, datetime, timedelta

import click

_A_DAY = timedelta(days=1)
_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


class Moment(click.ParamType[datetime]):
    """A date (UTC, the whole day) or a date and time with its offset."""

    name = "time"

    def __init__(self, *, end: bool) -> None:
        """`end`: of a date it is the end that is meant."""
        self._end = end

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The start of the time given, or its end."""
        text = str(value)
        try:
            if len(text) == len("2026-11-24"):
                day = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
                return _end_of(day) if self._end else day
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                self.fail("a time needs its offset (2026-11-24T08:00:00+01:00)", param, ctx)
            return moment.astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail("give a date, or a date and time with its offset (2026-11-24T08:00:00+01:00)", param, ctx)


def _end_of(day: datetime) -> datetime:
    return day + _A_DAY if day <= _END_OF_TIME - _A_DAY else _END_OF_TIME
