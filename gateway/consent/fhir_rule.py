"""One provision of a FHIR R4 or R5 Consent as a rule: what it says of recipients, purposes and data. Pure.

IHE PCF Basic, Intermediate and Advanced. What is read is a closed list: an element that could change what the patient
means and is not evaluated here is refused by its path, never passed over (FHIR R4 §modifierExtension, IHE PCF §1.2).
"""

import re
from collections.abc import Mapping
from typing import Any

from gateway.consent.fhir_reference import FacilityNames, facility_in, names_in, type_of
from gateway.consent.fhir_walk import Walk, codings_of
from gateway.consent.labels import code_of_label
from gateway.consent.policy import DataPeriod, Provision, ProvisionType
from gateway.model import FacilityID
from gateway.purposes import KNOWN, SYSTEM, URN

RULE = frozenset(("period", "purpose", "actor", "data", "dataPeriod", "securityLabel"))
"""The elements of a provision that are evaluated, in R4 and R5 alike."""
_ROLE = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_ACTORS = ("Device", "Group", "Organization", "Patient", "Practitioner", "PractitionerRole", "RelatedPerson")
_MEANINGS = ("instance", "related", "authoredby")
_STUDY_TYPES = (None, "ImagingStudy", "ServiceRequest")
"""What a reference to a study may say it is: the study, or the order whose accession number the study has."""
_STUDY_UID = re.compile(r"(?:urn:oid:)?((?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))+)", re.ASCII)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")
_UID_SYSTEM = "urn:dicom:uid"

Known = Mapping[str, str]
"""Each group (`Group/{id}`) and study (`ImagingStudy/{id}`) of the exchange that a Consent may name, by each of its
names."""


