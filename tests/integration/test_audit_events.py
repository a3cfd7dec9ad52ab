"""An independent FHIR R4 validator finds nothing amiss in what the audit tells."""

from typing import get_args

import pytest

from gateway.audit.event_kinds import OPERATORS_ACTS
from gateway.audit.fhir_audit_event import to_audit_events
from gateway.audit.record import AuditKind, AuditRecord, Decided, Who
from tests.factories_audit import PERSON, a_record, a_who
from tests.services.fhir_validator import FHIRValidator

pytestmark = pytest.mark.integration
RECORDS = {
    "search": a_record(),
    "search about nobody": a_record(patient=None, asked=(), decided=(), released=(), resources=()),
    "read": a_record(kind="imaging-read", resources=("ImagingStudy/aa",)),
    "patient read": a_record(kind="patient-read", resources=(f"Patient/{PERSON}",), asked=(), released=()),
    "own access": a_record(decided=(Decided(facility="north", decision="permit", reason="the patient's own access"),)),
    "failed": a_record(outcome="failed", reason="no facility that was asked could answer", released=()),
    "refused": a_record(kind="access-refused", outcome="refused", who=Who(), asked=(), decided=(), released=()),
    "emergency": a_record(kind="token-issued", who=a_who(purposes=("BTG",)), asked=(), decided=(), released=()),
    "operator": a_record(
        kind="operator", who=Who(subject_id="root", subject_role="operator"), details=(("since", ""),)
    ),
    **{kind: a_record(kind=kind) for kind in get_args(AuditKind)},
    **{
        f"operator: {words}": a_record(kind="operator", reason=words, asked=(), decided=(), released=())
        for words in OPERATORS_ACTS
    },
    "hostile": a_record(who=a_who(subject_name="\x1b[2J\r\n\u2028\u202e", network="not an address")),
}


@pytest.mark.parametrize("what", RECORDS)
def test_t082_each_audit_event_is_valid_fhir(what: str, fhir_validator: FHIRValidator) -> None:
    """Structure, cardinalities, code systems with required bindings, primitive formats."""
    record: AuditRecord = RECORDS[what]

    for event in to_audit_events(record, base_url="https://exchange.example"):
        assert fhir_validator.problems(event) == [], event["id"]
