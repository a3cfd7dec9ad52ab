"""What interval of time does a FHIR date search value denote?"""

import re
from calendar import isleap, monthrange
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Literal, cast

from gateway.errors import InvalidQuery
from gateway.model import DateBound, Moment

Prefix = Literal["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]

_DATE = re.compile(
    r"(?P<prefix>eq|ne|gt|lt|ge|le|sa|eb|ap)?"
    r"(?P<year>[0-9]{4})(?:-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2})"
    r"(?:T(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,9}))?)?"
    r"(?P<zone>Z|[+\-][0-9]{2}:[0-9]{2})?)?)?)?"
)
_END_OF_TIME = datetime.max.replace(tzinfo=UTC)
_A_DAY = timedelta(days=1)
_FURTHEST_OFFSET = timedelta(hours=14)


def parse_date_bound(value: str, parameter: str) -> DateBound:
    """The prefix and the interval that `value` denotes, by its precision (FHIR R4 search §3.1.1.4.7).

    A date without a time keeps its calendar days, wherever the study was made (`DateBound.zoned` is False). A time
    needs its zone (FHIR R4 `dateTime`). Raises InvalidQuery that names `parameter` and never the value.
    """
    found = _DATE.fullmatch(value)
    if found is None:
        raise InvalidQuery(f"{parameter} is not a FHIR date: [prefix]YYYY[-MM[-DD[Thh:mm[:ss[.sss]]Z|±hh:mm]]]")
    timed = found["hour"] is not None
    if timed and not found["zone"]:
        raise InvalidQuery(f"{parameter} has a time without a time zone (Z or ±hh:mm)")
    try:
        moment = _with_time(found) if timed else _calendar(found["year"], found["month"], found["day"])
    except (ValueError, OverflowError) as exc:
        raise InvalidQuery(f"{parameter} names a date or time that does not exist") from exc
    return DateBound(prefix=cast("Prefix", found["prefix"] or "eq"), moment=moment, zoned=timed)


def is_within(at: datetime, bound: DateBound) -> bool:
    """Whether an instant that is kept exactly fits the bound (FHIR R4 search §3.1.1.4.7); near is within it."""
    start, end = bound.moment.start, bound.moment.end
    match bound.prefix:
        case "eq" | "ap":
            return start <= at < end
        case "ne":
            return not start <= at < end
        case "gt" | "sa":
            return at >= end
        case "ge":
            return at >= start
        case "lt" | "eb":
            return at < start
        case _:  # le
            return at < end


def _calendar(year: str, month: str | None, day: str | None) -> Moment:
    first = datetime(int(year), int(month or 1), int(day or 1), tzinfo=UTC)
    if day:
        return Moment(start=first, end=_after(first, _A_DAY))
    days = monthrange(first.year, first.month)[1] if month else 365 + isleap(first.year)
    return Moment(start=first, end=_after(first, timedelta(days=days)))


def _after(start: datetime, span: timedelta) -> datetime:
    return start + span if start <= _END_OF_TIME - span else _END_OF_TIME


def _with_time(found: re.Match[str]) -> Moment:
    second, fraction = found["second"], found["fraction"]
    if fraction:
        span = timedelta(microseconds=10 ** max(0, 6 - len(fraction)))
    else:
        span = timedelta(seconds=1) if second else timedelta(minutes=1)
    day = date(int(found["year"]), int(found["month"]), int(found["day"]))
    minute = datetime.combine(day, time(int(found["hour"]), int(found["minute"])), _zone(found["zone"]))
    start = minute.astimezone(UTC) + _past_the_minute(second, fraction)
    return Moment(start=start, end=_after(start, span))


def _past_the_minute(second: str | None, fraction: str | None) -> timedelta:
    seconds = int(second or 0)
    if seconds > 60:  # 60 is the leap second that the R4 grammar allows; here it is the first of the next minute
        raise ValueError
    return timedelta(seconds=seconds, microseconds=int((fraction or "").ljust(6, "0")[:6]))


def _zone(text: str) -> timezone:
    if text == "Z":
        return UTC
    minutes = int(text[4:])
    offset = timedelta(hours=int(text[1:3]), minutes=minutes)
    if minutes > 59 or offset > _FURTHEST_OFFSET:
        raise ValueError
    return timezone(-offset if text[0] == "-" else offset)
