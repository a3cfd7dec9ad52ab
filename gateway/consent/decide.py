"""May data of a facility be shown to this caller? IHE PCF's reading of a patient's consents, decided purely.

The rules, and why they are so, are in `docs/explanation/consent.md`. Both decision points of a query come here: which
facilities may be asked, and which sources of a study may be shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Literal

from gateway.consent.policy import POLICY_URL, ConsentVersion, Decision, PatientPolicy, Provision
from gateway.imaging.study import SourceStudy
from gateway.model import FacilityID, ImplicitPolicy, Requester
from gateway.purposes import BREAK_GLASS, is_within

Verdict = Literal["permit", "deny", "silent"]
Attribute = Literal["sources", "recipients", "purposes"]

US_NPI = "http://hl7.org/fhir/sid/us-npi"
"""The identifier system that the FAST Security (UDAP) B2B object gives a bare `subject_id` in the US realm."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """One purpose of one caller for one facility's data at one instant."""

    purpose: str
    names: frozenset[str]
    facility: FacilityID
    now: datetime


def decide_query(
    policy: PatientPolicy, requester: Requester, facilities: Sequence[FacilityID], now: datetime
) -> Mapping[FacilityID, Decision]:
    """For each of `facilities`, whether it may be asked at all: whether this caller may see anything of it."""
    return {facility: _decide(policy, requester, facility, now) for facility in facilities}


def decide_sources(
    policy: PatientPolicy, requester: Requester, studies: Sequence[SourceStudy], now: datetime
) -> Sequence[Decision]:
    """For each of `studies`, in order, whether this source of a study may be shown to this caller.

    Nothing that is evaluated is about a single study, so what holds for a facility holds for each study of it.
    """
    by_facility: dict[FacilityID, Decision] = {}
    for study in studies:
        if study.facility not in by_facility:
            by_facility[study.facility] = _decide(policy, requester, study.facility, now)
    return [by_facility[study.facility] for study in studies]


def _decide(policy: PatientPolicy, requester: Requester, facility: FacilityID, now: datetime) -> Decision:
    if requester.is_the_patient and requester.patient == policy.patient:
        return Decision(facility=facility, permitted=True, reason="the patient's own access")
    names = _names_of(requester.organization, requester.subject_id)
    decisions = [_decide_purpose(policy, _Asked(code, names, facility, now)) for code in requester.purposes]
    refused = next((decision for decision in decisions if not decision.permitted), None)
    if refused is not None:
        return refused
    if len(decisions) == 1:
        return decisions[0]
    return Decision(
        facility=facility,
        permitted=bool(decisions),
        reason="; ".join(decision.reason for decision in decisions) or "no purpose of use is stated",
        consents=tuple(dict.fromkeys(reference for decision in decisions for reference in decision.consents)),
        policy=next((decision.policy for decision in decisions if decision.policy), None),
        opened_at=max((decision.opened_at for decision in decisions if decision.opened_at), default=None),
    )


@lru_cache(maxsize=4096)
def _names_of(organization: str, subject_id: str | None) -> frozenset[str]:
    """Everything an actor of a consent may call this caller. A user's own words never name an organisation."""
    names = {organization, f"Organization/{organization}"}
    if subject_id and not subject_id.startswith("Organization/"):
        names.add(subject_id)
        if subject_id.isascii() and subject_id.isdigit() and len(subject_id) == 10:
            names.add(f"{US_NPI}|{subject_id}")
        if not set(subject_id) & set("/|:"):
            names.add(f"Practitioner/{subject_id}")
    return frozenset(names)


def _decide_purpose(policy: PatientPolicy, asked: _Asked) -> Decision:
    live = [consent for consent in policy.consents if _is_live(consent, asked.now)]
    verdicts = [(_verdict(consent, asked), consent) for consent in live]
    permitting = [consent for verdict, consent in verdicts if verdict == "permit"]
    denying = [consent for verdict, consent in verdicts if verdict == "deny"]
    if denying:
        says = "denies" if denying[0].root is not None else "can't be evaluated, which denies"
        return _decision(asked, False, says, [*denying, *permitting])
    if permitting:
        return _decision(asked, True, "permits", permitting, opened_at=_opened_at(policy, asked, permitting))
    closing = [(consent, consent.root) for consent in live if consent.root and consent.root.type == "permit"]
    if closing:
        other = _other(closing[0][1], asked, closing[0][1])
        return _decision(
            asked, False, "does not permit", [consent for consent, _ in closing], f"; it names other {other}"
        )
    return _decide_by_policy(policy, asked, live)


def _decide_by_policy(policy: PatientPolicy, asked: _Asked, live: Sequence[ConsentVersion]) -> Decision:
    """What nobody has spoken of: the community's policy, bounded by those that the live consents build on."""
    named = (policy.implicit, *(base for consent in live for base in consent.bases))
    refusing = next((name for name in named if not _policy_permits(name, asked.purpose)), None)
    name = refusing or policy.implicit
    return Decision(
        facility=asked.facility,
        permitted=refusing is None,
        reason=f"no consent in force speaks of it: the policy {name} "
        f"{'permits' if refusing is None else 'does not permit'} {_words(asked)}",
        policy=POLICY_URL[name],
        opened_at=_opened_at(policy, asked, ()) if refusing is None else None,
    )


