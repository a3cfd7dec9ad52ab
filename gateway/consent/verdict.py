"""What does one consent say to one caller, for one purpose? Pure.

Nested rules come before the root, and of those a deny first.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from gateway.consent.policy import ConsentVersion, Provision
from gateway.consent.reach import Attribute, Data, Reach, reach_of
from gateway.purposes import BREAK_GLASS, is_within

Verdict = Literal["permit", "deny", "silent"]


@dataclass(frozen=True, slots=True)
class Asked:
    """One purpose of one caller at one instant."""

    purpose: str
    names: frozenset[str]
    now: datetime


class _Nested(NamedTuple):
    rule: Provision
    reach: Reach
    holds: bool
    """Whether its own period holds now."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One consent as it is about one caller and purpose."""

    consent: ConsentVersion
    is_live: bool
    root: Reach | None
    """None where the root is about other callers or purposes."""
    root_other: Attribute | None
    nested: tuple[_Nested, ...]
    limited: tuple[_Nested, ...] = ()
    """Of `nested`, those that have a period of their own."""

    def verdict(self, data: Data) -> Verdict:
        """What it says, were it live: a nested rule that matches before the root, and of those a deny first."""
        root = self.consent.root
        if root is None:
            return "deny"
        permitted = False
        for nested in self.nested:
            if nested.holds and nested.reach.covers(data):
                if not nested.reach.permits:
                    return "deny"
                permitted = True
        if permitted:
            return "permit"
        return root.type if self.root is not None and self.root.covers(data) else "silent"

    @property
    def reaches(self) -> tuple[Reach, ...]:
        """Of all its rules that are about this caller and purpose."""
        nested = tuple([one.reach for one in self.nested])
        return nested if self.root is None else (self.root, *nested)


def read_consent(consent: ConsentVersion, asked: Asked) -> Reading:
    """The consent as it is about this caller and purpose, now: only whose data is asked for is left open."""
    root = consent.root
    if root is None:
        return Reading(consent, consent.active, None, None, ())
    emergency = asked.purpose == BREAK_GLASS
    other = _other_caller(root, root, asked)
    nested = tuple(
        [
            _Nested(rule, _reach_within(rule, root, asked, emergency), _holds(rule, asked.now))
            for rule in root.nested
            if _other_caller(rule, root, asked) is None
        ]
    )
    return Reading(
        consent,
        consent.active and _holds(root, asked.now),
        None if other else reach_of(root, root, emergency),
        other,
        nested,
        tuple([one for one in nested if one.rule.period_start is not None or one.rule.period_end is not None]),
    )


def _reach_within(rule: Provision, root: Provision, asked: Asked, emergency: bool) -> Reach:
    """A nested permit keeps to what the root states wherever it states nothing itself; a nested deny stands alone."""
    outer = _outer(rule, root)
    if not rule.nested:
        return reach_of(rule, outer, emergency)
    excepted = tuple(
        reach_of(inner, inner, emergency)
        for inner in rule.nested
        if _holds(inner, asked.now) and _other_caller(inner, inner, asked) is None
    )
    return reach_of(rule, outer, emergency, excepted)


def _outer(rule: Provision, root: Provision) -> Provision:
    return root if rule.type == "permit" else rule


def _other_caller(rule: Provision, root: Provision, asked: Asked) -> Attribute | None:
    """Whether the rule is about other recipients or purposes than this. Attributes AND, their values OR."""
    outer = _outer(rule, root)
    actors = rule.actors or outer.actors
    if actors and asked.names.isdisjoint(actors):
        return "recipients"
    purposes = rule.purposes or outer.purposes
    if rule.type == "permit" and asked.purpose == BREAK_GLASS:
        return None if BREAK_GLASS in purposes else "purposes"
    if purposes and not any(is_within(asked.purpose, purpose) for purpose in purposes):
        return "purposes"
    return None


def _holds(rule: Provision, now: datetime) -> bool:
    started = rule.period_start is None or rule.period_start <= now
    return started and (rule.period_end is None or now < rule.period_end)


def closes(consent: ConsentVersion) -> bool:
    """Whether it takes the place of the implicit policy: it says what is permitted, so the rest is not."""
    return consent.root is None or consent.root.type == "permit"


def ended_at(consent: ConsentVersion, now: datetime) -> datetime | None:
    """When it ceased to be in force; None where it is in force, or never was."""
    if not consent.active:
        # What was never in force (filed as a draft, or as rejected) has not ended either.
        return consent.recorded_at if consent.version > 1 else None
    end = consent.root.period_end if consent.root is not None else None
    return end if end is not None and end <= now else None


def held_since(reading: Reading, data: Data, now: datetime) -> datetime:
    """Since when it has said of this data what it says now."""
    root = reading.consent.root
    rules = [] if root is None else [root]
    rules += [one.rule for one in reading.limited if one.reach.covers(data)]
    limits = [limit for rule in rules for limit in (rule.period_start, rule.period_end)]
    return max([reading.consent.recorded_at, *(limit for limit in limits if limit is not None and limit <= now)])


def rules_of(root: Provision | None) -> Iterable[Provision]:
    """Every rule of a Consent with that root, the root first."""
    if root is None:
        return ()
    return (root, *(inner for rule in root.nested for inner in (rule, *rule.nested)))
