"""Which labels does a study carry? The rule table of the exchange, read and applied. Pure.

No archive labels its studies, so that they are labelled by what it tells of them (HL7 DS4P, security labelling
service). A study that no rule is about is normal.
"""

import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from gateway.consent.labels import (
    ACT_CODE,
    NORMAL,
    PART_2_BASIS,
    SCALE,
    SENSITIVITIES,
    SUBSTANCE_USE,
    Labels,
    labels_with,
)
from gateway.imaging.study import SourceStudy
from gateway.model import Coding, Facility, FacilityID, StudyUID

PART_2 = labels_with("R", (SUBSTANCE_USE,), part2=True)
"""What all data of a 42 CFR Part 2 programme is labelled with."""
_PART_2_LAW = Coding(ACT_CODE, PART_2_BASIS)
_CONDITIONS = ("facility", "department", "modality", "body_part", "procedure_code", "words")
_KEYS = frozenset((*_CONDITIONS, "name", "labels", "confidentiality", "basis"))


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRule:
    """One rule: what a study has to be like, and the labels that it then has. Empty conditions hold for any."""

    name: str
    labels: Labels
    basis: Coding
    """The law or policy it follows; words alone are its display."""
    facility: frozenset[str] = frozenset()
    department: re.Pattern[str] | None = None
    modality: frozenset[str] = frozenset()
    body_part: frozenset[str] = frozenset()
    procedure_code: frozenset[str] = frozenset()
    words: re.Pattern[str] | None = None

    @property
    def is_of_facilities(self) -> bool:
        """Whether it holds for whole facilities, whatever the study."""
        of_studies = (self.department, self.modality, self.body_part, self.procedure_code, self.words)
        return bool(self.facility) and not any(of_studies)

    def holds(self, study: SourceStudy, said: str) -> bool:
        """Whether the source of a study, of which `said` is said in words, is as the rule says."""
        if self.facility and study.facility not in self.facility:
            return False
        if self.department and not any(self.department.search(_folded(one)) for one in study.departments):
            return False
        if self.modality and self.modality.isdisjoint(study.modalities):
            return False
        if self.procedure_code and self.procedure_code.isdisjoint(
            f"{code.system}|{code.code}" for code in study.procedure_codes
        ):
            return False
        if self.body_part and self.body_part.isdisjoint(
            (series.body_part or "").upper() for series in study.series or ()
        ):
            return False
        return self.words is None or self.words.search(said) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRules:
    """The rule table of the exchange."""

    rules: tuple[LabelRule, ...] = ()
    _any_words: re.Pattern[str] | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        words = [rule.words.pattern for rule in self.rules if rule.words is not None]
        if words:
            object.__setattr__(self, "_any_words", re.compile("|".join(words)))

    @property
    def look_at_series(self) -> bool:
        """Whether a rule is about what only a series query tells: without it, a study would pass for normal."""
        return any(rule.body_part or rule.words for rule in self.rules)

    @property
    def look_at_departments(self) -> bool:
        """Whether a rule is about departments, which archives are asked for then alone."""
        return any(rule.department for rule in self.rules)

    def floors(self, facilities: Sequence[Facility]) -> dict[FacilityID, Labels]:
        """The labels that all data of each facility has, of those that have any: nobody has to be asked to know."""
        floors: dict[FacilityID, Labels] = {}
        for facility in facilities:
            labels = PART_2 if facility.part2 else NORMAL
            for rule in self.rules:
                if rule.is_of_facilities and facility.id in rule.facility:
                    labels |= rule.labels
            if labels != NORMAL:
                floors[facility.id] = labels
        return floors

    def label(self, studies: Sequence[SourceStudy], floors: Mapping[FacilityID, Labels]) -> list[Labels]:
        """The labels of each of `studies`, in order: the strictest known from any source of the same study."""
        rules = self._rules_about(studies)
        if not rules and not floors:
            return [NORMAL] * len(studies)
        by_uid: dict[StudyUID, Labels] = {}
        for study in studies:
            labels, said = floors.get(study.facility, NORMAL), _text_of(study)
            for rule in rules:
                if rule.holds(study, said):
                    labels |= rule.labels
            known = by_uid.get(study.uid)
            by_uid[study.uid] = labels if known is None else known | labels
        return [by_uid[study.uid] for study in studies]

    def _rules_about(self, studies: Sequence[SourceStudy]) -> Sequence[LabelRule]:
        """The rules that can hold for any of `studies`: where no word of any rule is said, those without words."""
        if self._any_words is not None:
            said = {study.description for study in studies}
            said.update([code.display for study in studies for code in study.procedure_codes])
            said.update([series.description for study in studies for series in study.series or ()])
            if self._any_words.search("\n".join([_folded(words) for words in said if words])):
                return self.rules
        return [rule for rule in self.rules if rule.words is None]

    def bases(
        self, sources: Sequence[SourceStudy], floors: Mapping[FacilityID, Labels]
    ) -> dict[str, tuple[Coding, ...]]:
        """What each label rests on, by code, as far as it comes of one of these sources of a study.

        Whoever sees only these learns nothing of others by it: a rule may be about one facility.
        """
        bases: dict[str, dict[Coding, None]] = {}
        for source in sources:
            for labels, basis in self._given(source, floors):
                for code in (labels.confidentiality, *labels.sensitivities):
                    bases.setdefault(code, {})[basis] = None
        return {code: tuple(found) for code, found in bases.items()}

    def _given(self, source: SourceStudy, floors: Mapping[FacilityID, Labels]) -> Iterator[tuple[Labels, Coding]]:
        if floors.get(source.facility, NORMAL).part2:
            yield PART_2, _PART_2_LAW
        said = _text_of(source)
        yield from ((rule.labels, rule.basis) for rule in self.rules if rule.holds(source, said))