def _policy_permits(name: ImplicitPolicy, purpose: str) -> bool:
    if name == "basic-normal":
        return is_within(purpose, "TREAT") and purpose != BREAK_GLASS
    if name == "all-normal":
        return True
    return name == "break-glass-only" and purpose == BREAK_GLASS


def _is_live(consent: ConsentVersion, now: datetime) -> bool:
    return consent.active and (consent.root is None or _holds(consent.root, now))


def _holds(rule: Provision, now: datetime) -> bool:
    started = rule.period_start is None or rule.period_start <= now
    return started and (rule.period_end is None or now < rule.period_end)


def _verdict(consent: ConsentVersion, asked: _Asked) -> Verdict:
    """What this consent says, were it live: a nested rule that matches before the root, and of those a deny first."""
    root = consent.root
    if root is None:
        return "deny"
    matching = {rule.type for rule in root.nested if _holds(rule, asked.now) and _matches(rule, asked, root)}
    if matching:
        return "deny" if "deny" in matching else "permit"
    return root.type if _matches(root, asked, root) else "silent"


def _closes(consent: ConsentVersion) -> bool:
    """Whether it takes the place of the implicit policy: it says what is permitted, so the rest is not."""
    return consent.root is None or consent.root.type == "permit"


def _matches(rule: Provision, asked: _Asked, root: Provision) -> bool:
    return _other(rule, asked, root) is None


def _other(rule: Provision, asked: _Asked, root: Provision) -> Attribute | None:
    """Which attribute of the rule is about others than this; None where all match. Attributes AND, their values OR.

    A nested permit keeps to what the root states wherever it states nothing itself; a nested deny stands alone.
    """
    outer = root if rule.type == "permit" else rule
    sources = outer.authored_by if rule.authored_by is None else rule.authored_by
    if sources is not None and asked.facility not in sources:
        return "sources"
    actors = rule.actors or outer.actors
    if actors and asked.names.isdisjoint(actors):
        return "recipients"
    purposes = rule.purposes or outer.purposes
    if rule.type == "permit" and asked.purpose == BREAK_GLASS:
        return None if BREAK_GLASS in purposes else "purposes"
    if purposes and not any(is_within(asked.purpose, purpose) for purpose in purposes):
        return "purposes"
    return None


def _opened_at(policy: PatientPolicy, asked: _Asked, permitting: Sequence[ConsentVersion]) -> datetime | None:
    """The latest of: the first permit that holds came to hold, and each consent that would forbid it ended."""
    moments = [
        ended
        for consent in policy.consents
        if (ended := _ended_at(consent, asked.now)) is not None
        and (_verdict(consent, asked) == "deny" or (not permitting and _closes(consent)))
    ]
    if permitting:
        moments.append(min(_held_since(consent, asked) for consent in permitting))
    return max(moments, default=None)


def _ended_at(consent: ConsentVersion, now: datetime) -> datetime | None:
    if not consent.active:
        # What was never in force (filed as a draft, or as rejected) has not ended either.
        return consent.recorded_at if consent.version > 1 else None
    end = consent.root.period_end if consent.root is not None else None
    return end if end is not None and end <= now else None


def _held_since(consent: ConsentVersion, asked: _Asked) -> datetime:
    root = consent.root
    rules = () if root is None else (root, *(rule for rule in root.nested if _matches(rule, asked, root)))
    limits = [limit for rule in rules for limit in (rule.period_start, rule.period_end)]
    return max([consent.recorded_at, *(limit for limit in limits if limit is not None and limit <= asked.now)])


def _decision(
    asked: _Asked,
    permitted: bool,
    says: str,
    relied_on: Sequence[ConsentVersion],
    because: str = "",
    opened_at: datetime | None = None,
) -> Decision:
    first = relied_on[0]
    return Decision(
        facility=asked.facility,
        permitted=permitted,
        reason=f"Consent/{first.id} (version {first.version}): {says} {_words(asked)}{because}",
        consents=tuple(consent.reference for consent in relied_on),
        opened_at=opened_at,
    )


def _words(asked: _Asked) -> str:
    return f"Organization/{asked.facility} for {PURPOSE_WORDS.get(asked.purpose, asked.purpose)}"


PURPOSE_WORDS: Mapping[str, str] = {
    "TREAT": "treatment",
    "CLINTRL": "a clinical trial",
    "COC": "coordination of care",
    "ETREAT": "emergency treatment",
    "BTG": "break-glass access",
    "ERTREAT": "emergency room treatment",
    "POPHLTH": "population health",
    "TREATDS": "treatment and disease surveillance",
    "HRESCH": "research",
    "CLINTRCH": "clinical trial research",
    "CLINTRCHNPC": "clinical trial research without patient care",
    "CLINTRCHPC": "clinical trial research with patient care",
    "PRECLINTRCH": "preclinical trial research",
    "PATRQT": "the patient's request",
    "FAMRQT": "the family's request",
    "PWATRNY": "a request under power of attorney",
    "SUPNWK": "the support network",
    "PUBHLTH": "public health",
    "DISASTER": "disaster response",
    "THREAT": "a public health threat",
    "HMARKT": "marketing",
    "HPAYMT": "payment",
    "HOPERAT": "operations",
}
"""Each purpose of use as a person would say it."""
