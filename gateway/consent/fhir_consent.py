"""A FHIR R4 Consent as a rule that can be decided by, or every reason why it can't be. Pure.

IHE PCF Basic plus `data.meaning = authoredby`. What this reads is a closed list: an element that could change what the
patient means and is not evaluated here is refused by its path, never passed over (FHIR R4 §modifierExtension, §1.2 of
IHE PCF's profiles). Elements that change nothing (performer, organization, source, text) may be there or not.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from gateway.consent.fhir_reference import FacilityNames, facility_in, names_in, patients_in, type_of
from gateway.consent.period import moment_of
from gateway.consent.policy import POLICY_URL, Provision, ProvisionType
from gateway.errors import LoadRefused
from gateway.model import FacilityID, ImplicitPolicy, Moment, PatientRef
from gateway.purposes import KNOWN, SYSTEM, URN

STATUSES = ("draft", "proposed", "active", "rejected", "inactive", "entered-in-error")
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"
_ROLE = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_OPTED_OUT = frozenset(("OPTOUT", "OPTOUTE"))
_POLICY_OF: Mapping[str, ImplicitPolicy] = {url: policy for policy, url in POLICY_URL.items()}

_CONSENT = frozenset(
    (
        *("resourceType", "id", "meta", "language", "text", "contained", "identifier", "status", "scope", "category"),
        *("patient", "dateTime", "performer", "organization", "sourceAttachment", "sourceReference", "policy"),
        *("policyRule", "provision"),
    )
)
_RULE = frozenset(("type", "period", "purpose", "actor", "data"))
_ACTORS = frozenset(("Organization", "Practitioner", "PractitionerRole", "RelatedPerson", "Patient", "Device"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadConsent:
    """What one Consent says: whether it is in force, and its rule."""

    id: str
    active: bool
    root: Provision | None
    """None only where it is not active and says nothing."""
    bases: tuple[ImplicitPolicy, ...]
    facilities: Mapping[str, FacilityID]
    """The names of facilities it used and what they meant: with these it reads the same for ever."""


def from_consent(resource: Mapping[str, Any], names: FacilityNames) -> ReadConsent:
    """The Consent as a rule. Raises LoadRefused that lists the path of every element that stands in the way."""
    reader = _Reader(names)
    consent = reader.consent(resource)
    if reader.problems:
        raise LoadRefused(reader.problems)
    return consent


def patients_of(resource: Mapping[str, Any], fhir_base: str = "") -> tuple[PatientRef, ...]:
    """Each way in which the Consent names its patient; all of them must mean one person. Raises LoadRefused."""
    patient = resource.get("patient")
    found = patients_in(patient, fhir_base) if isinstance(patient, dict) else ()
    if not found:
        raise LoadRefused(["Consent.patient: expected Patient/{id}, or an identifier with its system"])
    return found


class _Reader:
    """Walks one Consent, gathering what is wrong, so that all of it is told at once."""

    def __init__(self, names: FacilityNames) -> None:
        self._names = names
        self._used: dict[str, FacilityID] = {}
        self.problems: list[str] = []

    def consent(self, resource: Mapping[str, Any]) -> ReadConsent:
        if resource.get("resourceType") != "Consent":
            self._refuse("resourceType", "expected Consent")
        self._refuse_modifiers(resource, "Consent")
        self._only(resource, "Consent", _CONSENT, "FHIR R4 elements that IHE PCF uses")
        status = resource.get("status")
        if status not in STATUSES:
            self._refuse("Consent.status", "expected one of " + ", ".join(STATUSES))
        if "scope" in resource and (_SCOPE, "patient-privacy") not in _codings(resource["scope"]):
            self._refuse("Consent.scope", "expected patient-privacy")
        return ReadConsent(
            id=self._id(resource),
            active=status == "active",
            root=self._root(resource, status == "active"),
            bases=self._bases(resource),
            facilities=self._used,
        )

    def _id(self, resource: Mapping[str, Any]) -> str:
        value = resource.get("id")
        if isinstance(value, str) and _ID.fullmatch(value):
            return value
        self._refuse("Consent.id", "expected a FHIR id (letters, digits, - and ., at most 64)")
        return ""

    def _bases(self, resource: Mapping[str, Any]) -> tuple[ImplicitPolicy, ...]:
        policies = self._each(resource, "policy", "Consent") if "policy" in resource else []
        uris = [policy.get("uri") for policy in policies]
        bases = [_POLICY_OF[uri] for uri in uris if isinstance(uri, str) and uri in _POLICY_OF]
        if any(system == _ACT_CODE and code in _OPTED_OUT for system, code in _codings(resource.get("policyRule"))):
            bases.append("deny")
        return tuple(bases)

    def _root(self, resource: Mapping[str, Any], active: bool) -> Provision | None:
        if "provision" not in resource and not active:
            return None
        node = resource.get("provision")
        if not isinstance(node, dict):
            self._refuse("Consent.provision", "expected the rule: type, and what it is about")
            return None
        return self._rule(node, "Consent.provision", root=True)

    def _rule(self, node: Mapping[str, Any], path: str, *, root: bool) -> Provision:
        known = _RULE | {"provision"} if root else _RULE
        self._only(node, path, known, ", ".join(sorted(known)))
        kind = node.get("type")
        if kind not in ("permit", "deny"):
            self._refuse(f"{path}.type", "expected permit or deny")
        start, end = self._period(node, path)
        denies = kind == "deny"
        return Provision(
            type=cast(ProvisionType, kind),
            purposes=tuple(self._purpose(item, at) for item, at in self._items(node, "purpose", path)),
            actors=tuple(
                name for item, at in self._items(node, "actor", path) for name in self._actor(item, at, denies=denies)
            ),
            authored_by=self._authors(node, path) if "data" in node else None,
            period_start=start,
            period_end=end,
            nested=tuple(self._rule(item, at, root=False) for item, at in self._items(node, "provision", path))
            if root
            else (),
        )

    def _period(self, node: Mapping[str, Any], path: str) -> tuple[datetime | None, datetime | None]:
        if "period" not in node:
            return None, None
        path = f"{path}.period"
        period = node["period"]
        if not isinstance(period, dict) or not period.keys() & {"start", "end"}:
            self._refuse(path, "expected start, end or both")
            return None, None
        self._only(period, path, frozenset(("start", "end")), "start and end")
        moments = {name: _moment(period[name]) for name in ("start", "end") if name in period}
        for name in (name for name, moment in moments.items() if moment is None):
            self._refuse(f"{path}.{name}", "expected a FHIR dateTime (a time with its offset)")
        start, end = moments.get("start"), moments.get("end")
        if start and end and end.end <= start.start:
            self._refuse(path, "the end lies before the start")
        return start.start if start else None, end.end if end else None

    def _purpose(self, coding: Mapping[str, Any], path: str) -> str:
        code = coding.get("code")
        if coding.get("system") not in (SYSTEM, URN):
            self._refuse(f"{path}.system", f"expected {SYSTEM}")
        elif not isinstance(code, str) or code not in KNOWN:
            self._refuse(f"{path}.code", "unknown purpose of use")
        return str(code)

    def _actor(self, actor: Mapping[str, Any], path: str, *, denies: bool) -> tuple[str, ...]:
        self._only(actor, path, frozenset(("role", "reference")), "role and reference")
        if "role" in actor and (_ROLE, "IRCP") not in _codings(actor["role"]):
            self._refuse(f"{path}.role", "expected IRCP, the recipient of the data (IHE PCF)")
        reference = actor.get("reference")
        names = names_in(reference) if isinstance(reference, dict) else ()
        if not isinstance(reference, dict) or not names:
            self._refuse(f"{path}.reference", "expected a reference or an identifier")
            return ()
        kind = type_of(reference)
        if kind is not None and kind not in _ACTORS:
            self._refuse(f"{path}.reference", "whom it means is not evaluated; expected " + ", ".join(sorted(_ACTORS)))
        facility = self._facility(reference)
        if facility is not None:
            # Its bare names are left out, so that a user who is called like a facility is not taken for it.
            return (f"Organization/{facility}", *(name for name in names if ":" in name))
        if denies and any(name.startswith("Organization/") for name in names):
            self._refuse(f"{path}.reference", "unknown facility: nobody would be denied")
        return names

    def _authors(self, node: Mapping[str, Any], path: str) -> tuple[FacilityID, ...]:
        return tuple(
            facility for item, at in self._items(node, "data", path) if (facility := self._author(item, at)) is not None
        )

    def _author(self, data: Mapping[str, Any], path: str) -> FacilityID | None:
        self._only(data, path, frozenset(("meaning", "reference")), "meaning and reference")
        if data.get("meaning") != "authoredby":
            self._refuse(f"{path}.meaning", "not evaluated; expected authoredby")
            return None
        reference = data.get("reference")
        facility = self._facility(reference) if isinstance(reference, dict) else None
        if facility is None:
            self._refuse(
                f"{path}.reference", "unknown facility; expected Organization/{facility id} or an identifier of it"
            )
        return facility

    def _facility(self, reference: Mapping[str, Any]) -> FacilityID | None:
        facility = facility_in(reference, self._names)
        if facility is not None:
            self._used |= {name: facility for name in names_in(reference) if name in self._names}
        return facility

    def _items(self, node: Mapping[str, Any], name: str, path: str) -> Iterator[tuple[Mapping[str, Any], str]]:
        """Each object of a repeating element, with its path. An absent element has none; an empty one is refused."""
        if name in node:
            for index, item in enumerate(self._each(node, name, path)):
                yield item, f"{path}.{name}[{index}]"

    def _each(self, node: Mapping[str, Any], name: str, path: str) -> list[Mapping[str, Any]]:
        items = node[name]
        if isinstance(items, list) and items and all(isinstance(item, dict) for item in items):
            return items
        # FHIR R4 §json: an array is never empty. Read as "any", an empty list would mean the most where it says least.
        self._refuse(f"{path}.{name}", "expected a list that is not empty")
        return []

    def _only(self, node: Mapping[str, Any], path: str, known: frozenset[str], expected: str) -> None:
        for name in node:
            plain = name in known or name in ("id", "extension")
            if not plain and not (name.startswith("_") and name[1:] in node) and name != "modifierExtension":
                self._refuse(f"{path}.{name}", f"not evaluated; expected only {expected}")

    def _refuse_modifiers(self, node: object, path: str) -> None:
        """FHIR R4 §modifierExtension: a resource with one that isn't understood must not be processed."""
        waiting = [(node, path)]
        while waiting:
            item, at = waiting.pop()
            if isinstance(item, dict):
                if "modifierExtension" in item:
                    self._refuse(f"{at}.modifierExtension", "not evaluated")
                waiting += [(value, f"{at}.{name}") for name, value in item.items()]
            elif isinstance(item, list):
                waiting += [(value, f"{at}[{index}]") for index, value in enumerate(item)]

    def _refuse(self, path: str, reason: str) -> None:
        self.problems.append(f"{path}: {reason}")


def _moment(value: object) -> Moment | None:
    return moment_of(value) if isinstance(value, str) else None


def _codings(concept: object) -> set[tuple[str, str]]:
    codings = concept.get("coding") if isinstance(concept, dict) else None
    return {
        (coding["system"], coding["code"])
        for coding in (codings if isinstance(codings, list) else ())
        if isinstance(coding, dict) and isinstance(coding.get("system"), str) and isinstance(coding.get("code"), str)
    }
