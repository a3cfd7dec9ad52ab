"""When something began: a DICOM date and time as a FHIR dateTime (PS3.5 §6.2 DA and TM).

A FHIR time needs an offset from UTC. It is the one the study states in (0008,0201), else the facility's zone at that
date and time, and where neither is known the time is left out: a wrong hour is worse than none.

At a change of clocks the offset is the one in force before the change, both for an hour that occurs twice (the first
is meant) and for one that doesn't occur (the modality's clock was not yet changed).
"""

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.imaging.study import Started
from gateway.model import Moment

_DATE = re.compile(r"([0-9]{4})([.-]?)([0-9]{2})\2([0-9]{2})")
_TIME = re.compile(r"([0-9]{2})(?::?([0-9]{2})(?::?([0-9]{2})(?:\.([0-9]{0,6})[0-9]*)?)?)?")
_OFFSET = re.compile(r"([+-])([0-9]{2}):?([0-9]{2})")
_YEARS = range(1800, 3000)
"""A year outside is what an archive writes for no date at all (0001, 1753, 9999)."""
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)
_FRACTION = tuple(timedelta(microseconds=10**power) for power in range(6, -1, -1))
"""How long a second with so many digits after its point lasts."""
_FURTHEST = timedelta(hours=14)


@lru_cache(maxsize=1024)
def read_date(text: str | None) -> date | None:
    """The day that a DA value names, `YYYYMMDD` or the older `YYYY.MM.DD`; None where there is no such day."""
    found = _DATE.fullmatch(text) if text else None
    if found is None:
        return None
    try:
        day = date(int(found[1]), int(found[3]), int(found[4]))
    except ValueError:
        return None
    return day if day.year in _YEARS else None


@lru_cache(maxsize=4096)
def read_started(date_text: str | None, time_text: str | None, offset_text: str | None, zone: str) -> Started | None:
    """When it began, as exactly as is known; None without a date that exists.

    `zone` is the IANA name of the facility's zone, empty where it has none. A date alone denotes the whole day in the
    stated offset, else in the facility's zone, else in UTC.
    """
    day = read_date(date_text)
    if day is None:
        return None
    place = (_stated_offset(offset_text) if offset_text else None) or _zone(zone)
    if time_text and place is not None:
        started = _at_time(day, time_text, place)
        if started is not None:
            return started
    return _on_day(day, place or UTC)


def _on_day(day: date, place: tzinfo) -> Started:
    start = datetime(day.year, day.month, day.day, tzinfo=place)
    return Started(text=day.isoformat(), moment=Moment(start=start, end=start + _DAY))


def _at_time(day: date, text: str, place: tzinfo) -> Started | None:
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    hour, minute, second, fraction = found.groups("")
    digits = fraction.rstrip("0")
    micros = int(digits.ljust(6, "0")) if digits else 0
    try:
        start = datetime(day.year, day.month, day.day, int(hour), int(minute or 0), int(second or 0), micros, place)
    except ValueError:
        return None
    offset = _offset_text(start.utcoffset())
    if offset is None:
        return None
    shown = f"{day.isoformat()}T{hour}:{minute or '00'}:{second or '00'}{'.' if digits else ''}{digits}{offset}"
    width = _FRACTION[len(digits)] if second else _MINUTE if minute else _HOUR
    return Started(text=shown, moment=Moment(start=start, end=start + width))


@lru_cache(maxsize=512)
def _offset_text(offset: timedelta | None) -> str | None:
    """The offset as FHIR writes it; None for those with seconds, of the days before standard time."""
    minutes, seconds = divmod(int((offset or timedelta()).total_seconds()), 60)
    if seconds:
        return None
    hours, over = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02}:{over:02}"


@lru_cache(maxsize=512)
def _stated_offset(text: str) -> tzinfo | None:
    """The zone that (0008,0201) states, `+0100` or `-0530`; None where it states none that exists."""
    found = _OFFSET.fullmatch(text)
    if found is None:
        return None
    offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
    if offset > _FURTHEST or int(found[3]) > 59:
        return None
    return timezone(-offset if found[1] == "-" else offset)


@lru_cache(maxsize=512)
def _zone(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