class RuleReader:
    """Reads the provisions of one Consent. `used` and `known_used` are the names it found, and what they meant."""

    def __init__(self, walk: Walk, facilities: FacilityNames, known: Known, contained: object) -> None:
        self._walk = walk
        self._facilities = facilities
        self._known = known
        self._groups = {
            f"#{item.get('id')}": item
            for item in (contained if isinstance(contained, list) else ())
            if isinstance(item, dict) and item.get("resourceType") == "Group"
        }
        self.used: dict[str, FacilityID] = {}
        self.known_used: dict[str, str] = {}

    def rule(
        self, node: Mapping[str, Any], path: str, kind: ProvisionType, nested: tuple[Provision, ...] = ()
    ) -> Provision:
        """The rule that `node` states, of that kind. Which elements it may have has been looked at."""
        limits = self._walk.limits(node, "period", path)
        start, end = limits.get("start"), limits.get("end")
        sources, studies = self._data(node, path)
        denies = kind == "deny"
        items = self._walk.items
        return Provision(
            type=kind,
            purposes=tuple(self._purpose(item, at, denies=denies) for item, at in items(node, "purpose", path)),
            actors=tuple(
                name for item, at in items(node, "actor", path) for name in self._actor(item, at, denies=denies)
            ),
            authored_by=sources,
            studies=studies,
            labels=tuple(self._label(item, at) for item, at in items(node, "securityLabel", path)),
            data_period=self._data_period(node, path),
            period_start=start.start if start else None,
            period_end=end.end if end else None,
            nested=nested,
        )

    def _data_period(self, node: Mapping[str, Any], path: str) -> DataPeriod | None:
        limits = self._walk.limits(node, "dataPeriod", path)
        if not limits:
            return None
        start, end = limits.get("start"), limits.get("end")
        stated = node["dataPeriod"]
        return DataPeriod(
            start=start.start if start else None,
            end=end.end if end else None,
            start_zoned="T" in str(stated.get("start", "T")),
            end_zoned="T" in str(stated.get("end", "T")),
        )

    def _label(self, coding: Mapping[str, Any], path: str) -> str:
        code = code_of_label(coding)
        if code is None:
            self._walk.refuse(path, "unknown label; expected v3-Confidentiality or a v3-ActCode sensitivity")
        return str(code)

    def _purpose(self, coding: Mapping[str, Any], path: str, *, denies: bool) -> str:
        system, code = coding.get("system"), coding.get("code")
        if not isinstance(code, str) or not code:
            self._walk.refuse(f"{path}.code", "unknown purpose of use")
        elif system not in (SYSTEM, URN):
            if denies or code in KNOWN or not isinstance(system, str) or not _URI.fullmatch(system):
                self._walk.refuse(f"{path}.system", f"expected {SYSTEM}")
            # Of another vocabulary: nobody can ask for it here, so that it permits nothing.
            return f"{system}|{code}"
        elif code not in KNOWN:
            self._walk.refuse(f"{path}.code", "unknown purpose of use")
        return str(code)

    def _actor(self, actor: Mapping[str, Any], path: str, *, denies: bool) -> tuple[str, ...]:
        self._walk.only(actor, path, frozenset(("role", "reference")), "role and reference")
        if "role" in actor and (_ROLE, "IRCP") not in codings_of(actor["role"]):
            self._walk.refuse(f"{path}.role", "expected IRCP, the recipient of the data (IHE PCF)")
        reference = actor.get("reference")
        literal = reference.get("reference") if isinstance(reference, dict) else None
        if isinstance(literal, str) and literal in self._groups:
            return self._members(self._groups[literal], f"{path}.reference", denies=denies)
        return self._recipient(reference, f"{path}.reference", denies=denies)

    def _recipient(self, reference: object, path: str, *, denies: bool) -> tuple[str, ...]:
        names = names_in(reference) if isinstance(reference, dict) else ()
        if not isinstance(reference, dict) or not names:
            self._walk.refuse(path, "expected a reference or an identifier")
            return ()
        kind = type_of(reference)
        if kind is not None and kind not in _ACTORS:
            self._walk.refuse(path, "whom it means is not evaluated; expected " + ", ".join(_ACTORS))
        facility = self._facility(reference)
        group = {self._known[name] for name in names if self._known.get(name, "").startswith("Group/")}
        if kind == "Group" or (group and facility is None):
            return self._found(names, path, "unknown group: nobody can tell its members")
        if facility is not None:
            # Its bare names are left out, so that a user who is called like a facility is not taken for it.
            return (f"Organization/{facility}", *(name for name in names if ":" in name))
        if denies and any(name.startswith("Organization/") for name in names):
            self._walk.refuse(path, "unknown facility: nobody would be denied")
        if kind == "PractitionerRole":
            return (*names, *(f"PractitionerRole|{name}" for name in names if "|" in name))
        return names

    def _members(self, group: Mapping[str, Any], path: str, *, denies: bool) -> tuple[str, ...]:
        """The members of a contained group that are named one by one (FHIR R4 Group, `actual`)."""
        if group.get("actual") is not True or "characteristic" in group or group.get("active") is False:
            self._walk.refuse(path, "a group is evaluated where it is active and names its actual members")
        names: list[str] = []
        for item, at in self._walk.items(group, "member", path):
            if item.get("inactive") is not True:
                names += self._recipient(item.get("entity"), f"{at}.entity", denies=denies)
        if not names:
            self._walk.refuse(path, "a group without members: whom it means can't be told")
        return tuple(names)

    def _data(self, node: Mapping[str, Any], path: str) -> tuple[tuple[FacilityID, ...] | None, tuple[str, ...]]:
        sources: list[FacilityID] = []
        studies: list[str] = []
        by_source = False
        for data, at in self._walk.items(node, "data", path):
            self._walk.only(data, at, frozenset(("meaning", "reference")), "meaning and reference")
            reference = data.get("reference")
            stated = reference if isinstance(reference, dict) else {}
            if data.get("meaning") == "authoredby":
                by_source = True
                sources += self._author(stated, f"{at}.reference")
            elif data.get("meaning") in _MEANINGS:
                studies += self._study(stated, f"{at}.reference")
            else:
                self._walk.refuse(f"{at}.meaning", "not evaluated; expected " + ", ".join(_MEANINGS))
        return tuple(sources) if by_source else None, tuple(studies)

    def _author(self, reference: Mapping[str, Any], path: str) -> tuple[FacilityID, ...]:
        facility = self._facility(reference)
        if facility is None:
            self._walk.refuse(path, "unknown facility; expected Organization/{facility id} or an identifier of it")
            return ()
        return (facility,)

    def _study(self, reference: Mapping[str, Any], path: str) -> tuple[str, ...]:
        """A study by its UID, by what it was ordered as (its accession number), or by its id here."""
        names = [_without_uid_system(name) for name in names_in(reference)]
        plain = tuple(uid[1] if (uid := _STUDY_UID.fullmatch(name)) else name for name in names)
        # An encounter's number would pass for an accession number, and then protect nothing.
        is_study = type_of(reference) in _STUDY_TYPES
        if is_study and plain and all(_STUDY_UID.fullmatch(name) or _is_identifier(name) for name in plain):
            return plain
        return self._found(
            tuple(names),
            path,
            "unknown study; expected its UID, its accession number with the system, or ImagingStudy/{id}",
        )

    def _found(self, names: tuple[str, ...], path: str, otherwise: str) -> tuple[str, ...]:
        """What the exchange knows by one of these names. More than one thing, or none, is refused."""
        found = {self._known[name] for name in names if name in self._known}
        if len(found) != 1:
            self._walk.refuse(path, otherwise)
            return ()
        self.known_used |= {name: self._known[name] for name in names if name in self._known}
        return tuple(found)

    def _facility(self, reference: Mapping[str, Any]) -> FacilityID | None:
        facility = facility_in(reference, self._facilities)
        if facility is not None:
            self.used |= {name: facility for name in names_in(reference) if name in self._facilities}
        return facility


def _without_uid_system(name: str) -> str:
    return name.removeprefix(f"{_UID_SYSTEM}|")


def _is_identifier(name: str) -> bool:
    """`system|value`, as an identifier with its system is named."""
    system, found, value = name.partition("|")
    return bool(found and system and value)
