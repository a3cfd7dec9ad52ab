"""Audit records for tests: plain functions with everything filled in, and a Hypothesis strategy for any record."""

import uuid
from datetime import UTC, datetime
from typing import Any, get_args

from hypothesis import strategies as st

from gateway.audit.record import Asked, AuditKind, AuditRecord, Decided, Released, Who

NOON = datetime(2026, 3, 5, 12, 0, 0, 123456, tzinfo=UTC)
PERSON = "0b9d3a52-8a6e-4a36-9d6f-6f3f0f3f9a01"
POLICY = "https://profiles.ihe.net/ITI/PCF/Policy-basic-normal"


def a_who(**changes: Any) -> Who:
    """A clinician behind a registered system client."""
    known = {
        "client_id": "ehr",
        "client_name": "Lakeside EHR",
        "organization": "north",
        "subject_id": "1234567893",
        "subject_name": "Dr. Ada Park",
        "subject_role": "Physician",
        "issuer": "https://exchange.example",
        "subject": "ehr",
        "token_id": "c0ffee00-0000-4000-8000-000000000001",
        "purposes": ("TREAT",),
        "network": "192.0.2.10",
    }
    return Who(**{**known, **changes})


def a_record(**changes: Any) -> AuditRecord:
    """A search that asked three facilities, of which one was withheld and one did not answer."""
    known = {
        "id": str(uuid.uuid4()),
        "recorded": NOON,
        "kind": "imaging-search",
        "outcome": "success",
        "who": a_who(),
        "patient": PERSON,
        "request": f"GET /fhir/r4/ImagingStudy?patient=Patient/{PERSON}&modality=CT",
        "request_id": "req-1",
        "asked": (
            Asked(facility="east", status="timed_out", elapsed_ms=3000, studies=0),
            Asked(facility="north", status="answered", elapsed_ms=31, studies=3, dropped=1, incomplete=True),
        ),
        "decided": (
            Decided(facility="east", decision="permit", reason="no consent on file: normal data", policy=POLICY),
            Decided(facility="north", decision="permit", reason="no consent on file: normal data", policy=POLICY),
            Decided(
                facility="south",
                decision="deny",
                reason="Consent/c1 (version 2): denies Organization/south",
                consents=("Consent/c1/_history/2",),
            ),
        ),
        "released": (Released(facility="north", studies=("1.2.840.1", "1.2.840.2")),),
        "resources": ("ImagingStudy/aa", "ImagingStudy/bb"),
        "algorithm": "strong-identifier-1",
        "details": (("about", "north"), ("about", "twice")),
    }
    return AuditRecord(**{**known, **changes})


def _words(**limits: Any) -> st.SearchStrategy[str]:
    return st.text(**{"max_size": 40, **limits})


_counts = st.integers(min_value=0, max_value=10**6)
_facilities = st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True)
_uids = st.from_regex(r"[0-2](\.[1-9][0-9]{0,8}){1,6}", fullmatch=True)
_ids = st.from_regex(r"[A-Za-z0-9.-]{1,40}", fullmatch=True)
_consents = st.builds("Consent/{}/_history/{}".format, _ids, st.integers(1, 99))
_purposes = st.lists(st.sampled_from(("TREAT", "ETREAT", "BTG", "HPAYMT")), unique=True, max_size=2).map(tuple)


def _tuples(items: st.SearchStrategy[Any], most: int = 3, **how: Any) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(items, max_size=most, **how).map(tuple)


_whos = st.builds(
    Who,
    **{
        name: st.none() | _words(min_size=1)
        for name in (
            *("client_id", "client_name", "organization", "subject_id", "subject_name", "subject_role"),
            *("issuer", "subject", "token_id", "network"),
        )
    },
    purposes=_purposes,
)
_asked = st.builds(
    Asked,
    facility=_facilities,
    status=st.sampled_from(("answered", "timed_out", "unreachable", "refused", "unreadable")),
    elapsed_ms=_counts,
    studies=_counts,
    dropped=_counts,
    contradicted=_counts,
    incomplete=st.booleans(),
)
_decided = st.builds(
    Decided,
    facility=_facilities,
    decision=st.sampled_from(("permit", "deny")),
    reason=_words(),
    consents=_tuples(_consents, unique=True),
    policy=st.none() | st.just(POLICY),
    study=st.none() | _uids,
)
_released = st.builds(Released, facility=_facilities, studies=_tuples(_uids, unique=True))

any_record = st.builds(
    AuditRecord,
    id=st.uuids().map(str),
    recorded=st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    kind=st.sampled_from(get_args(AuditKind)),
    outcome=st.sampled_from(("success", "refused", "failed")),
    reason=_words(),
    who=_whos,
    patient=st.none() | st.uuids().map(str),
    request=_words(),
    request_id=_words(),
    asked=_tuples(_asked, unique_by=lambda asked: asked.facility),
    decided=_tuples(_decided),
    released=_tuples(_released, unique_by=lambda released: released.facility),
    resources=_tuples(st.builds("{}/{}".format, st.sampled_from(("ImagingStudy", "Patient")), _ids), unique=True),
    algorithm=st.none() | _words(min_size=1),
    details=_tuples(st.tuples(_words(min_size=1), _words())),
)
"""Any record at all: hostile texts, missing callers, several purposes, decisions about studies."""
