"""May data be shown to this caller? IHE PCF's reading of a patient's consents, decided purely.

The rules, and why they are so, are in `docs/explanation/consent.md`. Both decision points of a query come here: which
facilities may be asked, and which sources of a study may be shown.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache

from gateway.consent.labels import NO_REDISCLOSURE, NORMAL, Labels, is_normal
from gateway.consent.policy import POLICY_URL, Decision, PatientPolicy
from gateway.consent.reach import Data, data_of, names_elsewhere
from gateway.consent.verdict import Asked, Reading, closes, ended_at, held_since, read_consent, rules_of
from gateway.consent.words import PURPOSE_WORDS
from gateway.imaging.study import SourceStudy
from gateway.model import FacilityID, ImplicitPolicy, PatientID, Requester, StudyUID
from gateway.purposes import BREAK_GLASS, is_within

StudyID = Callable[[PatientID, StudyUID], str]

US_NPI = "http://hl7.org/fhir/sid/us-npi"
"""The identifier system that the FAST Security (UDAP) B2B object gives a bare `subject_id` in the US realm."""
_STUDY = "ImagingStudy/"


def decide_query(
    policy: PatientPolicy,
    requester: Requester,
    facilities: Sequence[FacilityID],
    now: datetime,
    floors: Mapping[FacilityID, Labels] | None = None,
) -> Mapping[FacilityID, Decision]:
    """For each of `facilities`, whether it may be asked at all: whether this caller could see anything of it.

    `floors` are the labels that all data of a facility has.
    """
    court = _Court(policy, requester, now)
    return {id_: court.decide(Data(id_, (floors or {}).get(id_, NORMAL))) for id_ in facilities}


def still_holds(before: PatientPolicy, then: datetime, after: PatientPolicy, now: datetime) -> bool:
    """Whether what was decided by `before` at `then` is what `after` decides `now`, whoever asks about whatever.

    Nothing was filed, and no rule has begun or ended in between.
    """
    if before != after:
        return False
    rules = [rule for consent in after.consents for rule in rules_of(consent.root)]
    limits = [limit for rule in rules for limit in (rule.period_start, rule.period_end) if limit is not None]
    return not any(then < limit <= now for limit in limits)


def decide_sources(
    policy: PatientPolicy,
    requester: Requester,
    studies: Sequence[SourceStudy],
    now: datetime,
    labels: Sequence[Labels] = (),
    study_id: StudyID | None = None,
    known: Mapping[tuple[FacilityID, Labels], Decision] | None = None,
) -> Sequence[Decision]:
    """For each of `studies`, in order, whether this source of a study may be shown to this caller.

    `known` is what `decide_query` said of whole facilities with these labels, asked the same by the same at the same
    instant: where no rule may hold for a part of a facility alone, it holds for each study of it.

    `labels` are theirs, in order; none means that all are normal. `study_id` tells the ids that a consent may name
    them by. Where no consent tells studies apart, what holds for a facility holds for each study of it.
    """
    court = _Court(policy, requester, now)
    persons = court.persons_who_name_studies() if study_id is not None else ()
    decisions = dict(known) if known and not court.tells_data_apart else {}
    decided = []
    elsewhere = names_elsewhere(studies) if court.tells_studies_apart else {}
    for study, label in zip(studies, labels or (NORMAL,) * len(studies), strict=True):
        if court.tells_studies_apart:
            also = [f"{_STUDY}{study_id(person, study.uid)}" for person in persons] if study_id else ()
            named = elsewhere.get(study.uid, frozenset())
            decided.append(court.decide(data_of(study, label, *also, elsewhere=named)))
            continue
        key = study.facility, label
        if key not in decisions:
            decisions[key] = court.decide(data_of(study, label))
        decided.append(decisions[key])
    return decided


def decide_data(policy: PatientPolicy, requester: Requester, data: Sequence[Data], now: datetime) -> list[Decision]:
    """For each of `data`, in order, whether it may be shown: the decision itself, whatever the data is."""
    court = _Court(policy, requester, now)
    return [court.decide(one) for one in data]


def tells_studies_apart(policy: PatientPolicy, requester: Requester, now: datetime) -> bool:
    """Whether a consent says something to this caller about single studies, by name or time."""
    return _Court(policy, requester, now).tells_studies_apart


class _Court:
    """Everything on file, read once for one caller at one instant; only whose data it is remains open."""

    def __init__(self, policy: PatientPolicy, requester: Requester, now: datetime) -> None:
        self._policy = policy
        self._is_own = requester.is_the_patient and requester.patient == policy.patient
        names = _names_of(requester.organization, requester.subject_id, requester.subject_role)
        member_of = [group for group, members in policy.groups.items() if not names.isdisjoint(members)]
        names = names.union(member_of)
        self._cases = [_Case(policy, Asked(code, names, now)) for code in requester.purposes]
        self.tells_studies_apart = any(case.tells_studies_apart for case in self._cases)
        self.tells_data_apart = any(case.tells_data_apart for case in self._cases)

    def persons_who_name_studies(self) -> Sequence[PatientID]:
        """The persons under whose id a consent may name a study by `ImagingStudy/{id}`; none where none does."""
        found = {
            consent.person or self._policy.patient
            for consent in self._policy.consents
            if any(name.startswith(_STUDY) for rule in rules_of(consent.root) for name in rule.studies)
        }
        return sorted(found)

    def decide(self, data: Data) -> Decision:
        """Every purpose has to be permitted by itself (T62)."""
        if self._is_own:
            return Decision(facility=data.facility, permitted=True, reason="the patient's own access")
        decisions = [case.decide(data) for case in self._cases]
        refused = next((decision for decision in decisions if not decision.permitted), None)
        if refused is not None:
            return refused
        decision = decisions[0] if len(decisions) == 1 else _together(data, decisions)
        if data.labels.part2 and decision.permitted:
            return replace(decision, obligations=NO_REDISCLOSURE)
        return decision


def _together(data: Data, decisions: Sequence[Decision]) -> Decision:
    return Decision(
        facility=data.facility,
        permitted=bool(decisions),
        reason="; ".join(decision.reason for decision in decisions) or "no purpose of use is stated",
        consents=tuple(dict.fromkeys(reference for decision in decisions for reference in decision.consents)),
        policy=next((decision.policy for decision in decisions if decision.policy), None),
        opened_at=max((decision.opened_at for decision in decisions if decision.opened_at), default=None),
        partial=any(decision.partial for decision in decisions),
    )


@lru_cache(maxsize=4096)
def _names_of(organization: str, subject_id: str | None, subject_role: str | None) -> frozenset[str]:
    """Everything an actor of a consent may call this caller. A user's own words never name an organisation, nor a
    group or a role."""
    names = {organization, f"Organization/{organization}"}
    if subject_id and not subject_id.startswith(("Organization/", "Group/", "PractitionerRole|")):
        names.add(subject_id)
        if subject_id.isascii() and subject_id.isdigit() and len(subject_id) == 10:
            names.add(f"{US_NPI}|{subject_id}")
        if not set(subject_id) & set("/|:"):
            names.add(f"Practitioner/{subject_id}")
    if subject_role:
        system, found, code = subject_role.replace("#", "|").rpartition("|")
        if found and system and code:
            names.add(f"PractitionerRole|{system}|{code}")
    return frozenset(names)


class _Case:
    """One purpose of the caller: what each consent says of it, and how they are weighed."""

    def __init__(self, policy: PatientPolicy, asked: Asked) -> None:
        self._implicit = policy.implicit
        self._asked = asked
        self._readings = [read_consent(consent, asked) for consent in policy.consents]
        self._live = [reading for reading in self._readings if reading.is_live]
        reaches = [reach for reading in self._readings for reach in reading.reaches]
        self.tells_studies_apart = any(reach.tells_studies_apart for reach in reaches)
        self._is_partial = any(reach.is_partial for reading in self._live for reach in reading.reaches)
        self.tells_data_apart = any(reach.is_partial for reach in reaches)
        self._ended = [
            (reading, ended)
            for reading in self._readings
            if (ended := ended_at(reading.consent, asked.now)) is not None
        ]
        self._held: dict[int, datetime] = {}

    def decide(self, data: Data) -> Decision:
        """A deny first, then a permit; what nobody speaks of is closed by a permit in force, else by the policy."""
        permitting, denying = [], []
        for reading in self._live:
            verdict = reading.verdict(data)
            if verdict == "permit":
                permitting.append(reading)
            elif verdict == "deny":
                denying.append(reading)
        if denying:
            says = "denies" if denying[0].consent.root is not None else "can't be evaluated, which denies"
            return self._decision(data, False, says, [*denying, *permitting])
        if permitting:
            opened_at = self._opened_at(data, permitting)
            return self._decision(data, True, "permits", permitting, opened_at=opened_at)
        closing = [reading for reading in self._live if closes(reading.consent)]
        if closing:
            first = closing[0]
            other = first.root_other or (first.root.other(data) if first.root is not None else None) or "data"
            return self._decision(data, False, "does not permit", closing, f"; it names other {other}")
        return self._decide_by_policy(data)

    def _decide_by_policy(self, data: Data) -> Decision:
        """What nobody speaks of: the community's policy, bounded by those that the live consents build on."""
        asked = self._asked
        named = (self._implicit, *(base for reading in self._live for base in reading.consent.bases))
        refusing = next((name for name in named if not _policy_permits(name, asked.purpose, data.labels)), None)
        name = refusing or self._implicit
        return Decision(
            facility=data.facility,
            permitted=refusing is None,
            reason=f"no consent in force speaks of it: the policy {name} "
            f"{'permits' if refusing is None else 'does not permit'} {_words(data, asked)}",
            policy=POLICY_URL[name],
            opened_at=self._opened_at(data, ()) if refusing is None else None,
            partial=refusing is None and data.names is None and self._is_partial,
        )

    def _opened_at(self, data: Data, permitting: Sequence[Reading]) -> datetime | None:
        """The latest of: the first permit that holds came to hold, and each consent that would forbid it ended."""
        moments = [
            ended
            for reading, ended in self._ended
            if reading.verdict(data) == "deny" or (not permitting and closes(reading.consent))
        ]
        if permitting:
            moments.append(min([self._held_since(reading, data) for reading in permitting]))
        return max(moments, default=None)

    def _held_since(self, reading: Reading, data: Data) -> datetime:
        if reading.limited:
            return held_since(reading, data, self._asked.now)
        held = self._held.get(id(reading))  # without limits of its own rules it is the same for all data
        if held is None:
            held = self._held[id(reading)] = held_since(reading, data, self._asked.now)
        return held

    def _decision(
        self,
        data: Data,
        permitted: bool,
        says: str,
        relied_on: Sequence[Reading],
        because: str = "",
        opened_at: datetime | None = None,
    ) -> Decision:
        first = relied_on[0].consent
        partial = permitted and data.names is None and self._is_partial
        return Decision(
            facility=data.facility,
            permitted=permitted,
            reason=f"Consent/{first.id} (version {first.version}): {says} {_words(data, self._asked)}{because}"
            f"{', study by study' if partial else ''}",
            consents=tuple([reading.consent.reference for reading in relied_on]),
            opened_at=opened_at,
            partial=partial,
        )


def _policy_permits(name: ImplicitPolicy, purpose: str, labels: Labels) -> bool:
    if labels.part2 and purpose != BREAK_GLASS:
        return False
    if name == "basic-normal":
        return is_within(purpose, "TREAT") and purpose != BREAK_GLASS and is_normal(labels)
    if name == "all-normal":
        return is_normal(labels)
    return name == "break-glass-only" and purpose == BREAK_GLASS


def _words(data: Data, asked: Asked) -> str:
    return f"Organization/{data.facility} for {PURPOSE_WORDS.get(asked.purpose, asked.purpose)}"