NO_RULES = LabelRules()


def read_label_rules(text: str) -> LabelRules:
    """The table that `text` (TOML) states. Raises ValueError that lists what is wrong with it."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ValueError(f"not TOML: {exc}") from exc
    problems = [f"{name} is no key of the table" for name in table if name != "rule"]
    stated = table.get("rule", [])
    rules = []
    for number, rule in enumerate(stated if isinstance(stated, list) else [None], 1):
        found = _problems_of(rule)
        problems += [f"rule {number}: {problem}" for problem in found]
        if not found:
            rules.append(_rule(rule))
    if problems:
        raise ValueError("; ".join(problems))
    return LabelRules(rules=tuple(rules))


def _problems_of(rule: Any) -> list[str]:
    if not isinstance(rule, dict):
        return ["expected [[rule]]"]
    problems = [f"{key} is no key of a rule" for key in rule if key not in _KEYS]
    for key in (*_CONDITIONS, "labels"):
        values = rule.get(key, ["-"])
        if not isinstance(values, list) or not values or not all(isinstance(one, str) and one for one in values):
            problems.append(f"{key} is a list of texts, not empty")
    if not any(key in rule for key in _CONDITIONS):
        problems.append("a rule has a condition: " + ", ".join(_CONDITIONS))
    if "labels" not in rule and "confidentiality" not in rule:
        problems.append("a rule gives labels, a confidentiality, or both")
    if not isinstance(rule.get("name"), str) or not isinstance(rule.get("basis"), str):
        problems.append("a rule has a name and a basis")
    if not problems:
        problems += [
            f"{code} is no v3-ActCode sensitivity" for code in rule.get("labels", ()) if code not in SENSITIVITIES
        ]
        if rule.get("confidentiality", "R") not in SCALE:
            problems.append("confidentiality is one of " + ", ".join(SCALE))
    return problems


def _rule(rule: Mapping[str, Any]) -> LabelRule:
    return LabelRule(
        name=rule["name"],
        basis=_basis(rule["basis"]),
        labels=labels_with(rule.get("confidentiality"), rule.get("labels", ())),
        facility=frozenset(rule.get("facility", ())),
        department=_pattern(rule["department"]) if "department" in rule else None,
        modality=frozenset(one.upper() for one in rule.get("modality", ())),
        body_part=frozenset(one.upper() for one in rule.get("body_part", ())),
        procedure_code=frozenset(rule.get("procedure_code", ())),
        words=_pattern(rule["words"]) if "words" in rule else None,
    )


def _basis(text: str) -> Coding:
    system, found, code = text.rpartition("|")
    return Coding(system, code) if found and system and code else Coding("", "", text)


def _pattern(words: Sequence[str]) -> re.Pattern[str]:
    stems = (
        f"{re.escape(_folded(word[:-1]))}" if word.endswith("*") else rf"{re.escape(_folded(word))}\b" for word in words
    )
    return re.compile(rf"\b(?:{'|'.join(stems)})")


@lru_cache(maxsize=4096)
def _folded(text: str) -> str:
    """Lower case, without accents, any space between words one blank, so that spelling matters less."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return re.sub(r"[\s_^]+", " ", "".join(one for one in plain if not unicodedata.combining(one)))


def _text_of(study: SourceStudy) -> str:
    """What is said of the study in words. A line each, so that no word is found across two."""
    parts = [study.description, *[code.display for code in study.procedure_codes]]
    parts += [series.description for series in study.series or ()]
    return "\n".join([_folded(part) for part in parts if part])
