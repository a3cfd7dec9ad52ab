"""One record, told as IHE BALP asks for it: every required element, and nothing of the record lost."""

import re
from base64 import b64decode
from datetime import UTC, datetime
from typing import get_args

import pytest
from fhir.resources.R4B.auditevent import AuditEvent
from hypothesis import given, settings

from gateway.audit.event_kinds import OPERATORS_ACTS, TOLD
from gateway.audit.fhir_audit_event import to_audit_events
from gateway.audit.record import AuditKind, AuditRecord, Decided, Who
from tests.factories_audit import NOON, PERSON, POLICY, a_record, a_who, any_record
from tests.unit.audit.balp_rules import A_PERSON, AUTHSERVER, CONSENT, IRCP, OBJECT, PROV, codes, problems_of
from tests.unit.audit.retelling import DCM, Event, agent_of, comparable, entities_of, record_of, told

PROFILE = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."


def _events(record: AuditRecord) -> list[Event]:
    return to_audit_events(record, base_url="https://exchange.example", site="Lake Exchange")


def _profiles(event: Event) -> list[str]:
    return [profile.removeprefix(PROFILE) for profile in event.get("meta", {}).get("profile", [])]


def _of(events: list[Event], profile: str) -> list[Event]:
    return [event for event in events if profile in _profiles(event)]


A_READ = {"kind": "imaging-read", "resources": ("ImagingStudy/aa",), "request": "GET /fhir/r4/ImagingStudy/aa"}
RECORDS = {
    "search about a patient": a_record(),
    "search about nobody": a_record(patient=None, asked=(), decided=(), released=(), resources=()),
    "read about a patient": a_record(**A_READ),
    "read about nobody": a_record(**A_READ, patient=None, asked=(), decided=(), released=()),
    "patient search": a_record(kind="patient-search", resources=(f"Patient/{PERSON}",), released=(), asked=()),
    "patient read": a_record(kind="patient-read", resources=(f"Patient/{PERSON}",), released=(), asked=()),
    "failed search": a_record(outcome="failed", reason="no facility that was asked could answer", released=()),
    "refused": a_record(kind="access-refused", outcome="refused", reason="scope", asked=(), decided=(), released=()),
    "refused, nobody known": a_record(kind="access-refused", outcome="refused", who=Who(network="192.0.2.1")),
    "token": a_record(kind="token-issued", patient=None, asked=(), decided=(), released=(), resources=()),
    "token refused": a_record(kind="token-refused", outcome="refused", who=Who(network="192.0.2.1", client_id="x")),
    "alert": a_record(kind="alert", who=Who(), reason="a study is found under two persons"),
    "operator": a_record(kind="operator", who=Who(subject="root"), reason="clients add"),
} | {f"kind {kind}": a_record(kind=kind, resources=(f"Patient/{PERSON}",)) for kind in get_args(AuditKind)}
CLAIMED = {
    "search about a patient": ["PatientQuery", "AuthZconsent", "AuthZconsent", "PrivacyDisclosure.Source"],
    "search about nobody": ["Query"],
    "read about a patient": ["PatientRead", "AuthZconsent", "AuthZconsent", "PrivacyDisclosure.Source"],
    "read about nobody": ["Read"],
    "patient search": ["PatientQuery", "AuthZconsent", "AuthZconsent"],
    "patient read": ["PatientRead", "AuthZconsent", "AuthZconsent"],
}


@pytest.mark.parametrize("what", RECORDS)
def test_t082_every_event_has_what_its_balp_profile_requires(what: str) -> None:
    """Type, subtype, action, outcome, agents and entities as the profile's table says; and FHIR R4 structure."""
    for event in _events(RECORDS[what]):
        AuditEvent.model_validate(event)
        for profile in event.get("meta", {}).get("profile", []):
            assert problems_of(event, profile) == []


@pytest.mark.parametrize("what", CLAIMED)
def test_t082_each_kind_of_answer_gives_its_balp_events(what: str) -> None:
    """The search or read, a decision for each consent basis, a disclosure for each facility that released."""
    claimed = [_profiles(event)[0] for event in _events(RECORDS[what]) if _profiles(event)]

    assert claimed == CLAIMED[what]


def test_every_kind_of_record_has_its_words() -> None:
    """A kind without a row could not be told."""
    assert set(TOLD) == set(get_args(AuditKind))


def test_no_operators_act_is_hidden_by_the_words_of_another() -> None:
    """The first row that fits counts: a longer one stands before what it begins with."""
    words = list(OPERATORS_ACTS)
    hidden = [(one, later) for n, one in enumerate(words) for later in words[n + 1 :] if later.startswith(one)]

    assert hidden == []


