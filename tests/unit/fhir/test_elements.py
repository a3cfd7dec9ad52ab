"""`_elements` and `_summary` return what is asked for and what is mandatory, and say that it is a part."""

from typing import Any

import pytest
from fhir.resources.R4B.endpoint import Endpoint
from fhir.resources.R4B.imagingstudy import ImagingStudy

from gateway.fhir.elements import with_elements, with_summary
from gateway.fhir.endpoint import to_endpoint
from gateway.fhir.imaging_study import to_imaging_study
from gateway.fhir.organization import to_organization
from gateway.model import PatientID
from tests.factories import a_facility
from tests.factories_imaging import a_series, a_source, a_study

STUDY = to_imaging_study(
    a_study(a_source("north", [a_series()], description="CT Thorax")), PatientID("p1"), "https://gateway.example"
)
PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "active": True,
    "deceasedDateTime": "2020",
    "gender": "female",
    "multipleBirthInteger": 2,
    "maritalStatus": {"text": "M"},
}


def is_subsetted(resource: dict[str, Any]) -> bool:
    """Whether it is tagged as a part."""
    return [tag["code"] for tag in resource.get("meta", {}).get("tag", [])] == ["SUBSETTED"]


def test_elements_keep_what_is_named_and_what_is_mandatory() -> None:
    """The result is valid R4 still."""
    part = with_elements(STUDY, ("description", "started"))

    assert set(part) == {"resourceType", "id", "meta", "status", "subject", "description"}
    assert part["meta"]["lastUpdated"] == STUDY["meta"]["lastUpdated"]
    assert is_subsetted(part)
    ImagingStudy.model_validate(part)


def test_without_elements_the_resource_is_whole() -> None:
    """And not tagged."""
    assert with_elements(STUDY, ()) is STUDY
    assert not is_subsetted(STUDY)


def test_modifiers_stay() -> None:
    """Someone who has died is not shown as if alive; an Endpoint says still that it wants a token."""
    gate = to_endpoint(a_facility("north", retrieve="gate", gate_url="https://gate.example"))

    assert set(with_elements(PATIENT, ("gender",))) == {
        *("resourceType", "id", "meta", "active", "deceasedDateTime", "gender"),
    }
    assert "extension" in with_elements(gate, ("name",))
    Endpoint.model_validate(with_elements(gate, ("name",)))


def test_a_choice_is_named_without_its_type() -> None:
    """`_elements=multipleBirth`."""
    assert "multipleBirthInteger" in with_elements(PATIENT, ("multipleBirth",))


@pytest.mark.parametrize("summary", ["true", "data"])
def test_a_summary_of_a_study_has_all_that_r4_marks(summary: Any) -> None:
    """Which is everything that the gateway tells of it, series included."""
    part = with_summary(STUDY, summary)

    assert set(part) == set(STUDY)
    assert is_subsetted(part)


def test_a_summary_leaves_out_what_r4_does_not_mark() -> None:
    """`data` leaves out the narrative alone, and there is none."""
    organization = to_organization(a_facility("north"))

    assert "endpoint" not in with_summary(organization, "true")
    assert "endpoint" in with_summary(organization, "data")
    assert set(with_summary(PATIENT, "true")) == {
        *("resourceType", "id", "meta", "active", "deceasedDateTime", "gender"),
    }


def test_a_text_summary_is_what_is_mandatory() -> None:
    """FHIR R4 search §3.1.1.5.8: text, id, meta, and mandatory top-level elements."""
    part = with_summary(STUDY, "text")

    assert set(part) == {"resourceType", "id", "meta", "status", "subject"}
    assert is_subsetted(part)


def test_no_summary_is_the_whole() -> None:
    """`false`."""
    assert with_summary(STUDY, "false") is STUDY


def test_taking_a_part_changes_nothing_of_the_whole() -> None:
    """Parts of resources are shared."""
    before = repr(STUDY)
    with_elements(STUDY, ("status",))
    with_summary(STUDY, "true")

    assert repr(STUDY) == before
