"""Which data is a rule about? Sources, studies, times and labels of one rule, held against one study or one facility.

Before a facility is asked, its studies are not known yet. Then a permit reaches it if it could reach any study there,
and a deny only if it reaches every one: nobody is left out who may have something to show, and nobody is asked who
can't.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from functools import lru_cache
from typing import Literal, NamedTuple

from gateway.consent.labels import NORMAL, SCALE, Labels, deny_reaches, may_reach, permit_reaches
from gateway.consent.policy import DataPeriod, Provision
from gateway.imaging.study import SourceStudy
from gateway.model import FacilityID, Moment, StudyUID

Attribute = Literal["sources", "studies", "times", "labels", "recipients", "purposes", "programmes"]
"""What a rule that doesn't match is about others in. Programmes are those of 42 CFR Part 2."""


@dataclass(frozen=True, slots=True)
class Data:
    """What a decision knows of one source of a study, or of a facility as a whole."""

    facility: FacilityID
    labels: Labels = NORMAL
    """Of a facility as a whole: the least that every study of it has."""
    names: frozenset[str] | None = None
    """All that a consent may call the study; None for a facility as a whole."""
    started: Moment | None = None
    elsewhere: frozenset[str] = frozenset()
    """What other sources call the same study: whoever withholds it by one of its names withholds every copy."""


def data_of(study: SourceStudy, labels: Labels = NORMAL, *also: str, elsewhere: frozenset[str] = frozenset()) -> Data:
    """The source of a study, as a consent may name it, and `also` by its ids here."""
    names = {str(study.uid), *also}
    if study.accession is not None:
        names.add(f"{study.accession.system}|{study.accession.value}")
    moment = study.started.moment if study.started is not None else None
    return Data(study.facility, labels, frozenset(names), moment, elsewhere)


def names_elsewhere(studies: Sequence[SourceStudy]) -> Mapping[StudyUID, frozenset[str]]:
    """By UID, the accession numbers of each study that has several sources, whichever source tells them."""
    by_uid: dict[StudyUID, list[SourceStudy]] = {}
    for study in studies:
        by_uid.setdefault(study.uid, []).append(study)
    return {
        uid: frozenset(f"{one.accession.system}|{one.accession.value}" for one in sources if one.accession)
        for uid, sources in by_uid.items()
        if len(sources) > 1
    }


class Reach(NamedTuple):
    """The data that one rule is about, for a purpose. Made for each rule of each query: see `imaging/study.py`."""

    permits: bool
    authored_by: tuple[FacilityID, ...] | None
    studies: tuple[str, ...]
    labels: tuple[str, ...]
    period: DataPeriod | None
    emergency: bool
    """Whether it was read for break-glass, which 42 CFR §2.51 lets go by without a consent."""
    excepted: "tuple[Reach, ...]" = ()

    @property
    def tells_studies_apart(self) -> bool:
        """Whether it is about single studies, by name or time."""
        if self.studies or self.period is not None:
            return True
        return bool(self.excepted) and any(one.tells_studies_apart for one in self.excepted)

    @property
    def is_partial(self) -> bool:
        """Whether it may hold for some data of a facility and not for other data of it."""
        if self.labels or self.studies or self.period is not None:
            return True
        return bool(self.excepted) and any(one.is_partial for one in self.excepted)

    def covers(self, data: Data) -> bool:
        """Whether the rule is about `data` (of a facility as a whole: see above)."""
        if self.other(data) is not None:
            return False
        return not self.excepted or not any(one.covers(data) for one in self.excepted)

    def other(self, data: Data) -> Attribute | None:
        """In which attribute the rule is about other data; None where it is about this. Exceptions aside."""
        names_data = self.authored_by is not None or self.studies
        if names_data and not self._names(data):
            return "sources" if self.authored_by is not None else "studies"
        if self.period is not None and not self._is_in_time(self.period, data):
            return "times"
        if self.labels and not self._reaches_labels(data):
            return "labels"
        if data.labels.part2 and self.permits and not self.emergency and not self._is_explicit(data):
            return "programmes"
        return None

    def _names(self, data: Data) -> bool:
        if self.authored_by is not None and data.facility in self.authored_by:
            return True
        if not self.studies:
            return False
        if data.names is None:
            return self.permits
        return not data.names.isdisjoint(self.studies) or not (self.permits or data.elsewhere.isdisjoint(self.studies))

    def _is_in_time(self, period: DataPeriod, data: Data) -> bool:
        """A permit reaches what was wholly made in the time, a deny what may have been; a time not told may be any."""
        if data.started is None:
            return self.permits if data.names is None else not self.permits
        made = data.started
        day = made if period.start_zoned and period.end_zoned else _on_the_calendar(made)
        after, until = made if period.start_zoned else day, made if period.end_zoned else day
        if self.permits:
            return (period.start is None or period.start <= after.start) and (
                period.end is None or until.end <= period.end
            )
        return (period.start is None or period.start < after.end) and (period.end is None or until.start < period.end)

    def _reaches_labels(self, data: Data) -> bool:
        if not self.permits:
            return deny_reaches(self.labels, data.labels)
        return may_reach(self.labels, data.labels) if data.names is None else permit_reaches(self.labels, data.labels)

    def _is_explicit(self, data: Data) -> bool:
        """A permit for a Part 2 programme's data names the programme, or the kind of data (42 CFR §2.31)."""
        by_source = self.authored_by is not None and data.facility in self.authored_by
        return by_source or bool(self.studies) or any(code not in SCALE for code in self.labels)


def reach_of(rule: Provision, outer: Provision, emergency: bool, excepted: tuple[Reach, ...] = ()) -> Reach:
    """The reach of `rule`, which keeps to what `outer` states wherever it states nothing itself."""
    data = rule if rule.authored_by is not None or rule.studies else outer
    permits = rule.type == "permit"
    return Reach(
        permits,
        data.authored_by,
        data.studies if permits or not data.studies else _of_any_system(data.studies),
        rule.labels or outer.labels,
        rule.data_period or outer.data_period,
        emergency,
        excepted,
    )


def _of_any_system(studies: tuple[str, ...]) -> tuple[str, ...]:
    """A deny of an accession number also reaches a study whose archive doesn't say who assigned it that number."""
    return (*studies, *(f"|{value}" for _, found, value in (one.partition("|") for one in studies) if found))


@lru_cache(maxsize=4096)
def _on_the_calendar(moment: Moment) -> Moment:
    """What the wall clock showed where it was made, written as if in UTC."""
    return Moment(start=moment.start.replace(tzinfo=UTC), end=moment.end.replace(tzinfo=UTC))
