"""What has to be left out of what a facility may show, said in labels for whoever enforces it elsewhere. Pure.

The decision itself is asked, label by label, so that an enforcement point which heeds the answer never shows more than
this gateway would (HL7 DS4P; `REDACT` obligations of a consent decision service).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from gateway.consent.decide import decide_data, tells_studies_apart
from gateway.consent.labels import ACT_CODE, CONFIDENTIALITY, NORMAL, SCALE, SENSITIVITIES, Labels
from gateway.consent.policy import PatientPolicy, Provision
from gateway.consent.reach import Data
from gateway.model import FacilityID, Requester

_SENSITIVE = tuple(sorted(SENSITIVITIES))


@dataclass(frozen=True, slots=True)
class Redaction:
    """What of a facility's data is withheld from a caller who may ask it."""

    codes: frozenset[str] = frozenset()
    """Whatever has one of these labels."""
    except_any_of: frozenset[str] | None = None
    """Whatever has none of these labels; None where there is no such bound."""
    more: bool = False
    """And some that labels don't tell: single studies, or those of a time."""

    def __or__(self, other: "Redaction") -> "Redaction":
        """What has to be left out of both, where it can't be told which is whose."""
        bounds = [one for one in (self.except_any_of, other.except_any_of) if one is not None]
        return Redaction(
            self.codes | other.codes,
            frozenset.intersection(*bounds) if bounds else None,
            self.more or other.more,
        )


def redaction_of(
    policy: PatientPolicy, requester: Requester, facility: FacilityID, now: datetime, floor: Labels = NORMAL
) -> Redaction:
    """What is withheld from `requester` of a facility all of whose data has at least the labels `floor`."""
    by_labels = replace(
        policy,
        consents=tuple(replace(consent, root=consent.root and _by_labels(consent.root)) for consent in policy.consents),
    )

    def shown(*labels: Labels) -> list[bool]:
        data = [Data(facility, one | floor, frozenset()) for one in labels]
        return [decision.permitted for decision in decide_data(by_labels, requester, data, now)]

    def sensitive(*levels: str) -> frozenset[str]:
        """The sensitivities that are shown at each of these levels, alone and all at once; else none."""
        alone = shown(*(Labels(level, frozenset((code,))) for code in _SENSITIVE for level in levels))
        each = (alone[at : at + len(levels)] for at in range(0, len(alone), len(levels)))
        found = frozenset(code for code, at_levels in zip(_SENSITIVE, each, strict=True) if all(at_levels))
        return found if all(shown(*(Labels(level, found) for level in levels))) else frozenset()

    scale = tuple(code for code, is_shown in zip(SCALE, shown(*map(Labels, SCALE)), strict=True) if is_shown)
    more = tells_studies_apart(policy, requester, now)
    if scale == SCALE:
        return Redaction(SENSITIVITIES - sensitive(SCALE[0], SCALE[-1]), None, more)
    if at_any_level := sensitive(SCALE[-1]):
        return Redaction(SENSITIVITIES - at_any_level, at_any_level.union(scale), more)
    if not scale:
        return Redaction(frozenset(), frozenset(), more)
    return Redaction(SENSITIVITIES - sensitive(SCALE[0], scale[-1]), frozenset(scale), more)


def codings_of_codes(codes: Iterable[str]) -> list[dict[str, str]]:
    """The labels as FHIR Codings: the scale from below, then sensitivities by name."""
    ordered = sorted(codes, key=lambda code: (code not in SCALE, SCALE.index(code) if code in SCALE else 0, code))
    return [{"system": CONFIDENTIALITY if code in SCALE else ACT_CODE, "code": code} for code in ordered]


def _by_labels(rule: Provision) -> Provision:
    """The rule as labels alone can tell it: a permit for some studies is one for all, a deny of some one of none."""
    nested = tuple(_by_labels(inner) for inner in rule.nested)
    if not rule.studies and rule.data_period is None:
        return replace(rule, nested=nested)
    if rule.type == "permit":
        sources = None if rule.studies else rule.authored_by
    else:
        sources = () if rule.data_period is not None or rule.authored_by is None else rule.authored_by
    return replace(rule, authored_by=sources, studies=(), data_period=None, nested=nested)
