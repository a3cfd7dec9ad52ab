"""IHE PCF's own examples with known answers (`reference-data/pcf`), as R4 publishes them and as their R5 twins.

Each case carries its own clock. Observations stand for studies: their date for `ImagingStudy.started`, their encounter
and their id for what a consent may call a study, their author for the facility that holds it.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.consent.decide import decide_data, decide_query
from gateway.consent.fhir_consent import from_consent, is_r5
from gateway.consent.fhir_r4 import to_r4
from gateway.consent.fhir_reference import facility_names
from gateway.consent.fhir_structure import require_structure
from gateway.consent.labels import labels_in
from gateway.consent.policy import ConsentVersion, PatientPolicy
from gateway.consent.reach import Data
from gateway.model import Facility, FacilityID, ImplicitPolicy, Moment, PatientID, Requester
from tests.factories_consent import a_requester

PCF = Path(__file__).resolve().parents[4] / "shared" / "reference-data" / "pcf"
CASES: list[dict[str, Any]] = (
    json.loads((PCF / "expected.json").read_text())["cases"] if (PCF / "expected.json").exists() else []
)

AUTHOR = FacilityID("ex-author")
FACILITIES = [
    Facility(id=FacilityID(name), name=name, identifier_system=f"urn:oid:1.{index}")
    for index, name in enumerate(("ex-author", "ex-practitioner"))
]
STUDIES = ("ex-alcoholUse", "ex-bloodSugar", "ex-bloodPressure", "ex-weight", "ex-weight-2")
ENCOUNTER = "Encounter/ex-encounter"
PRIVILEGED = "Group/ex-privilegedUsers"
KNOWN = {name: name for name in (ENCOUNTER, PRIVILEGED, *(f"Observation/{study}" for study in STUDIES))}

NOBODY: list[str] = []
CONTESTED: dict[str, list[str]] = {
    "pcf-ex-consent-intermediate-purpose-TREAT": NOBODY,
    "pcf-ex-consent-advanced-normal-break-glass-restricted-BTG-nonmember": NOBODY,
}
"""What the rule book says where good readings differ: a permit in force takes the implicit policy's place, and
break-glass access needs a rule that names it (`docs/explanation/consent.md`)."""

pytestmark = pytest.mark.skipif(not CASES, reason="the reference data is not beside this project")


def resource_of(name: str) -> dict[str, Any]:
    """A published resource."""
    resource: dict[str, Any] = json.loads((PCF / "json" / name).read_text())
    return resource


def by_facility(node: Any) -> Any:
    """The same with each author read as a facility."""
    if isinstance(node, list):
        return [by_facility(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("meaning") == "authoredby":
        reference = node["reference"]["reference"].replace("Practitioner/", "Organization/")
        return {**node, "reference": {"reference": reference}}
    return {name: by_facility(value) for name, value in node.items()}


def r4_consents(case: dict[str, Any]) -> list[dict[str, Any]]:
    """The Consents of a case as IHE publishes them, authors read as facilities."""
    return [by_facility(json.loads((PCF / name).read_text())) for name in case["consents"]]


def as_r5(r4: dict[str, Any]) -> dict[str, Any]:
    """The same said in FHIR R5, as far as a consent that is alone on file can say it."""
    root = r4["provision"]
    plain = {name: value for name, value in root.items() if name not in ("type", "period", "provision")}
    nested = [({k: v for k, v in rule.items() if k != "type"}, rule["type"]) for rule in root.get("provision", [])]
    permits = [rule for rule, kind in nested if kind == "permit"]
    denies = [rule for rule, kind in nested if kind == "deny"]
    if root["type"] == "deny":
        exceptions, decision = permits, "deny"
    else:
        decision = "deny"
        exceptions = [plain, *({**plain, **rule} for rule in permits)]
        exceptions = [{**rule, **({"provision": denies} if denies else {})} for rule in exceptions]
    concept = {"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}
    return {
        "resourceType": "Consent",
        "id": r4["id"],
        "status": r4["status"],
        "category": [concept],
        "subject": r4["patient"],
        "date": r4["dateTime"],
        "decision": decision,
        **({"period": root["period"]} if "period" in root else {}),
        **({"provision": exceptions} if exceptions else {}),
    }


def study(name: str) -> Data:
    """An Observation as a study that the author's facility holds."""
    resource = resource_of(f"Observation-{name}.json")
    start = datetime.fromisoformat(resource["effectiveDateTime"]).replace(tzinfo=UTC)
    names = {f"Observation/{name}", resource["encounter"]["reference"]}
    labels = labels_in(resource["meta"]["security"])
    return Data(AUTHOR, labels, frozenset(names), Moment(start=start, end=start + timedelta(days=1)))


def asked_by(case: dict[str, Any]) -> Requester:
    """The caller of a case."""
    kind, _, name = case["query"]["actor"].partition("/")
    return a_requester(
        purposes=tuple(case["query"]["purpose"]),
        organization=name if kind == "Organization" else "ex-organization",
        subject_id=None if kind == "Organization" else case["query"]["actor"],
    )


def policy_of(case: dict[str, Any], resources: list[dict[str, Any]]) -> PatientPolicy:
    """What is on file in a case."""
    versions = []
    for resource in resources:
        read = from_consent(resource, facility_names(FACILITIES), KNOWN)
        recorded = datetime.fromisoformat("2022-06-13T00:00:00+00:00")
        versions.append(
            ConsentVersion(
                id=read.id, version=1, active=read.active, recorded_at=recorded, root=read.root, bases=read.bases
            )
        )
    implicit: ImplicitPolicy = case["default_policy"].removeprefix("Policy-")
    members = resource_of("Group-ex-privilegedUsers.json")["member"]
    return PatientPolicy(
        patient=PatientID("ex-patient"),
        consents=tuple(versions),
        implicit=implicit,
        groups={PRIVILEGED: frozenset(member["entity"]["reference"] for member in members)},
    )


@pytest.mark.parametrize("version", ["R4", "R5", "R5 told in R4"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_t042_ihes_examples_are_decided_as_expected(case: dict[str, Any], version: str) -> None:
    """Study by study; and whoever may see one of them finds that its facility may be asked."""
    resources = r4_consents(case)
    if version != "R4":
        resources = [as_r5(resource) for resource in resources]
    if version == "R5 told in R4":
        resources = [to_r4(resource) for resource in resources]
    for resource in resources:
        require_structure(resource)
        assert is_r5(resource) is (version == "R5")
    policy, requester, now = policy_of(case, resources), asked_by(case), datetime.fromisoformat(case["clock"])

    decisions = decide_data(policy, requester, [study(name) for name in STUDIES], now)

    shown = {name for name, decision in zip(STUDIES, decisions, strict=True) if decision.permitted}
    expected = CONTESTED.get(case["id"], case["expect"]["returned"])
    assert shown == set(expected)
    if shown:
        assert decide_query(policy, requester, [AUTHOR], now)[AUTHOR].permitted
    if not case["expect"]["token"]:
        assert not decide_query(policy, requester, [AUTHOR], now)[AUTHOR].permitted


def test_t042_all_examples_are_there() -> None:
    """48 cases, of which two are contested, each with a rule of its own."""
    assert len(CASES) == 48
    assert {case["id"] for case in CASES if case["status"] == "contested"} == set(CONTESTED)
