"""What of the studies that facilities told may be released: decided source by source, and combined of what is left.

In this order on purpose: a study combined of a permitted and a forbidden source already contains the forbidden one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from gateway.adapters.base import FacilityReply, Observation
from gateway.auth.smart_scopes import limits_of
from gateway.consent.decide import decide_sources
from gateway.consent.labels import NORMAL, Labels, codings_of_labels
from gateway.consent.policy import Decision, PatientPolicy
from gateway.imaging.merge import combine, group_duplicates
from gateway.imaging.narrowing import StudyLimit, narrow
from gateway.imaging.study import SourceFacts, SourceStudy, Study
from gateway.model import FacilityID, PatientIdentity, Requester, StudyUID
from gateway.rooms import Rooms


@dataclass(frozen=True, slots=True)
class DecidedSource:
    """One source of a study that a facility has told, with the decision about it."""

    study: SourceStudy
    labels: Labels
    decision: Decision
    partial: bool = False
    """Whether the token's scopes leave some of the study out."""


def decide_each_source(
    replies: Sequence[FacilityReply],
    policy: PatientPolicy,
    requester: Requester,
    decided: Mapping[FacilityID, Decision],
    floors: Mapping[FacilityID, Labels],
    rooms: Rooms,
    now: datetime,
) -> list[DecidedSource]:
    """The decision about each source that was told by a facility that may still be seen.

    A label that any source makes known counts for all of them, also one of a facility that may no longer be seen.
    """
    told = [study for reply in replies for study in reply.studies]
    labelled = list(zip(told, rooms.labels.label(told, floors), strict=True))
    sources = [(study, labels) for study, labels in labelled if decided[study.facility].permitted]
    decisions = decide_sources(
        policy,
        requester,
        [study for study, _ in sources],
        now,
        [labels for _, labels in sources],
        rooms.sightings.study_id,
        {(id_, floors.get(id_, NORMAL)): decision for id_, decision in decided.items()},
    )
    return [DecidedSource(*source, decision) for source, decision in zip(sources, decisions, strict=True)]


def study_limits(requester: Requester, interaction: Literal["r", "s"]) -> tuple[StudyLimit, ...] | None:
    """Which studies the token's granular scopes admit; None where none narrows."""
    bound = requester.patient is not None
    return limits_of(requester.scopes, interaction, patient_bound=bound, signed_in=requester.signed_in)


def permitted_sources(
    sources: Sequence[DecidedSource], limits: Sequence[StudyLimit] | None, now: datetime
) -> list[DecidedSource]:
    """The sources that consent permits, each as far as `limits` admit it."""
    permitted = [one for one in sources if one.decision.permitted]
    if limits is None:
        return permitted
    parts = [(one, narrow(one.study, limits, now)) for one in permitted]
    partial = {one.study.uid for one, part in parts if part is not one.study}
    return [replace(one, study=part, partial=one.study.uid in partial) for one, part in parts if part is not None]


def released_studies(
    permitted: Sequence[DecidedSource],
    seen: Observation,
    patient: PatientIdentity,
    floors: Mapping[FacilityID, Labels],
    rooms: Rooms,
) -> list[Study]:
    """Each study as its permitted sources tell it; a withheld source contributes nothing."""
    linked = {record.record_id: record.linked_at for record in patient.records}
    labels = {one.study.uid: one.labels for one in permitted}
    partial = {one.study.uid for one in permitted if one.partial}
    facts = {}
    for one in permitted:
        key = _key_of(one.study)
        facts[key] = SourceFacts(seen.first_seen[key], linked[one.study.record_id], one.decision.opened_at)
    studies = [
        _with_labels(
            combine(
                seen.study_ids[group[0].uid],
                [(source, facts[_key_of(source)]) for source in group],
            ),
            labels[group[0].uid],
            floors,
            rooms,
        )
        for group in group_duplicates([one.study for one in permitted])
    ]
    return [study._replace(partial=study.uid in partial) for study in studies] if partial else studies


def _key_of(study: SourceStudy) -> tuple[int, FacilityID, StudyUID]:
    return study.record_id, study.facility, study.uid


def _with_labels(study: Study, labels: Labels, floors: Mapping[FacilityID, Labels], rooms: Rooms) -> Study:
    if labels == NORMAL:
        return study
    return study._replace(security=codings_of_labels(labels, rooms.labels.bases(study.sources, floors)))
