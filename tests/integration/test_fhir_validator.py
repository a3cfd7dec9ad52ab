"""The FHIR validator that other tests trust accepts valid R4 and refuses what R4 forbids."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.services.fhir_validator import FHIRValidator

pytestmark = pytest.mark.integration

Change = Callable[[dict[str, Any]], object]
DCM = "http://dicom.nema.org/resources/ontology/DCM"


def a_study() -> dict[str, Any]:
    """An ImagingStudy as the gateway gives it: every kind of element that it fills."""
    return {
        "resourceType": "ImagingStudy",
        "id": "3f2a9c1d",
        "meta": {"lastUpdated": "2026-11-24T08:00:00.123Z", "source": "https://gateway.example/fhir/r4"},
        "identifier": [
            {"system": "urn:dicom:uid", "value": "urn:oid:2.25.4711"},
            {
                "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]},
                "value": "A1",
            },
        ],
        "status": "available",
        "modality": [{"system": DCM, "code": "CT"}],
        "subject": {"reference": "Patient/1"},
        "started": "2024-03-12T08:15:00+01:00",
        "endpoint": [{"reference": "Endpoint/north"}],
        "numberOfSeries": 1,
        "numberOfInstances": 3,
        "description": "CT Thorax",
        "series": [
            {
                "uid": "2.25.4712",
                "number": 1,
                "modality": {"system": DCM, "code": "CT"},
                "numberOfInstances": 3,
                "bodySite": {"system": "http://snomed.info/sct", "code": "51185008"},
                "endpoint": [{"reference": "Endpoint/north"}],
                "instance": [
                    {
                        "uid": "2.25.4713",
                        "sopClass": {"system": "urn:ietf:rfc:3986", "code": "urn:oid:1.2.840.10008.5.1.4.1.1.2"},
                        "number": 1,
                    }
                ],
            }
        ],
    }


def a_searchset() -> dict[str, Any]:
    """A search's answer: a match, an included Endpoint and an outcome."""
    base = "https://gateway.example/fhir/r4"
    endpoint = {
        "resourceType": "Endpoint",
        "id": "north",
        "status": "active",
        "connectionType": {
            "system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type",
            "code": "dicom-wado-rs",
        },
        "payloadType": [{"text": "DICOM"}],
        "address": "https://pacs.north.example/dicom-web",
    }
    outcome = {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "warning", "code": "timeout", "diagnostics": "south did not answer in time"}],
    }
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 1,
        "link": [{"relation": "self", "url": f"{base}/ImagingStudy?patient=1"}],
        "entry": [
            {"fullUrl": f"{base}/ImagingStudy/3f2a9c1d", "resource": a_study(), "search": {"mode": "match"}},
            {"fullUrl": f"{base}/Endpoint/north", "resource": endpoint, "search": {"mode": "include"}},
            {"resource": outcome, "search": {"mode": "outcome"}},
        ],
    }


VALID = [
    a_study(),
    a_searchset(),
    {"resourceType": "Organization", "id": "north", "name": "North Hospital"},
    {"resourceType": "Patient", "id": "1", "name": [{"family": "Müller"}], "gender": "male", "birthDate": "1952-03-14"},
    {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-24",
        "kind": "instance",
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "implementation": {"description": "A gateway"},
        "rest": [{"mode": "server", "resource": [{"type": "ImagingStudy", "interaction": [{"code": "read"}]}]}],
    },
    {
        "resourceType": "AuditEvent",
        "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"},
        "action": "E",
        "recorded": "2026-11-24T08:00:00Z",
        "outcome": "0",
        "agent": [{"requestor": True, "who": {"display": "An EHR"}}],
        "source": {"observer": {"display": "The gateway"}},
    },
    {
        "resourceType": "Consent",
        "status": "active",
        "scope": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]
        },
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": "Patient/1"},
        "dateTime": "2026-11-24",
        "provision": {"type": "permit", "provision": [{"type": "deny"}]},
    },
]


@pytest.mark.parametrize("resource", VALID, ids=lambda resource: resource["resourceType"])
def test_valid_resources_are_accepted(fhir_validator: FHIRValidator, resource: dict[str, Any]) -> None:
    """What R4 allows has no problems."""
    assert fhir_validator.problems(resource) == []


