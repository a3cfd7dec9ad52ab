"""A FHIR R4 or R5 Consent as a rule that can be decided by, or every reason why it can't be. Pure.

R4 as IHE PCF profiles it: one provision whose type is stated, nested ones with a type of their own. R5 as the standard
reads it: `decision`, and provisions that are exceptions from it. Elements that change nothing (performer, organization,
source, text) may be there or not; `fhir_rule.py` has what a provision may say.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.consent.fhir_reference import FacilityNames, patients_in
from gateway.consent.fhir_rule import RULE, Known, RuleReader
from gateway.consent.fhir_walk import Walk, codings_of
from gateway.consent.policy import POLICY_URL, Provision, ProvisionType
from gateway.errors import LoadRefused
from gateway.model import FacilityID, ImplicitPolicy, PatientRef

STATUSES = ("draft", "proposed", "active", "rejected", "inactive", "entered-in-error")
"""Of R4."""
STATUSES_R5 = ("draft", "active", "inactive", "not-done", "entered-in-error")
"""Of R5, without `unknown`: whether such a Consent is in force can't be evaluated."""
ENDED = frozenset((*STATUSES, *STATUSES_R5)) - {"active"}
"""With one of these a Consent is not in force, whatever else it says."""
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"
_ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_OPTED_OUT = frozenset(((_ACT_CODE, "OPTOUT"), (_ACT_CODE, "OPTOUTE")))
_POLICY_RULES = _OPTED_OUT | {(_ACT_CODE, "OPTIN")}
"""A rule that isn't understood might say the opposite of what is decided without it."""
_POLICY_OF: Mapping[str, ImplicitPolicy] = {url: policy for policy, url in POLICY_URL.items()}
_IHE_POLICY = re.compile(r"https?://profiles\.ihe\.net/ITI/PCF/", re.IGNORECASE)
_OPPOSITE: Mapping[ProvisionType, ProvisionType] = {"permit": "deny", "deny": "permit"}

_BOTH = ("resourceType", "id", "meta", "language", "text", "contained", "identifier", "status", "category", "provision")
_R4 = frozenset(
    (
        *_BOTH,
        *("scope", "patient", "dateTime", "performer", "organization", "sourceAttachment", "sourceReference", "policy"),
        "policyRule",
    )
)
_R5 = frozenset(
    (
        *_BOTH,
        *("subject", "date", "period", "grantor", "grantee", "manager", "controller", "sourceAttachment"),
        *("sourceReference", "regulatoryBasis", "policyBasis", "policyText", "decision"),
    )
)
_ONLY_R4 = frozenset(("scope", "patient", "dateTime", "performer", "organization", "policy", "policyRule"))


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
    known: Known = field(default_factory=dict)
    """The names of groups and studies it used, likewise."""


def is_r5(resource: Mapping[str, Any]) -> bool:
    """Whether it is written as FHIR R5 has it. One that mixes both is read as R4, and refused."""
    return bool(resource.keys() & {"subject", "decision"}) and not resource.keys() & _ONLY_R4


def from_consent(resource: Mapping[str, Any], names: FacilityNames, known: Known | None = None) -> ReadConsent:
    """The Consent as a rule. Raises LoadRefused that lists the path of every element that stands in the way.

    `known` are the groups and studies of the exchange that it names; one that is not among them is refused.
    """
    walk = Walk()
    reader = RuleReader(walk, names, known or {}, resource.get("contained"))
    if resource.get("resourceType") != "Consent":
        walk.refuse("resourceType", "expected Consent")
    walk.refuse_modifiers(resource, "Consent")
    id_ = _id(resource, walk)
    active = resource.get("status") == "active"
    root, bases = _read_r5(resource, reader, walk) if is_r5(resource) else _read_r4(resource, reader, walk)
    if walk.problems:
        raise LoadRefused(walk.problems)
    return ReadConsent(id=id_, active=active, root=root, bases=bases, facilities=reader.used, known=reader.known_used)


def patients_of(resource: Mapping[str, Any], fhir_base: str = "") -> tuple[PatientRef, ...]:
    """Each way in which the Consent names its patient; all of them must mean one person. Raises LoadRefused."""
    element = "subject" if is_r5(resource) else "patient"
    patient = resource.get(element)
    found = patients_in(patient, fhir_base) if isinstance(patient, dict) else ()
    if not found:
        raise LoadRefused([f"Consent.{element}: expected Patient/{{id}}, or an identifier with its system"])
    return found


def _id(resource: Mapping[str, Any], walk: Walk) -> str:
    value = resource.get("id")
    if isinstance(value, str) and _ID.fullmatch(value):
        return value
    walk.refuse("Consent.id", "expected a FHIR id (letters, digits, - and ., at most 64)")
    return ""


