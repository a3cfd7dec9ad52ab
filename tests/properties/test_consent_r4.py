"""An R5 Consent and what R4 clients are told of it decide the same, for any caller and any data; or it is refused."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.consent.decide import decide_data, decide_query
from gateway.consent.fhir_consent import from_consent, is_r5
from gateway.consent.fhir_r4 import to_r4
from gateway.consent.fhir_structure import require_structure
from gateway.consent.policy import ConsentVersion, PatientPolicy
from gateway.errors import LoadRefused
from gateway.model import Requester
from tests.factories_consent import NOW, a_coding
from tests.properties.test_consent import FACILITIES, PURPOSES, STUDIES, policies, requesters

NAMES = {f"Organization/{facility}": facility for facility in FACILITIES}
_CODES = {"R": "Confidentiality", "N": "Confidentiality", "PSY": "ActCode", "ETHUD": "ActCode"}
_SYSTEM = "http://terminology.hl7.org/CodeSystem/v3-"

periods = st.sampled_from(
    (
        {"start": "2026-11-20"},
        {"end": "2026-11-20"},
        {"start": "2026-11-20", "end": "2026-11-24T12:00:00Z"},
        {"start": "2026-11-24T12:00:00Z"},
    )
)
data_periods = st.sampled_from(({"start": "2024-03-02"}, {"end": "2024-03-02"}))
actors = st.sampled_from(("Organization/north", "Practitioner/dr")).map(lambda name: {"reference": {"reference": name}})
purposes = st.sampled_from(PURPOSES).map(a_coding)
labels = st.sampled_from(tuple(_CODES)).map(lambda code: a_coding(code, _SYSTEM + _CODES[code]))
data = st.sampled_from(FACILITIES).map(
    lambda facility: {"meaning": "authoredby", "reference": {"reference": f"Organization/{facility}"}}
) | st.just({"meaning": "instance", "reference": {"identifier": {"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}}})


@st.composite
def provisions(draw: st.DrawFn, levels: int = 2) -> dict[str, Any]:
    """A provision of FHIR R5, with exceptions from it now and then."""
    said: dict[str, Any] = {}
    for name, values in (("purpose", purposes), ("actor", actors), ("securityLabel", labels), ("data", data)):
        if found := draw(st.lists(values, max_size=2, unique_by=str)):
            said[name] = found
    for name, value in (("period", draw(st.none() | periods)), ("dataPeriod", draw(st.none() | data_periods))):
        if value:
            said[name] = value
    if levels > 1 and (deeper := draw(st.just([]) | st.lists(provisions(levels=1), max_size=2))):
        said["provision"] = deeper
    return said


@st.composite
def r5_consents(draw: st.DrawFn) -> dict[str, Any]:
    """A Consent of FHIR R5 with all that may stand in one."""
    said: dict[str, Any] = {
        "resourceType": "Consent",
        "id": "twin",
        "status": draw(st.sampled_from(("active", "active", "active", "inactive", "not-done"))),
        "subject": {"reference": "Patient/p1"},
        "decision": draw(st.sampled_from(("permit", "deny"))),
    }
    for name, value in (
        ("date", "2026-01-01"),
        ("grantor", [{"reference": "Patient/p1"}]),
        ("grantee", [{"reference": "Organization/north"}]),
        ("controller", [{"reference": "Organization/north"}]),
        ("manager", [{"reference": "Organization/north"}, {"display": "an office"}]),
        ("policyBasis", {"url": "https://exchange.example/policy", "reference": {"display": "the policy"}}),
        ("regulatoryBasis", [{"text": "the law"}]),
        ("policyText", [{"display": "a leaflet"}]),
        ("sourceAttachment", [{"title": "form", "size": "12", "pages": 2}, {"title": "another"}]),
        ("sourceReference", [{"display": "a document"}]),
    ):
        if draw(st.booleans()):
            said[name] = value
    if period := draw(st.none() | periods):
        said["period"] = period
    if exceptions := draw(st.lists(provisions(), max_size=2)):
        said["provision"] = exceptions
    return said


def _version(resource: dict[str, Any]) -> ConsentVersion:
    read = from_consent(resource, NAMES)
    recorded = datetime(2026, 1, 1, tzinfo=UTC)
    return ConsentVersion(
        id=read.id, version=1, active=read.active, recorded_at=recorded, root=read.root, bases=read.bases
    )


@given(r5_consents(), requesters, policies)
def test_twins_decide_the_same(resource: dict[str, Any], requester: Requester, beside: PatientPolicy) -> None:
    """Each facility and each study, whatever else is on file; and what is told is a whole R4 Consent."""
    require_structure(resource)
    try:
        told = to_r4(resource)
    except LoadRefused:
        assume(False)
    assert not is_r5(told)
    require_structure(told)
    r5, r4 = (replace(beside, consents=(*beside.consents, _version(one))) for one in (resource, told))

    asked = [decide_query(policy, requester, FACILITIES, NOW) for policy in (r5, r4)]
    assert [one.permitted for one in asked[0].values()] == [one.permitted for one in asked[1].values()]
    studies = [decide_data(policy, requester, STUDIES, NOW) for policy in (r5, r4)]
    assert [one.permitted for one in studies[0]] == [one.permitted for one in studies[1]]


@given(r5_consents())
def test_only_exceptions_from_one_of_several_are_refused(resource: dict[str, Any]) -> None:
    """By their path; everything else can be told."""
    stated = resource.get("provision", ())
    deeper = [index for index, one in enumerate(stated) if "provision" in one]
    if not deeper or (resource["decision"] == "deny" and len(stated) == 1):
        told = to_r4(resource)
        assert told["patient"] == resource["subject"]
        assert told["status"] == resource["status"].replace("not-done", "rejected")
        return
    with pytest.raises(LoadRefused) as refused:
        to_r4(resource)
    assert refused.value.problems[0].startswith(f"Consent.provision[{deeper[0]}].provision")
