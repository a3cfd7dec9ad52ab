"""The ImagingStudy that comes back is what the contract promises, and valid R4 by checkers that nobody here wrote."""

import json
import re
from typing import Any

import fhirkit
import orjson
import pytest
from fhir.resources.R4B.imagingstudy import ImagingStudy

from gateway.fhir.imaging_study import to_imaging_study
from gateway.imaging.study import Study
from gateway.model import Coding, Identifier, PatientID, SecurityLabel
from tests.factories_imaging import STUDY_ID, a_series, a_source, a_study, started_at

BASE = "https://gateway.example/fhir/r4"
PERSON = PatientID("5e2f7a54-7c0b-4f6e-9b9e-0d6a2c1f4b11")
DCM = "http://dicom.nema.org/resources/ontology/DCM"

FULL = a_study(
    a_source(
        "north",
        [
            a_series(
                "2.25.1.1",
                description="Thorax axial",
                body_part="CHEST",
                laterality="L",
                started=started_at("20240501", "083100", "+0200"),
            ),
            a_series("2.25.1.2", number=None, modality=None, instances=None, body_part="LEFT PINKY", laterality="R"),
        ],
        modalities=("CT", "SR"),
        description="CT Thorax",
        started=started_at("20240501", "083000", "+0200"),
        accession=Identifier("urn:oid:1.2.36.1.99", "A-1"),
        referrer="Okafor, Ngozi",
        procedure_codes=(Coding("http://loinc.org", "24627-2", "CT Chest"), Coding("", "CTTHX")),
        number_of_instances=5,
    ),
    a_source("south", [a_series("2.25.1.1")], accession=Identifier("", "S-1")),
)
BARE = a_study(a_source(modalities=(), number_of_series=None, number_of_instances=None, availability="unknown"))


def written(study: Study, **how: Any) -> dict[str, Any]:
    """The study as JSON, valid by fhir.resources and fhirkit."""
    resource: dict[str, Any] = orjson.loads(orjson.dumps(to_imaging_study(study, PERSON, BASE, **how)))
    ImagingStudy.model_validate(resource)
    assert [issue for issue in fhirkit.validate(json.dumps(resource)) if issue.severity == "error"] == []
    return resource


def test_everything_that_is_known_is_told() -> None:
    """Contract §7, element by element."""
    study = written(FULL)

    assert {name: study[name] for name in study if name not in ("meta", "series")} == {
        "resourceType": "ImagingStudy",
        "id": STUDY_ID,
        "identifier": [
            {"system": "urn:dicom:uid", "value": "urn:oid:2.25.1"},
            {"type": study["identifier"][1]["type"], "value": "S-1"},
            {"type": study["identifier"][1]["type"], "system": "urn:oid:1.2.36.1.99", "value": "A-1"},
        ],
        "status": "available",
        "modality": [
            {"system": DCM, "code": "CT", "display": "Computed Tomography"},
            {"system": DCM, "code": "SR", "display": "Structured Report Document"},
        ],
        "subject": {"reference": f"Patient/{PERSON}"},
        "started": "2024-05-01T08:30:00+02:00",
        "referrer": {"display": "Okafor, Ngozi"},
        "endpoint": [{"reference": "Endpoint/north"}, {"reference": "Endpoint/south"}],
        "numberOfSeries": 2,
        "numberOfInstances": 5,
        "procedureCode": [
            {"coding": [{"system": "http://loinc.org", "code": "24627-2", "display": "CT Chest"}]},
            {"coding": [{"code": "CTTHX"}]},
        ],
        "description": "CT Thorax",
    }
    assert study["identifier"][1]["type"]["coding"][0]["code"] == "ACSN"