@pytest.mark.parametrize(
    ("kind", "reason", "type_", "subtype", "action"),
    [
        ("sign-in", "", "110114", "110122", "E"),
        ("sign-out", "", "110114", "110123", "E"),
        ("audit-search", "", "110101", "search-type", "R"),
        ("accounting", "", "110101", "report", "R"),
        ("operator", "facilities apply begins", "110113", "110128", "U"),
        ("operator", "client added", "110113", "110129", "U"),
        ("operator", "patients merge", "110110", "merge", "U"),
        ("operator", "patients unmerge", "110110", "unmerge", "U"),
        ("operator", "patients split", "110110", "unlink", "U"),
        ("operator", "patients relink: link", "110110", "link", "U"),
        ("operator", "consent revoked", "110113", "110135", "U"),
        ("operator", "break-glass ended", "110113", "110138", "E"),
        ("operator", "backup", "110106", "archive", "R"),
        ("operator", "audit export", "110101", None, "E"),
        ("operator", "explain", "110100", None, "E"),
    ],
)
def test_t082_acts_without_a_balp_profile_are_told_in_the_codes_of_dicom_and_iso(
    kind: AuditKind, reason: str, type_: str, subtype: str | None, action: str
) -> None:
    """DICOM PS3.16 CID 400 and 401, ISO 21089; every fact of the record stands in the event."""
    (event,) = _events(a_record(kind=kind, reason=reason, asked=(), decided=(), released=()))

    assert event["type"]["code"] == type_
    assert [coding["code"] for coding in event.get("subtype", [])] == ([subtype] if subtype else [])
    assert event["action"] == action
    AuditEvent.model_validate(event)


@settings(max_examples=50)
@given(any_record)
def test_t082_whatever_is_recorded_its_events_are_fhir_and_hold_to_the_profiles_they_claim(record: AuditRecord) -> None:
    """Hostile texts and missing callers included."""
    for event in _events(record):
        AuditEvent.model_validate(event)
        for profile in event.get("meta", {}).get("profile", []):
            assert problems_of(event, profile) == []


@settings(max_examples=150)
@given(any_record)
def test_everything_in_a_record_is_in_its_events(record: AuditRecord) -> None:
    """The record can be put together again from them."""
    again = record_of(_events(record))

    assert comparable(again) == comparable(record)


@given(any_record)
def test_a_record_gives_the_same_events_each_time_with_ids_of_its_own(record: AuditRecord) -> None:
    """Ids count from the record's id, so a consumer may ask for one event."""
    events = _events(record)

    assert events == _events(record)
    assert [event["id"] for event in events] == [f"{record.id}-{n}" for n in range(1, len(events) + 1)]
    assert all(re.fullmatch(r"[A-Za-z0-9.-]{1,64}", event["id"]) for event in events)


def test_t083_a_search_that_finds_three_patients_is_three_patient_queries() -> None:
    """BALP: one event for every patient in the result."""
    record = a_record(
        kind="patient-search", patient=None, resources=("Patient/a", "Patient/b", "Patient/c"), released=(), decided=()
    )

    queries = _of(_events(record), "PatientQuery")
    about = [entities_of(event, A_PERSON)[0]["what"]["reference"] for event in queries]
    assert about == ["Patient/a", "Patient/b", "Patient/c"]


@pytest.mark.parametrize(
    "request_text",
    [
        "GET /fhir/r4/ImagingStudy?patient.identifier=urn:oid:1.2|A%20%C3%BC&x=<script>",
        "POST /fhir/r4/ImagingStudy/_search\n\npatient=Patient/1&modality=CT",
        "GET /fhir/r4/ImagingStudy?name=Мария\r\nX: y\x00",
    ],
)
def test_t084_the_query_is_the_base64_of_the_exact_raw_request(request_text: str) -> None:
    """Byte for byte, malicious or not, body included; and no token is in the event."""
    (event,) = _of(_events(a_record(request=request_text)), "PatientQuery")
    (query,) = entities_of(event, OBJECT)

    assert b64decode(query["query"]) == request_text.encode()
    assert "Bearer" not in str(event)


@pytest.mark.parametrize(
    ("request_text", "told"),
    [
        (
            "GET /fhir/r4/ImagingStudy?patient.identifier=urn:oid:1.2%7CA%20%C3%BC&started=ge2024&_count=",
            "GET /fhir/r4/ImagingStudy; patient.identifier = urn:oid:1.2|A ü; started = ge2024; _count = ",
        ),
        (
            "POST /fhir/r4/ImagingStudy/_search?_format=json\n\npatient=Patient/1&modality=CT",
            "POST /fhir/r4/ImagingStudy/_search; _format = json; patient = Patient/1; modality = CT",
        ),
        ("GET /fhir/r4/Patient?_id=%0A%00%E2%80%AE\r", "GET /fhir/r4/Patient; _id = \\u000a\\u0000\\u202e\\u000d"),
        ("GET /fhir/r4/Patient?_id=%FF", "GET /fhir/r4/Patient; _id = \N{REPLACEMENT CHARACTER}"),
        ("DELETE /fhir/r4/Patient", "DELETE /fhir/r4/Patient"),
    ],
)
def test_the_query_is_described_for_people_too(request_text: str, told: str) -> None:
    """BALP `entity[query].description`: decoded, in order, and nothing in it can move a terminal or hide."""
    (event,) = _of(_events(a_record(request=request_text)), "PatientQuery")
    (query,) = entities_of(event, OBJECT)

    assert query["description"] == told


