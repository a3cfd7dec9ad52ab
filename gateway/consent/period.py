"""Which interval a FHIR date or dateTime of any precision denotes. Pure."""

import re
from datetime import UTC, datetime, timedelta, timezone

from gateway.model import Moment

_FORM = re.compile(
    r"(?P<year>\d{4})(-(?P<month>\d\d)(-(?P<day>\d\d)"
    r"(T(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(\.(?P<fraction>\d{1,9}))?"
    r"(Z|(?P<sign>[+-])(?P<zone_hour>\d\d):(?P<zone_minute>\d\d)))?)?)?",
    re.ASCII,
)
FOREVER = datetime.max.replace(tzinfo=UTC)


def moment_of(text: str) -> Moment | None:
    """The half-open interval that `text` denotes (FHIR R4 §dateTime), or None where it is not such a text.

    A text without a time denotes the whole day, month or year in UTC, which is what this exchange publishes as the
    zone of dates; a text with a time states its zone itself. The end lies after the last instant of the precision.
    """
    form = _FORM.fullmatch(text)
    if form is None:
        return None
    try:
        if form["hour"] is not None:
            return _instant(form)
        year, month, day = int(form["year"]), int(form["month"] or 1), int(form["day"] or 1)
        start = datetime(year, month, day, tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    try:
        return Moment(start=start, end=_after(start, form))
    except (ValueError, OverflowError):
        return Moment(start=start, end=FOREVER)


def _after(start: datetime, form: re.Match[str]) -> datetime:
    if form["day"] is not None:
        return start + timedelta(days=1)
    if form["month"] is None:
        return start.replace(year=start.year + 1)
    return start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)


def _instant(form: re.Match[str]) -> Moment:
    offset = timedelta(hours=int(form["zone_hour"] or 0), minutes=int(form["zone_minute"] or 0))
    zone = timezone(-offset if form["sign"] == "-" else offset)
    fraction = (form["fraction"] or "")[:6]
    start = datetime(
        int(form["year"]),
        int(form["month"]),
        int(form["day"]),
        int(form["hour"]),
        int(form["minute"]),
        int(form["second"]),
        int(fraction.ljust(6, "0")),
        zone,
    )
    try:
        return Moment(start=start, end=start + timedelta(microseconds=10 ** (6 - len(fraction))))
    except OverflowError:
        return Moment(start=start, end=FOREVER)
