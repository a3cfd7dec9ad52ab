"""Does a study match a search? Asked of the combined study, after consent, so that what is withheld can't be probed."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from gateway.imaging.body_sites import is_body_site
from gateway.imaging.modalities import modality_codings
from gateway.imaging.study import Study, microseconds_of
from gateway.model import DateBound, Moment, StudyQuery, Token

DICOM_UID = "urn:dicom:uid"
STATUS = "http://hl7.org/fhir/imagingstudy-status"
_OID = "urn:oid:"
_AN_INSTANT = timedelta(microseconds=1)
_A_SECOND = timedelta(seconds=1)
_LAST = 2**62

AndOfOrs = Sequence[Sequence[Any]]
SortKey = Literal["started", "_lastUpdated"]


def matches(study: Study, query: StudyQuery, now: datetime) -> bool:
    """Whether the study has all that `query` asks for beyond the patient (FHIR R4 search §3.1.1.4)."""
    return all(_all(asked, has, study, now) for asked, has in _criteria(query))


def those_that_match(studies: Sequence[Study], query: StudyQuery, now: datetime) -> Sequence[Study]:
    """Of `studies`, those that match, in their order."""
    criteria = _criteria(query)
    if not criteria:
        return studies
    return [study for study in studies if all(_all(asked, has, study, now) for asked, has in criteria)]


def _criteria(query: StudyQuery) -> list[tuple[AndOfOrs, Callable[[Study, Any, datetime], bool]]]:
    found: tuple[tuple[AndOfOrs, Callable[[Study, Any, datetime], bool]], ...] = (
        (query.identifier, _has_identifier),
        (query.started, _is_started),
        (query.last_updated, _is_last_updated),
        (query.modality, _has_modality),
        (query.status, _has_status),
        (query.bodysite, _has_body_site),
        (query.endpoint, _has_endpoint),
        (query.id, _has_id),
    )
    return [(asked, has) for asked, has in found if asked]


def is_modality(codes: tuple[str, ...], token: Token) -> bool:
    """Whether the token finds one of these modalities, as an answer shows them (`unknown` where there are none).

    DICOM's codes have no lower case, so a client may write them so.
    """
    return any(
        token.system in (None, coding.system) and (token.code is None or token.code.upper() == coding.code.upper())
        for coding in modality_codings(codes)
    )


def sort_key(study: Study, sort: Sequence[tuple[SortKey, bool]]) -> tuple[int | str, ...]:
    """What orders studies by `sort` (each key with whether it descends) when compared ascending; no two are equal.

    Whole numbers and the id: it can be written into a page link. A study without the value comes last either way.
    """
    return *[_place(study, key, descends) for key, descends in sort], study.id


def _place(study: Study, key: SortKey, descends: bool) -> int:
    if key == "_lastUpdated":
        place = microseconds_of(study.last_updated)
    elif study.started:
        place = study.started.place
    else:
        return _LAST
    return -place if descends else place


def _all(asked: AndOfOrs, has: Callable[[Study, Any, datetime], bool], study: Study, now: datetime) -> bool:
    return all(any(has(study, one, now) for one in alternatives) for alternatives in asked)


def _has_identifier(study: Study, token: Token, _now: datetime) -> bool:
    """Bare UIDs and `urn:oid:` ones are the same; `|number` is an accession number without an assigner."""
    if token.system == DICOM_UID:
        return token.code is None or token.code.removeprefix(_OID) == study.uid
    if token.system is None and token.code is not None and token.code.removeprefix(_OID) == study.uid:
        return True
    return any(token.system in (None, one.system) and token.code in (None, one.value) for one in study.accessions)


def _has_modality(study: Study, token: Token, _now: datetime) -> bool:
    return is_modality(study.modalities, token)


def _has_status(study: Study, token: Token, _now: datetime) -> bool:
    return token.system in (None, STATUS) and token.code in (None, study.availability)


def _has_body_site(study: Study, token: Token, _now: datetime) -> bool:
    sites = {series.body_part for series in study.series or () if series.body_part}
    return any(is_body_site(site, token.system, token.code) for site in sites)


def _has_endpoint(study: Study, id_: str, _now: datetime) -> bool:
    return id_.removeprefix("Endpoint/") in study.facilities


def _has_id(study: Study, id_: str, _now: datetime) -> bool:
    return id_ == study.id


def _is_started(study: Study, bound: DateBound, now: datetime) -> bool:
    """A bound without a time is held against the calendar where the study was made, any other against the time line."""
    if study.started is None:
        return False
    moment = study.started.moment
    if not bound.zoned:
        moment = Moment(start=moment.start.replace(tzinfo=UTC), end=moment.end.replace(tzinfo=UTC))
    return holds(bound, moment, now)


def _is_last_updated(study: Study, bound: DateBound, now: datetime) -> bool:
    """`gt` of a second or less also finds what changed later in that second: a poller must not miss it."""
    moment = Moment(start=study.last_updated, end=study.last_updated + _AN_INSTANT)
    if bound.prefix == "gt" and bound.moment.end - bound.moment.start <= _A_SECOND:
        return moment.start > bound.moment.start
    return holds(bound, moment, now)


def holds(bound: DateBound, target: Moment, now: datetime) -> bool:
    """Whether the prefix holds between the interval searched for and the one the resource has (FHIR R4 §3.1.1.4.7)."""
    searched = bound.moment
    contains = searched.start <= target.start and target.end <= searched.end
    match bound.prefix:
        case "eq":
            return contains
        case "ne":
            return not contains
        case "gt":
            return target.end > searched.end
        case "ge":
            return target.end > searched.end or contains
        case "lt":
            return target.start < searched.start
        case "le":
            return target.start < searched.start or contains
        case "sa":
            return target.start >= searched.end
        case "eb":
            return target.end <= searched.start
        case _:  # ap
            return _is_near(searched, target, now)


def _is_near(searched: Moment, target: Moment, now: datetime) -> bool:
    """Within a tenth of the time between now and the value searched for (the tolerance FHIR recommends)."""
    slack = abs(now - searched.start) / 10
    return target.start - searched.end < slack and searched.start - target.end < slack