def _read_r4(
    resource: Mapping[str, Any], reader: RuleReader, walk: Walk
) -> tuple[Provision | None, tuple[ImplicitPolicy, ...]]:
    walk.only(resource, "Consent", _R4, "FHIR R4 elements that IHE PCF uses")
    _require_status(resource, STATUSES, walk)
    if "scope" in resource and (_SCOPE, "patient-privacy") not in codings_of(resource["scope"]):
        walk.refuse("Consent.scope", "expected patient-privacy")
    bases = _bases(resource, "policy", "uri", walk)
    if "policyRule" in resource:
        rules = set(codings_of(resource["policyRule"]))
        if not rules or not rules <= _POLICY_RULES:
            walk.refuse("Consent.policyRule", "expected v3-ActCode OPTIN, OPTOUT or OPTOUTE")
        if rules & _OPTED_OUT:
            bases = (*bases, "deny")
    node = resource.get("provision")
    if node is None and "provision" not in resource and resource.get("status") != "active":
        return None, bases
    if not isinstance(node, dict):
        walk.refuse("Consent.provision", "expected the rule: type, and what it is about")
        return None, bases
    return _rule_r4(node, "Consent.provision", reader, walk, is_root=True), bases


def _rule_r4(node: Mapping[str, Any], path: str, reader: RuleReader, walk: Walk, *, is_root: bool = False) -> Provision:
    known = RULE | {"type", "provision"} if is_root else RULE | {"type"}
    walk.only(node, path, known, ", ".join(sorted(known)))
    kind = node.get("type")
    if kind not in ("permit", "deny"):
        walk.refuse(f"{path}.type", "expected permit or deny")
    inner = walk.items(node, "provision", path) if is_root else ()
    return reader.rule(
        node,
        path,
        "permit" if kind == "permit" else "deny",
        tuple(_rule_r4(item, at, reader, walk) for item, at in inner),
    )


def _read_r5(
    resource: Mapping[str, Any], reader: RuleReader, walk: Walk
) -> tuple[Provision | None, tuple[ImplicitPolicy, ...]]:
    """`decision` is the root, about everything; provisions are exceptions from it (FHIR R5 §consent notes)."""
    walk.only(resource, "Consent", _R5, "FHIR R5 elements that IHE PCF's map to")
    _require_status(resource, STATUSES_R5, walk)
    bases = _bases(resource, "policyBasis", "url", walk)
    decision = resource.get("decision")
    if decision is None and "decision" not in resource and resource.get("status") != "active":
        return None, bases
    if decision not in ("permit", "deny"):
        walk.refuse("Consent.decision", "expected permit or deny")
        return None, bases
    kind: ProvisionType = "permit" if decision == "permit" else "deny"
    period = {"period": resource["period"]} if "period" in resource else {}
    return reader.rule(
        period, "Consent", kind, _exceptions(resource, "Consent", _OPPOSITE[kind], reader, walk, 2)
    ), bases


def _exceptions(
    node: Mapping[str, Any], path: str, kind: ProvisionType, reader: RuleReader, walk: Walk, levels: int
) -> tuple[Provision, ...]:
    """Each one turns round what it is excepted from. As deep as R4's nested rules need, which is twice."""
    known = RULE | {"provision"} if levels > 1 else RULE
    rules = []
    for item, at in walk.items(node, "provision", path):
        walk.only(item, at, known, ", ".join(sorted(known)))
        deeper = _exceptions(item, at, _OPPOSITE[kind], reader, walk, levels - 1) if levels > 1 else ()
        rules.append(reader.rule(item, at, kind, deeper))
    return tuple(rules)


def _require_status(resource: Mapping[str, Any], statuses: tuple[str, ...], walk: Walk) -> None:
    if resource.get("status") not in statuses:
        walk.refuse("Consent.status", "expected one of " + ", ".join(statuses))


def _bases(resource: Mapping[str, Any], element: str, attribute: str, walk: Walk) -> tuple[ImplicitPolicy, ...]:
    """The implicit policies of IHE PCF that it builds on. What IHE doesn't define under its name is refused."""
    bases = []
    for uri, path in _policies(resource, element, attribute, walk):
        plain = uri.partition("|")[0].rstrip("/")
        if plain in _POLICY_OF:
            bases.append(_POLICY_OF[plain])
        elif _IHE_POLICY.match(uri):
            walk.refuse(path, "unknown policy of IHE PCF; expected " + ", ".join(_POLICY_OF))
    return tuple(bases)


def _policies(resource: Mapping[str, Any], element: str, attribute: str, walk: Walk) -> Iterator[tuple[str, str]]:
    """Each policy that it names, with its path."""
    stated = resource.get(element)
    named: list[tuple[Mapping[str, Any], str]]
    if element == "policyBasis":
        named = [(stated, f"Consent.{element}")] if isinstance(stated, dict) else []
    else:
        named = list(walk.items(resource, element, "Consent"))
    for policy, path in named:
        uri = policy.get(attribute)
        if isinstance(uri, str):
            yield uri, f"{path}.{attribute}"


def require_policies(resource: Mapping[str, Any], known: Collection[str]) -> None:
    """Every policy that it names is one of IHE PCF's or one of `known`, the community's own. Raises LoadRefused."""
    element, attribute = ("policyBasis", "url") if is_r5(resource) else ("policy", "uri")
    problems = [
        f"{path}: unknown policy; expected one of this exchange's, or of IHE PCF's"
        for uri, path in _policies(resource, element, attribute, Walk())
        if uri not in known and uri.partition("|")[0].rstrip("/") not in _POLICY_OF
    ]
    if problems:
        raise LoadRefused(problems)