BAD_STUDIES: dict[str, Change] = {
    "no status": lambda study: study.pop("status"),
    "a status of another resource": lambda study: study.update(status="final"),
    "no subject": lambda study: study.pop("subject"),
    "a series without uid": lambda study: study["series"][0].pop("uid"),
    "a series without modality": lambda study: study["series"][0].pop("modality"),
    "an instance without sopClass": lambda study: study["series"][0]["instance"][0].pop("sopClass"),
    "modality as in R5": lambda study: study.update(modality=[{"coding": study["modality"]}]),
    "one where several are allowed": lambda study: study.update(modality=study["modality"][0]),
    "several where one is allowed": lambda study: study.update(subject=[study["subject"]]),
    "an element of no resource": lambda study: study.update(colour="red"),
    "an impossible date": lambda study: study.update(started="2024-13-45T00:00:00Z"),
    "a time without zone": lambda study: study.update(started="2024-03-12T08:15:00"),
    "a count as text": lambda study: study.update(numberOfSeries="1"),
    "a count below nought": lambda study: study.update(numberOfSeries=-1),
    "a list of nothing": lambda study: study.update(series=[]),
    "a text of nothing": lambda study: study.update(description=""),
    "an object of nothing": lambda study: study.update(subject={}),
    "null": lambda study: study.update(description=None),
    "an id with other characters": lambda study: study.update(id="a_b/c"),
    "an id of 65 characters": lambda study: study.update(id="a" * 65),
    "a reference that is a number": lambda study: study.update(subject={"reference": 5}),
    "an instant without a time": lambda study: study["meta"].update(lastUpdated="2026-11-24"),
}


@pytest.mark.parametrize("change", BAD_STUDIES.values(), ids=BAD_STUDIES.keys())
def test_a_wrong_study_is_refused(fhir_validator: FHIRValidator, change: Change) -> None:
    """Each thing that R4 forbids of an ImagingStudy is found, alone and within a Bundle."""
    study = a_study()
    change(study)
    assert fhir_validator.problems(study) != []
    bundle = a_searchset()
    bundle["entry"][0]["resource"] = study
    assert fhir_validator.problems(bundle) != []


BAD_SEARCHSETS: dict[str, Change] = {
    "a mode of no search": lambda bundle: bundle["entry"][0]["search"].update(mode="hit"),
    "a match without fullUrl": lambda bundle: bundle["entry"][0].pop("fullUrl"),
    "a fullUrl twice": lambda bundle: bundle["entry"].append(copy.deepcopy(bundle["entry"][0])),
    "an outcome shown as a match": lambda bundle: bundle["entry"][2]["search"].update(mode="match"),
    "a match shown as an outcome": lambda bundle: bundle["entry"][0]["search"].update(mode="outcome"),
    "no self link": lambda bundle: bundle.pop("link"),
    "search modes in a collection": lambda bundle: bundle.update(type="collection"),
    "an issue without code": lambda bundle: bundle["entry"][2]["resource"]["issue"][0].pop("code"),
    "an endpoint without payload": lambda bundle: bundle["entry"][1]["resource"].pop("payloadType"),
    "no entries, listed": lambda bundle: bundle.update(entry=[]),
}


@pytest.mark.parametrize("change", BAD_SEARCHSETS.values(), ids=BAD_SEARCHSETS.keys())
def test_a_wrong_searchset_is_refused(fhir_validator: FHIRValidator, change: Change) -> None:
    """Each thing that R4 forbids of a search's Bundle is found."""
    bundle = a_searchset()
    change(bundle)
    assert fhir_validator.problems(bundle) != []


@pytest.mark.parametrize(
    "resource",
    [
        {},
        {"resourceType": "Imaging"},
        {"resourceType": "../../x"},
        {"resourceType": "OperationOutcome", "issue": []},
        {"resourceType": "Endpoint", "status": "active"},
        {"resourceType": "Patient", "gender": "M"},
        {"resourceType": "Patient", "birthDate": "14.03.1952"},
        {"resourceType": "Organization", "name": 5},
        {"resourceType": "Consent", "status": "active"},
        {"resourceType": "AuditEvent"},
        {"resourceType": "CapabilityStatement", "status": "active"},
    ],
    ids=str,
)
def test_other_wrong_resources_are_refused(fhir_validator: FHIRValidator, resource: dict[str, Any]) -> None:
    """It knows the other resource types the gateway speaks, and what is none."""
    assert fhir_validator.problems(resource) != []
