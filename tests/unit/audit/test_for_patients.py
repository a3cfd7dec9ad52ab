"""What a patient reads of their own history says nothing of anybody else."""

from hypothesis import given, settings

from gateway.audit.fhir_audit_event import to_audit_events
from gateway.audit.for_patients import only_about
from gateway.audit.record import AuditRecord
from gateway.watch.terms import patients_of
from tests.factories_audit import PERSON, a_record, any_record

OTHER = "11111111-2222-4333-8444-555555555555"


def _told(record: AuditRecord) -> list[dict[str, object]]:
    events = to_audit_events(record, base_url="https://exchange.example")
    return [only_about(event, {PERSON}, record.kind) for event in events if patients_of(event) & {PERSON}]


def test_what_is_about_the_patient_alone_is_told_whole() -> None:
    """Nothing is taken out, and the profile is claimed."""
    record = a_record()

    assert _told(record) == to_audit_events(record, base_url="https://exchange.example")


def test_t081_another_patient_of_the_same_search_is_taken_out_and_that_is_said() -> None:
    """A search by description finds several: each reads of themselves, and not what was looked for."""
    record = a_record(
        kind="patient-search",
        patient=None,
        request="GET /fhir/r4/Patient?family=Quillfeather&birthdate=1960",
        resources=(f"Patient/{PERSON}", f"Patient/{OTHER}"),
        asked=(),
        decided=(),
        released=(),
    )
    (event,) = _told(record)

    assert OTHER not in str(event)
    assert "Quillfeather" not in str(event)
    assert event["meta"] == {
        "security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "REDACTED"}]
    }
    assert patients_of(event) == {PERSON}


def test_t081_what_a_steward_notes_of_somebody_else_is_taken_out() -> None:
    """Notes and other persons' ids, in whatever fact they stand."""
    record = a_record(
        kind="operator",
        reason="patients merge",
        asked=(),
        decided=(),
        released=(),
        resources=(f"Patient/{OTHER}",),
        details=(
            ("note", "her sister, born 1961"),
            ("previous person", OTHER),
            ("seen", f"Patient/{OTHER}"),
            ("a", "b"),
        ),
    )
    (event,) = _told(record)

    assert OTHER not in str(event)
    assert "sister" not in str(event)
    assert "detail:a" in str(event)


@settings(max_examples=60)
@given(any_record)
def test_t081_of_whatever_is_recorded_a_patient_reads_about_no_other(record: AuditRecord) -> None:
    """By reference or in a fact."""
    for event in _told(record):
        assert patients_of(event) <= {PERSON}