def test_the_result_of_a_search_is_told_by_the_disclosure_and_not_by_the_query() -> None:
    """BALP: result count and content are not recorded in the query event; the accounting of disclosures needs them."""
    events = _events(a_record())
    (query,) = _of(events, "PatientQuery")
    (disclosure,) = _of(events, "PrivacyDisclosure.Source")

    assert "1.2.840.1" not in str(query)
    assert "ImagingStudy/aa" not in str(query)
    uids = [
        entity["what"]["identifier"] for entity in entities_of(disclosure, OBJECT) if "identifier" in entity["what"]
    ]
    assert uids == [{"system": "urn:dicom:uid", "value": f"urn:oid:1.2.840.{n}"} for n in (1, 2)]


def test_a_decision_without_a_consent_names_the_policy_of_the_community() -> None:
    """An implicit policy is what was relied on: `entity[consent]` names its URL (IHE PCF)."""
    permit, deny = _of(_events(a_record()), "AuthZconsent")

    (policy,) = entities_of(permit, CONSENT)
    assert policy["what"] == {"identifier": {"system": "urn:ietf:rfc:3986", "value": POLICY}}
    assert permit["outcome"] == "0"
    (consent,) = entities_of(deny, CONSENT)
    assert consent["what"] == {"reference": "Consent/c1/_history/2"}
    assert deny["outcome"] == "8"
    assert deny["outcomeDesc"] == "south: Consent/c1 (version 2): denies Organization/south"


def test_decisions_on_one_basis_are_one_event_that_says_about_which_facilities() -> None:
    """Two facilities permitted by the same policy: one AuthZconsent."""
    permit, _ = _of(_events(a_record()), "AuthZconsent")
    (policy,) = entities_of(permit, CONSENT)

    assert [detail["valueString"].split(":")[0] for detail in policy["detail"]] == ["east", "north"]


def test_the_patients_own_access_relies_on_no_consent_and_says_so() -> None:
    """It is a right: the event still stands, with its one consent entity."""
    record = a_record(decided=(Decided(facility="north", decision="permit", reason="the patient's own access"),))

    (permit,) = _of(_events(record), "AuthZconsent")
    (entity,) = entities_of(permit, CONSENT)
    assert entity["what"] == {"display": "no consent was relied on"}


def test_the_token_is_told_by_its_jti_alone_and_the_caller_as_balp_maps_it() -> None:
    """`client_id`, `iss`, `sub`, `jti`, purpose of use, name and role (ITI BALP §3:5.7.5.4)."""
    (event,) = _of(_events(a_record()), "PatientQuery")
    client, user, organization = agent_of(event, DCM + "110150"), agent_of(event, IRCP), agent_of(event, PROV)

    assert client["who"] == {"identifier": {"value": "ehr"}, "display": "Lakeside EHR"}
    assert client["network"] == {"address": "192.0.2.10", "type": "2"}
    assert user["who"]["identifier"] == {"system": "https://exchange.example", "value": "ehr"}
    assert user["policy"] == ["urn:ietf:params:oauth:jti:c0ffee00-0000-4000-8000-000000000001"]
    assert user["name"] == user["who"]["display"] == "Dr. Ada Park"
    assert user["role"] == [{"text": "Physician"}]
    assert user["extension"][0]["valueIdentifier"]["value"] == "1234567893"
    assert codes(user["purposeOfUse"][0]) == {"http://terminology.hl7.org/CodeSystem/v3-ActReason#TREAT"}
    assert organization["who"] == {"reference": "Organization/north"}
    assert "OAUTHaccessTokenUse.Comprehensive" in _profiles(event)
    (token,) = entities_of(
        _of(_events(a_record()), "AuthZconsent")[0], user_token := "".join(codes(user["type"]) - {IRCP})
    )
    assert user_token.endswith("#UserOauthAgent")
    assert token["what"]["identifier"]["value"] == user["policy"][0]


