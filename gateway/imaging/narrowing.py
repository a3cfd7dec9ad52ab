"""What of a study may be seen where only some studies, or some series of a study, may? Pure.

A limit is held against each source of a study by itself, as consent is, before sources are combined: a source that is
not admitted contributes nothing, and of a source that is admitted in part only that part is told. So no count, no
modality, no Endpoint and no `lastUpdated` of what is left out can be read from what is shown.

What is told of a whole study (identifier, started, status) admits or refuses a source; what is told series by series
(modality, bodysite) admits series. A source whose series are not told is admitted by the modalities it states.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.imaging.body_sites import is_body_site
from gateway.imaging.matching import is_modality, matches
from gateway.imaging.merge import combine
from gateway.imaging.study import SourceFacts, SourceStudy
from gateway.model import DateBound, PatientRef, StudyQuery, Token

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_FACTS = SourceFacts(_EPOCH, _EPOCH, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyLimit:
    """One kind of studies that may be seen. Alternatives of one parameter are OR, parameters are AND; empty is any."""

    identifier: tuple[Token, ...] = ()
    started: tuple[DateBound, ...] = ()
    status: tuple[Token, ...] = ()
    modality: tuple[Token, ...] = ()
    bodysite: tuple[Token, ...] = ()

    @property
    def by_series(self) -> bool:
        """Whether it may admit some series of a study and not others."""
        return bool(self.modality or self.bodysite)


def narrow(source: SourceStudy, limits: Sequence[StudyLimit], now: datetime) -> SourceStudy | None:
    """What `limits` together admit of `source`: the very same object where that is all of it, None where it is nothing.

    Of one that is admitted in part, the series, modalities and counts are those of the part alone.
    """
    reaching = [limit for limit in limits if _reaches(limit, source, now)]
    if any(not limit.by_series for limit in reaching):
        return source
    told = source.series or ()
    of_modality = {
        code: [limit for limit in reaching if _admits_modality(limit, code)]
        for code in {None, *source.modalities, *[one.modality for one in told]}
    }
    series = tuple(
        [one for one in told if any(_admits_part(limit, one.body_part) for limit in of_modality[one.modality])]
    )
    by_statement = [limit for limit in reaching if not limit.bodysite]
    if not (source.modalities or told):
        # Nobody tells what it is: it is admitted where that is what is asked for, as a search would find it.
        return source if any(not limit.bodysite for limit in of_modality[None]) else None
    stated = [code for code in source.modalities if any(not limit.bodysite for limit in of_modality[code])]
    modalities = tuple(sorted({*stated, *(one.modality for one in series if one.modality)}))
    if not (modalities or series):
        return None
    if len(series) == len(told) and modalities == source.modalities and _is_all_told(source, by_statement):
        return source
    counts = [one.instances for one in series if one.instances is not None]
    return source._replace(
        modalities=modalities,
        series=series or None,
        number_of_series=len(series) or None,
        number_of_instances=sum(counts) if counts and len(counts) == len(series) else None,
    )


def admits(
    source: SourceStudy, limits: Sequence[StudyLimit] | None, now: datetime, series_uid: str | None = None
) -> bool:
    """Whether `limits` admit the whole of `source`, or the one series of it that is named. `None` limits nothing.

    A series that the source doesn't tell is admitted only with the whole study.
    """
    if limits is None:
        return True
    part = narrow(source, limits, now)
    if part is None or part is source or series_uid is None:
        return part is source
    return any(series.uid == series_uid for series in part.series or ())


def _reaches(limit: StudyLimit, source: SourceStudy, now: datetime) -> bool:
    """Whether what is told of the study as a whole is as the limit has it."""
    if not (limit.identifier or limit.started or limit.status):
        return True
    asked = {"identifier": limit.identifier, "started": limit.started, "status": limit.status}
    query = StudyQuery(patient=PatientRef(), **{name: (value,) for name, value in asked.items() if value})  # type: ignore[arg-type]
    return matches(combine("", [(source, _NO_FACTS)]), query, now)


def _admits_part(limit: StudyLimit, part: str | None) -> bool:
    return not limit.bodysite or bool(part and any(is_body_site(part, one.system, one.code) for one in limit.bodysite))


def _admits_modality(limit: StudyLimit, code: str | None) -> bool:
    codes = (code,) if code else ()
    return not limit.modality or any(is_modality(codes, token) for token in limit.modality)


def _is_all_told(source: SourceStudy, by_statement: Sequence[StudyLimit]) -> bool:
    """Whether nothing of the study can be outside of what was judged."""
    if source.series is None:
        return bool(by_statement)
    return source.number_of_series is None or len(source.series) >= source.number_of_series
