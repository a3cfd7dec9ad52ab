"""How sensitive is a study, and which rules reach that? Security labels as HL7 v3 has them, compared purely.

Confidentiality is a scale, sensitivity a tree (`v3-Confidentiality`; `v3-ActCode`, information sensitivity policies).
A permit reaches what it names and whatever is less confidential; a deny reaches what it names and whatever is more so:
each way of reading is the one that shows less.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gateway.model import Coding, SecurityLabel

CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"

SCALE = ("U", "L", "M", "N", "R", "V")
"""From unrestricted to very restricted."""
_RANK = {code: rank for rank, code in enumerate(SCALE)}

_PARENT: Mapping[str, str | None] = {
    "ETH": None,
    "SUD": "ETH",
    "ETHUD": "SUD",
    "OPIOIDUD": "SUD",
    "BH": None,
    "MH": "BH",
    "PSY": "MH",
    "PSYTHPN": "PSY",
    "COGN": "BH",
    "DVD": "BH",
    "EMOTDIS": "BH",
    "GDIS": None,
    "HIV": None,
    "MST": None,
    "SCA": None,
    "SICKLE": "SCA",
    "SDV": None,
    "SEX": None,
    "SPI": None,
    "STD": None,
    "TBOO": None,
    "VIO": None,
}
"""IHE PCF's least set (ETH, ETHUD, OPIOIDUD, PSY, SDV, HIV) and the codes around it. Alcohol and opioids lie below
substance use, as PCF has it, so that whoever withholds substance use withholds both."""
SENSITIVITIES = frozenset(_PARENT)
SUBSTANCE_USE = "SUD"

NO_REDISCLOSURE = ("NORDSCLCD", "NOREDISCLOSE")
"""What 42 CFR §2.32 asks of whoever receives a Part 2 programme's data: HL7's refrain policy, and its older name."""
PART_2_BASIS = "42CFRPart2"
NO_BASES: Mapping[str, tuple[Coding, ...]] = {}

UNREADABLE = "?"
"""A sensitivity that can't be told: every deny of a sensitivity reaches it, no permit of one does."""

_SYSTEMS = {
    **dict.fromkeys(
        (
            CONFIDENTIALITY,
            "http://terminology.hl7.org/ValueSet/v3-Confidentiality",
            "http://terminology.hl7.org/ValueSet/v3-ConfidentialityClassification",
            "http://hl7.org/fhir/v3/Confidentiality",
            "urn:oid:2.16.840.1.113883.5.25",
        ),
        frozenset(SCALE),
    ),
    **dict.fromkeys(
        (
            ACT_CODE,
            "http://terminology.hl7.org/ValueSet/v3-ActCode",
            "http://terminology.hl7.org/ValueSet/v3-InformationSensitivityPolicy",
            "http://terminology.hl7.org/ValueSet/v3-ActInformationSensitivityPolicy",
            "http://hl7.org/fhir/v3/ActCode",
            "urn:oid:2.16.840.1.113883.5.4",
        ),
        SENSITIVITIES,
    ),
}
"""Published consents and data name the value set, the old name or the OID where they mean the code system (T61)."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What is known of a study's sensitivity. Unlabelled means normal (IHE PCF §security labels)."""

    confidentiality: str = "N"
    sensitivities: frozenset[str] = frozenset()
    part2: bool = False
    """Whether it is from a 42 CFR Part 2 programme: only an explicit permit opens it."""

    def __or__(self, other: "Labels") -> "Labels":
        """The strictest of both."""
        if self == other:
            return self
        return Labels(
            max(self.confidentiality, other.confidentiality, key=_RANK.__getitem__),
            self.sensitivities | other.sensitivities,
            self.part2 or other.part2,
        )


NORMAL = Labels()


def labels_with(confidentiality: str | None, sensitivities: Iterable[str], *, part2: bool = False) -> Labels:
    """The labels that these codes make: what is sensitive is restricted unless a confidentiality says otherwise."""
    found = frozenset(sensitivities)
    return Labels(confidentiality or ("R" if found else "N"), found, part2)


