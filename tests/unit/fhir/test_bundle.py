"""The searchset Bundle."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from fhir.resources.R4B.bundle import Bundle

from gateway.fhir.bundle import searchset
from gateway.fhir.operation_outcome import gap_outcome

BASE = "https://gateway.example/fhir/r4"
NOW = datetime(2026, 5, 1, 14, 30, 15, 123456, tzinfo=timezone(timedelta(hours=2)))
STUDY = {"resourceType": "ImagingStudy", "id": "s1", "status": "available", "subject": {"reference": "Patient/p1"}}
ENDPOINT = {
    "resourceType": "Endpoint",
    "id": "north",
    "status": "active",
    "connectionType": {
        "system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type",
        "code": "dicom-wado-rs",
    },
    "payloadType": [{"text": "DICOM"}],
    "address": "https://north.example/dicom-web",
}


def _bundle(**changed: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "bundle_id": "r-1",
        "now": NOW,
        "base": BASE,
        "self_url": f"{BASE}/ImagingStudy?patient=p1",
        "next_url": None,
        "total": 0,
        "matches": [],
    }
    return searchset(**given | changed)


def test_nothing_found_is_a_bundle_of_zero_without_entries() -> None:
    """Unknown patient, no studies and everything withheld look like this; FHIR JSON has no empty arrays."""
    assert _bundle() == {
        "resourceType": "Bundle",
        "id": "r-1",
        "meta": {"lastUpdated": "2026-05-01T12:30:15.123Z"},
        "type": "searchset",
        "total": 0,
        "link": [{"relation": "self", "url": f"{BASE}/ImagingStudy?patient=p1"}],
    }


def test_entries_say_why_they_are_there() -> None:
    """Matches, then includes, then outcomes; each with a fullUrl of its own."""
    outcomes = [gap_outcome("south", "South", "timeout"), gap_outcome("east", "East", "transient")]
    bundle = _bundle(
        total=7, next_url=f"{BASE}/ImagingStudy?_cursor=x", matches=[STUDY], includes=[ENDPOINT], outcomes=outcomes
    )

    entries = bundle["entry"]
    assert [entry["search"]["mode"] for entry in entries] == ["match", "include", "outcome", "outcome"]
    assert [entry["fullUrl"] for entry in entries[:2]] == [f"{BASE}/ImagingStudy/s1", f"{BASE}/Endpoint/north"]
    assert len({entry["fullUrl"] for entry in entries}) == 4
    assert entries[2]["fullUrl"].startswith("urn:uuid:")
    assert [link["relation"] for link in bundle["link"]] == ["self", "next"]
    assert bundle["total"] == 7
    Bundle.model_validate(bundle)


def test_outcomes_of_one_answer_keep_their_names_and_of_another_have_others() -> None:
    """Their fullUrl follows from the answer's id."""
    outcomes = [gap_outcome("south", "South", "timeout")]
    name = _bundle(outcomes=outcomes)["entry"][0]["fullUrl"]

    assert _bundle(outcomes=outcomes, now=datetime.now(UTC))["entry"][0]["fullUrl"] == name
    assert _bundle(outcomes=outcomes, bundle_id="r-2")["entry"][0]["fullUrl"] != name