def test_a_disclosure_names_custodian_recipient_and_the_patient_who_authorised_it() -> None:
    """The patient stands as authorizer where their own consent opened the facility, not where a policy did."""
    by_consent = a_record(
        decided=(Decided(facility="north", decision="permit", reason="yes", consents=("Consent/c1/_history/1",)),)
    )
    (by_policy,) = _of(_events(a_record()), "PrivacyDisclosure.Source")
    (event,) = _of(_events(by_consent), "PrivacyDisclosure.Source")

    assert agent_of(event, "http://snomed.info/sct#159541003")["who"] == {"reference": "Organization/north"}
    assert agent_of(event, "http://snomed.info/sct#429577009")["who"] == {"reference": f"Patient/{PERSON}"}
    assert "429577009" not in str(by_policy)
    assert agent_of(event, DCM + "110152")["who"]["identifier"]["value"] == "ehr"
    assert codes(event["purposeOfEvent"][0]) == {"http://terminology.hl7.org/CodeSystem/v3-ActReason#TREAT"}


@pytest.mark.parametrize(("outcome", "code"), [("success", "0"), ("refused", "4"), ("failed", "12")])
def test_the_outcome_is_told_in_fhirs_codes_and_a_failure_claims_no_success_profile(outcome: str, code: str) -> None:
    """BALP's search and read profiles are for success only."""
    event = _events(a_record(outcome=outcome, reason="words"))[0]

    assert event["outcome"] == code
    assert event["outcomeDesc"] == "words"
    assert bool(_profiles(event)) == (outcome == "success")


def test_a_search_about_an_unknown_patient_is_a_query_without_a_patient() -> None:
    """The look-up is told all the same."""
    (event,) = _events(RECORDS["search about nobody"])

    assert _profiles(event)[0] == "Query"
    assert entities_of(event, A_PERSON) == []


def test_each_facility_that_was_asked_is_told_with_how_it_went() -> None:
    """The gateway is the requestor; no answer from a facility is a serious failure, a partial one a minor failure."""
    asked = [event for event in _events(a_record()) if DCM + "110112" in codes(event["type"])]

    assert [event["outcome"] for event in asked] == ["8", "4"]
    assert [agent_of(event, DCM + "110152")["who"]["reference"] for event in asked] == [
        "Organization/east",
        "Organization/north",
    ]


def test_t050_a_token_that_opens_an_emergency_is_told_as_an_emergency_override() -> None:
    """DCM 110127 beside the token itself, with who declared it and for whom."""
    events = _events(a_record(kind="token-issued", who=a_who(purposes=("BTG",)), asked=(), decided=(), released=()))

    assert len(events) == 2
    assert codes(events[1]["subtype"][0]) == {DCM + "110127"}
    assert agent_of(events[1], IRCP)["name"] == "Dr. Ada Park"
    assert entities_of(events[1], A_PERSON)
    AuditEvent.model_validate(events[1])


def test_the_export_of_the_audit_itself_is_told_as_use_of_the_audit_log() -> None:
    """DCM 110101; other operators' actions are application activity."""
    (used,) = _events(
        a_record(kind="operator", who=Who(subject="root"), reason="audit export", asked=(), decided=(), released=())
    )
    (other,) = _events(
        a_record(kind="operator", who=Who(subject="root"), reason="explain", asked=(), decided=(), released=())
    )

    assert codes(used["type"]) == {DCM + "110101"}
    assert codes(other["type"]) == {DCM + "110100"}


@pytest.mark.parametrize("hostile", ["a\r\nb", "\x1b[2J", '","outcome":"0', "a\u2028b", "back\\slash", "\u202eevil"])
def test_t086_a_hostile_name_can_not_pass_for_anything_else_where_it_is_shown(hostile: str) -> None:
    """Control, format and separator characters are spelled out; the record is one, and its outcome is its own."""
    events = _events(a_record(who=a_who(subject_name=hostile)))
    name = agent_of(events[0], IRCP)["name"]

    assert name.isprintable()
    assert told(name) == hostile
    assert events[0]["outcome"] == "0"


def test_names_of_every_script_are_shown_as_they_are() -> None:
    """Joiners that some scripts need are letters, not tricks."""
    for name in ("Мария Иванова", "王小東", "می‌خواهم", "أحمد", "O’Brien"):
        assert agent_of(_events(a_record(who=a_who(subject_name=name)))[0], IRCP)["name"] == name


def test_refused_callers_and_the_gateway_are_told_even_when_nobody_is_known() -> None:
    """FHIR needs an agent; BALP's authorizer is the observer."""
    event = _events(RECORDS["refused, nobody known"])[0]

    assert agent_of(event, AUTHSERVER)["who"] == event["source"]["observer"]
    assert agent_of(event, DCM + "110150")["network"]["address"] == "192.0.2.1"


def test_the_moment_is_told_to_the_microsecond_in_utc() -> None:
    """FHIR instant."""
    assert _events(a_record(recorded=NOON))[0]["recorded"] == "2026-03-05T12:00:00.123456Z"
    assert _events(a_record(recorded=datetime(2026, 3, 5, tzinfo=UTC)))[0]["recorded"] == "2026-03-05T00:00:00.000000Z"