def code_of_label(coding: object) -> str | None:
    """The code that a FHIR Coding states, in HL7's spelling; None where it states none that is known.

    Only system and code count: display, version, `userSelected` and extensions say nothing (T69b).
    """
    if not isinstance(coding, dict):
        return None
    system, code = coding.get("system"), coding.get("code")
    if not isinstance(system, str) or not isinstance(code, str):
        return None
    known = _SYSTEMS.get(system.partition("|")[0].rstrip("/"), frozenset())
    return code.upper() if code.upper() in known else None


def labels_in(security: Iterable[Mapping[str, Any]]) -> Labels:
    """The labels that data carries in `meta.security`. One that can't be told is restricted and `UNREADABLE`."""
    codes = [code_of_label(coding) for coding in security if not _is_other(coding)]
    scale = [code for code in codes if code in _RANK]
    sensitivities = {UNREADABLE if code is None else code for code in codes if code not in _RANK}
    stated = max(scale, key=_RANK.__getitem__) if scale else None
    if UNREADABLE in sensitivities:
        stated = max(stated or "R", "R", key=_RANK.__getitem__)
    return labels_with(stated, sensitivities)


def _is_other(coding: Mapping[str, Any]) -> bool:
    """Whether it is a label that says nothing of sensitivity: a purpose, an integrity, an obligation."""
    system = str(coding.get("system", "")).partition("|")[0].rstrip("/")
    return bool(system) and system not in _SYSTEMS


@lru_cache(maxsize=4096)
def permit_reaches(named: tuple[str, ...], labels: Labels) -> bool:
    """Whether a permit for these labels opens a study with those: it is no more confidential than one that is named,
    or everything sensitive about it is named."""
    if any(_RANK[code] >= _RANK[labels.confidentiality] for code in named if code in _RANK):
        return True
    return bool(labels.sensitivities) and all(_is_within_any(code, named) for code in labels.sensitivities)


@lru_cache(maxsize=4096)
def deny_reaches(named: tuple[str, ...], labels: Labels) -> bool:
    """Whether a deny for these labels withholds a study with those: it is at least as confidential as one that is
    named, or anything sensitive about it is named."""
    if any(_RANK[code] <= _RANK[labels.confidentiality] for code in named if code in _RANK):
        return True
    if UNREADABLE in labels.sensitivities and any(code not in _RANK for code in named):
        return True
    return any(_is_within_any(code, named) for code in labels.sensitivities)


def may_reach(named: tuple[str, ...], least: Labels) -> bool:
    """Whether a permit for these labels could open any study that has at least the labels `least`."""
    return any(code not in _RANK or _RANK[code] >= _RANK[least.confidentiality] for code in named)


def codings_of_labels(labels: Labels, bases: Mapping[str, tuple[Coding, ...]] = NO_BASES) -> tuple[SecurityLabel, ...]:
    """The labels as `meta.security` tells them to the receiver, who has to go on heeding them.

    `bases` is, by code, what each rests on.
    """
    codes = sorted(labels.sensitivities - {UNREADABLE})
    if labels.part2:
        codes += [PART_2_BASIS, *NO_REDISCLOSURE]
    told = ((CONFIDENTIALITY, labels.confidentiality), *((ACT_CODE, code) for code in codes))
    return tuple(SecurityLabel(system, code, basis=bases.get(code, ())) for system, code in told)


def is_normal(labels: Labels) -> bool:
    """Whether an implicit policy may release it: normal or less (IHE PCF, `Policy-basic-normal`)."""
    return _RANK[labels.confidentiality] <= _RANK["N"]


def _is_within_any(code: str, named: Iterable[str]) -> bool:
    step: str | None = code
    while step is not None:
        if step in named:
            return True
        step = _PARENT.get(step)
    return False
