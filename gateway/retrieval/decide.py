"""May this resource be fetched from this facility now? Pure.

Consent has decided about each source of the study; here the decisions become an answer about what is asked for. A study
of which only part is permitted is refused whole, and its permitted series are not (SMART Imaging Access, retrieval;
contract §10).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.consent.policy import Decision
from gateway.imaging.study import SourceStudy
from gateway.model import FacilityID
from gateway.retrieval.resource import Resource

Admits = Callable[[SourceStudy, str | None], bool]
"""Whether the token's scopes admit the whole of a source, or the one series of it."""


@dataclass(frozen=True, slots=True)
class Source:
    """One facility's copy, or part, of the study, and what consent says of it to this caller."""

    study: SourceStudy
    decision: Decision
    series: frozenset[str] | None
    """The UIDs of its series; None where the facility does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """All that is known of the study, in answer to this caller's question."""

    here: Sequence[Source]
    """At the facility that it is to be fetched from."""
    elsewhere: Sequence[Source] = ()
    barred: Mapping[FacilityID, bool] | None = None
    """Facilities that have shown it, and of which this caller may see nothing: whether it is the same series there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether it may be fetched, why, and what consent decided about it."""

    permitted: bool
    reason: str
    decisions: tuple[Decision, ...] = ()

    @property
    def in_part(self) -> bool:
        """Whether the whole was refused, and some of it may be fetched."""
        return self.reason == PART


UNKNOWN = Verdict(permitted=False, reason="the facility is not known to hold this study for a patient of the caller's")
PART = "only part of the study is permitted: it opens by series"
UNKNOWN_SERIES = "the facility is not known to hold this series of the study"
NOT_BY_SCOPE = "the token's scopes don't reach it"


def decide(known: Known, resource: Resource, admits: Admits) -> Verdict:
    """Whether `resource` may be fetched: everything that it gives has to be permitted."""
    if not known.here:
        return UNKNOWN
    decisions = tuple(source.decision for source in known.here)
    refused = next((decision for decision in decisions if not decision.permitted), None)
    if refused is not None:
        # One archive can't tell two sources of one study apart: whoever withholds one withholds both.
        return Verdict(permitted=False, reason=refused.reason, decisions=(refused,))
    if resource.series is not None:
        obstacle = _obstacle_to_series(known.here, resource.series, admits)
    else:
        obstacle = _obstacle_to_study(known, resource, admits)
    if obstacle is not None:
        return Verdict(permitted=False, reason=obstacle, decisions=decisions)
    return Verdict(permitted=True, reason=decisions[0].reason, decisions=decisions)


def series_permitted(known: Known, admits: Admits) -> tuple[str, ...] | None:
    """The series that may be fetched one by one, where not all of them may be; None where they aren't told."""
    if any(source.series is None for source in known.here):
        return None
    told = sorted({uid for source in known.here for uid in source.series or ()})
    return tuple(uid for uid in told if _obstacle_to_series(known.here, uid, admits) is None)


def _obstacle_to_series(here: Sequence[Source], series: str, admits: Admits) -> str | None:
    holding = [source for source in here if source.series is not None and series in source.series]
    if holding:
        return None if all(admits(source.study, series) for source in holding) else NOT_BY_SCOPE
    if all(source.series is not None for source in here):
        # Some archives look up a series whatever study stands before it in the path.
        return UNKNOWN_SERIES
    return None if all(admits(source.study, None) for source in here) else NOT_BY_SCOPE


def _obstacle_to_study(known: Known, resource: Resource, admits: Admits) -> str | None:
    if not all(admits(source.study, None) for source in known.here):
        return PART if any(admits(s.study, uid) for s in known.here for uid in s.series or ()) else NOT_BY_SCOPE
    if resource.lists:
        return None  # a list tells of what this archive holds, all of which is permitted
    held = frozenset(uid for source in known.here for uid in source.series or ())
    for source in known.elsewhere:
        told = source.series
        if not source.decision.permitted and (told is None or not told <= held):
            return PART
    return None if all((known.barred or {}).values()) else PART