def test_series_are_told_in_full() -> None:
    """And each says who holds it, since the two sources hold different ones."""
    first, second = written(FULL)["series"]

    assert first == {
        "uid": "2.25.1.1",
        "number": 1,
        "modality": {"system": DCM, "code": "CT", "display": "Computed Tomography"},
        "description": "Thorax axial",
        "numberOfInstances": 3,
        "bodySite": {"system": "http://snomed.info/sct", "code": "51185008", "display": "Chest"},
        "laterality": {"system": "http://snomed.info/sct", "code": "7771000", "display": "Left"},
        "started": "2024-05-01T08:31:00+02:00",
        "endpoint": [{"reference": "Endpoint/north"}, {"reference": "Endpoint/south"}],
    }
    assert second["bodySite"] == {"display": "LEFT PINKY"}
    assert second["laterality"]["code"] == "24028007"
    assert second["modality"]["code"] == "unknown"
    assert second["endpoint"] == [{"reference": "Endpoint/north"}]
    assert not {"number", "numberOfInstances", "started"} & second.keys()


def test_what_is_not_known_is_left_out() -> None:
    """No nulls, no zeros, no empty lists; an unknown modality is said to be unknown, since one is asked for."""
    study = written(BARE)

    assert set(study) == {
        *("resourceType", "id", "meta", "identifier", "status", "modality", "subject", "endpoint"),
    }
    assert study["status"] == "unknown"
    assert study["modality"] == [
        {
            "system": "http://terminology.hl7.org/CodeSystem/data-absent-reason",
            "code": "unknown",
            "display": "Unknown",
        }
    ]


@pytest.mark.parametrize(
    "sources",
    [
        [a_source("north", [a_series()])],
        [a_source("north", [a_series()]), a_source("south", [a_series()])],
        [a_source("north", [a_series()]), a_source("south")],
    ],
)
def test_series_name_no_holders_where_the_sources_are_not_known_to_differ(sources: list[Any]) -> None:
    """The study's own endpoints then hold for all its series."""
    assert all("endpoint" not in series for series in written(a_study(*sources))["series"])


def test_series_can_be_left_out() -> None:
    """Counts stay."""
    study = written(FULL, with_series=False)

    assert "series" not in study
    assert study["numberOfSeries"] == 2


def test_meta_says_when_where_from_and_how_confidential() -> None:
    """One source: that facility. Several: the gateway, which put them together."""
    meta = written(BARE)["meta"]

    assert re.fullmatch(r"2026-11-24T11:00:00\.000Z", meta["lastUpdated"])
    assert meta["source"] == f"{BASE}/Organization/north"
    assert meta["profile"] == ["http://fhir.org/argonaut/smart-imaging/StructureDefinition/smart-imaging-study"]
    assert [label["code"] for label in meta["security"]] == ["N"]
    assert written(FULL)["meta"]["source"] == BASE


def test_a_label_is_told_with_what_it_rests_on() -> None:
    """The law by its code, a policy in words, as HL7 DS4P's extension of the label; a label without is bare."""
    act_code = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    basis = "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-sec-label-basis"
    law, policy = Coding(act_code, "42CFRPart2"), Coding("", "", "policy 12 of the exchange")
    labels = (SecurityLabel(act_code, "SUD", basis=(law, policy)), SecurityLabel(act_code, "NORDSCLCD"))
    security = written(BARE._replace(security=labels))["meta"]["security"]

    assert security == [
        {
            "extension": [
                {"url": basis, "valueCoding": {"system": act_code, "code": "42CFRPart2"}},
                {"url": basis, "valueCoding": {"display": "policy 12 of the exchange"}},
            ],
            "system": act_code,
            "code": "SUD",
        },
        {"system": act_code, "code": "NORDSCLCD"},
    ]


def test_the_id_tells_neither_study_nor_facility() -> None:
    """It is the one given, and nothing else is in it."""
    assert written(FULL)["id"] == STUDY_ID


@pytest.mark.integration
@pytest.mark.parametrize("study", [FULL, BARE], ids=["full", "bare"])
def test_an_independent_validator_finds_nothing_wrong(study: Study, fhir_validator: Any) -> None:
    """Google's R4 types, with required codes."""
    assert fhir_validator.problems(written(study)) == []
