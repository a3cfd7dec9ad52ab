"""Which sources tell of the same study, and what do the permitted ones together tell?

Nothing here depends on the order in which sources come. Where they disagree, the source that holds most of the study
is believed before the others: it is the likeliest to have made it, and what it leaves open the next one tells.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

from gateway.imaging.study import Series, SourceFacts, SourceStudy, Started, Study
from gateway.model import Coding, FacilityID, Identifier, StudyUID

Source = tuple[SourceStudy, SourceFacts]
_number_and_uid = attrgetter("number", "uid")


def group_duplicates(studies: Iterable[SourceStudy]) -> list[tuple[SourceStudy, ...]]:
    """The sources of each study, by Study Instance UID in the order it first appears; inside a group in source order.

    What one facility says twice about a study of the same record is kept once, the fuller of the two.
    """
    groups: dict[StudyUID, dict[tuple[FacilityID, int], SourceStudy]] = {}
    for study in studies:
        sources = groups.setdefault(study.uid, {})
        place = (study.facility, study.record_id)
        other = sources.get(place)
        sources[place] = study if other is None or other == study else max(other, study, key=_fullness)
    return [
        tuple(sources.values() if len(sources) == 1 else [sources[place] for place in sorted(sources)])
        for sources in groups.values()
    ]


def _fullness(study: SourceStudy) -> tuple[Any, ...]:
    return study.number_of_instances or 0, study.number_of_series or 0, len(study.series or ()), repr(study)


def combine(study_id: str, sources: Sequence[Source]) -> Study:
    """The one study that `sources` tell of: only those the caller may see, at least one, all of the same UID.

    `started` is the most exact one told. Modalities, accession numbers, procedure codes and series are those of all
    sources together, each once; of a series that several hold, the copy with most instances is told. Counts are those
    of the union, or what a source says where that is more, since then its series were not all told. `last_updated` is
    cut to milliseconds, as FHIR instants are given out, so that `gt` of it doesn't find the same study again.
    """
    if len(sources) == 1:
        return _as_told(study_id, *sources[0])
    (held,) = group_duplicates([source for source, _ in sources])
    told = sorted(held, key=_rank) if len(held) > 1 else held
    series, holders = _series_of(told)
    return Study(
        id=study_id,
        uid=held[0].uid,
        sources=held,
        started=min([source.started for source in told if source.started], key=_width, default=None),
        modalities=tuple(sorted({modality for source in told for modality in source.modalities})),
        description=_first([source.description for source in told]),
        accessions=tuple(sorted({source.accession for source in told if source.accession}, key=_by_system)),
        referrer=_first([source.referrer for source in told]),
        procedure_codes=_procedure_codes(told),
        availability="available" if any(source.availability == "available" for source in told) else "unknown",
        number_of_series=_number_of_series(told, series),
        number_of_instances=_number_of_instances(told, series),
        series=series or None,
        series_holders=holders,
        last_updated=max([_last_updated(fact) for _, fact in sources]),
    )


def _as_told(study_id: str, source: SourceStudy, facts: SourceFacts) -> Study:
    """What one source alone tells. Nearly every study has only one; what the general way makes of it is the same."""
    series = _in_order(source.series) if source.series else ()
    instances = source.number_of_instances
    if series:
        counts = [one.instances for one in series if one.instances is not None]
        if counts and (instances is not None or len(counts) == len(series)):
            instances = max(instances or 0, sum(counts))
    return Study(
        study_id,
        source.uid,
        (source,),
        source.started,
        source.modalities,
        source.description or None,
        (source.accession,) if source.accession else (),
        source.referrer or None,
        source.procedure_codes,
        source.availability,
        max(source.number_of_series or 0, len(series)) if series else source.number_of_series,
        instances,
        series or None,
        ((source.facility,),) * len(series),
        _last_updated(facts),
    )


def _rank(source: SourceStudy) -> tuple[int, int, FacilityID, int]:
    return -(source.number_of_instances or 0), -(source.number_of_series or 0), source.facility, source.record_id


def _width(started: Started) -> timedelta:
    return started.moment.end - started.moment.start


def _first(words: Iterable[str | None]) -> str | None:
    return next(filter(None, words), None)


def _by_system(accession: Identifier) -> tuple[str, str]:
    return accession.system, accession.value


def _procedure_codes(told: Sequence[SourceStudy]) -> tuple[Coding, ...]:
    found: dict[tuple[str, str], Coding] = {}
    for source in told:
        for coding in source.procedure_codes:
            found.setdefault((coding.system, coding.code), coding)
    return tuple(found.values())


def _series_of(told: Sequence[SourceStudy]) -> tuple[tuple[Series, ...], tuple[tuple[FacilityID, ...], ...]]:
    """Each series once, by number and UID, and beside it the facilities that hold it."""
    if len(told) == 1:
        own = _in_order(told[0].series or ())
        return own, ((told[0].facility,),) * len(own)
    fullest: dict[str, Series] = {}
    holders: dict[str, set[FacilityID]] = {}
    for source in told:
        for series in source.series or ():
            known = fullest.get(series.uid)
            if known is None or (series.instances or 0) > (known.instances or 0):
                fullest[series.uid] = series
            holders.setdefault(series.uid, set()).add(source.facility)
    ordered = _in_order(list(fullest.values()))
    return ordered, tuple([tuple(sorted(holders[series.uid])) for series in ordered])


def _in_order(series: Sequence[Series]) -> tuple[Series, ...]:
    """By number and UID, those without a number last."""
    try:
        return tuple(sorted(series, key=_number_and_uid))
    except TypeError:  # some have a number and some have none
        return tuple(sorted(series, key=_place))


def _place(series: Series) -> tuple[bool, int, str]:
    return series.number is None, series.number or 0, series.uid


def _number_of_series(told: Sequence[SourceStudy], series: Sequence[Series]) -> int | None:
    counts = [source.number_of_series for source in told if source.number_of_series is not None]
    return max([*counts, len(series)]) if counts or series else None


def _number_of_instances(told: Sequence[SourceStudy], series: Sequence[Series]) -> int | None:
    """Without any source's own word, only a sum over series that all have their count is a count."""
    counts = [source.number_of_instances for source in told if source.number_of_instances is not None]
    known = [one.instances for one in series if one.instances is not None]
    if known and (counts or len(known) == len(series)):
        counts.append(sum(known))
    return max(counts, default=None)


def _last_updated(facts: SourceFacts) -> datetime:
    first_seen, latest, opened_at = facts
    if first_seen > latest:
        latest = first_seen
    if opened_at is not None and opened_at > latest:
        latest = opened_at
    latest = latest.astimezone(UTC)
    beyond = latest.microsecond % 1000
    return latest - timedelta(microseconds=beyond) if beyond else latest
