"""When a system gets a token, what is in it, and what is recorded of it."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.auth.backend_services import STRANGERS_A_MINUTE, BackendServices, TokenRequest
from gateway.auth.client_assertion import AssertionRefused
from gateway.db.crypto import KeyRing
from gateway.errors import (
    AccessRefused,
    AuditUnavailable,
    BreakGlassRefused,
    DependencyUnavailable,
    PurposeNotAllowed,
    ScopeMissing,
)
from tests.factories_auth import (
    BASE_URL,
    FakeAuditLog,
    FakeDeclarations,
    a_client,
    an_assertion,
    an_authenticator,
    backend_services,
)

NAMED = {"subject_id": "npi|1", "subject_name": "Dr A", "subject_role": "doctor"}
DECLARED = {"patient": "Patient/p-1", "reason": "unconscious"}


def _now() -> datetime:
    return datetime.now(UTC)


def _asked(assertion: str | None = None, **changes: Any) -> TokenRequest:
    return TokenRequest(
        assertion=assertion or an_assertion(),
        network="127.0.0.1",
        request="POST /oauth/token",
        request_id="r1",
        **changes,
    )


def _claims(token: str) -> dict[str, Any]:
    segment = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    return claims


@pytest.fixture
def audit() -> FakeAuditLog:
    """What was recorded."""
    return FakeAuditLog()


@pytest.fixture
def services(keys: KeyRing, audit: FakeAuditLog) -> BackendServices:
    """Knows the EHR, registered for TREAT."""
    return backend_services(keys, audit)


def test_a_token_says_what_the_contract_says(keys: KeyRing, services: BackendServices) -> None:
    """RFC 9068 claims, the purpose as Coding, the organisation as registered, the clinician as stated; five minutes."""
    before = _now()
    token = services.issue(_asked(an_assertion(b2b={**NAMED, "organization_id": "elsewhere"})), before)
    claims = _claims(token.value)
    assert claims["iss"] == claims["aud"] == BASE_URL
    assert claims["sub"] == claims["client_id"] == "ehr"
    assert claims["exp"] - claims["iat"] == 300
    assert claims["jti"] == token.token_id
    assert claims["scope"] == "system/ImagingStudy.rs system/Patient.rs"
    assert "patient" not in claims
    assert claims["extensions"]["ihe_iua"]["purpose_of_use"] == [
        {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"}
    ]
    assert claims["extensions"]["hl7-b2b"] == {
        "version": "1",
        "organization_id": "north",
        **NAMED,
        "purpose_of_use": ["urn:oid:2.16.840.1.113883.5.8#TREAT"],
    }
    requester = an_authenticator(keys).authenticate([f"Bearer {token.value}"], before)
    assert (requester.subject_id, requester.purposes) == ("npi|1", ("TREAT",))


def test_the_token_is_not_in_its_repr(services: BackendServices) -> None:
    """So that no log of an object shows it, nor the assertion it was got with."""
    asked = _asked()
    token = services.issue(asked, _now())
    assert token.value not in repr(token)
    assert asked.assertion not in repr(asked)


def test_an_issued_token_is_recorded_and_not_with_its_secrets(services: BackendServices, audit: FakeAuditLog) -> None:
    """Who, for whom, which scopes and its `jti`; neither token nor assertion."""
    asked = _asked(an_assertion(b2b=NAMED))
    token = services.issue(asked, _now())
    (record,) = audit.records
    assert (record.kind, record.outcome) == ("token-issued", "success")
    assert (record.who.client_id, record.who.client_name, record.who.organization) == ("ehr", "An EHR", "north")
    assert (record.who.subject_id, record.who.subject_name, record.who.subject_role) == ("npi|1", "Dr A", "doctor")
    assert (record.who.token_id, record.who.purposes, record.who.network) == (token.token_id, ("TREAT",), "127.0.0.1")
    assert ("scope", "system/ImagingStudy.rs system/Patient.rs") in record.details
    assert (record.request, record.request_id) == ("POST /oauth/token", "r1")
    assert token.value not in repr(record)
    assert asked.assertion not in repr(record)


def test_t059_no_token_leaves_without_its_audit(services: BackendServices, audit: FakeAuditLog) -> None:
    """A store that fails refuses the token."""
    audit.broken = True
    with pytest.raises(AuditUnavailable):
        services.issue(_asked(), _now())


@pytest.mark.parametrize(
    ("scope", "granted"),
    [
        (None, "system/ImagingStudy.rs system/Patient.rs"),
        ("system/ImagingStudy.rs", "system/ImagingStudy.rs"),
        ("system/ImagingStudy.read openid", "system/ImagingStudy.read"),
        ("system/*.*", "system/ImagingStudy.rs system/Patient.rs"),
        (" system/Patient.cruds ", "system/Patient.rs"),
    ],
)
def test_the_scope_granted_is_what_is_asked_and_registered(
    scope: str | None, granted: str, services: BackendServices
) -> None:
    """Never wider than either."""
    assert " ".join(services.issue(_asked(scope=scope), _now()).scopes) == granted


@pytest.mark.parametrize(
    "scope", ["system/AuditEvent.rs", "patient/ImagingStudy.rs", "openid", "system/ImagingStudy.sr", " ", "x" * 5000]
)
def test_t034_where_nothing_can_be_granted_there_is_no_token(
    scope: str, services: BackendServices, audit: FakeAuditLog
) -> None:
    """And the refusal is recorded with the client's name."""
    with pytest.raises(ScopeMissing):
        services.issue(_asked(scope=scope), _now())
    (record,) = audit.records
    assert (record.kind, record.outcome, record.who.client_id) == ("token-refused", "refused", "ehr")


def test_t041_a_purpose_that_is_not_registered_is_refused(services: BackendServices, audit: FakeAuditLog) -> None:
    """And recorded as an attempt."""
    with pytest.raises(PurposeNotAllowed):
        services.issue(_asked(an_assertion(b2b={"purpose_of_use": ["HMARKT"]})), _now())
    assert audit.records[0].reason == "the client is not registered for this purpose of use"
    assert audit.records[0].who.purposes == ("HMARKT",)
    assert ("registered_purposes", "TREAT") in audit.records[0].details


def test_the_rest_of_a_b2b_statement_is_handed_on_and_recorded_and_decides_nothing(
    services: BackendServices, audit: FakeAuditLog
) -> None:
    """The organisation of the token is the registered one; consents that are named stand in the audit as stated."""
    b2b = {
        "version": "1",
        "purpose_of_use": ["TREAT"],
        "organization_id": "https://elsewhere.example",
        "organization_name": "Elsewhere",
        "consent_policy": ["urn:oid:2.999.1"],
        "consent_reference": ["https://elsewhere.example/fhir/Consent/7"],
    }
    token = services.issue(_asked(an_assertion(b2b=b2b)), _now())
    told = json.loads(base64.urlsafe_b64decode(token.value.split(".")[1] + "=="))["extensions"]["hl7-b2b"]
    assert told["organization_id"] == "north"
    assert "organization_name" not in told
    assert told["consent_policy"] == ["urn:oid:2.999.1"]
    assert told["consent_reference"] == ["https://elsewhere.example/fhir/Consent/7"]
    for fact in (
        ("stated_organization_id", "https://elsewhere.example"),
        ("stated_consent_reference", "https://elsewhere.example/fhir/Consent/7"),
    ):
        assert fact in audit.records[0].details


def emergency_services(keys: KeyRing, audit: FakeAuditLog, declarations: FakeDeclarations) -> BackendServices:
    """With a client that may declare a break-glass."""
    return backend_services(keys, audit, a_client(purposes=("TREAT", "BTG")), declarations=declarations)


def a_break_glass(at: datetime | None = None) -> str:
    """An assertion that declares one, made at that time."""
    b2b = {"purpose_of_use": ["BTG"], **NAMED}
    times = {} if at is None else {"iat": int(at.timestamp()), "exp": int(at.timestamp()) + 240}
    return an_assertion(extensions={"hl7-b2b": b2b, "break_glass": DECLARED}, **times)


def test_t047_break_glass_by_a_system_without_a_person_is_refused(keys: KeyRing, audit: FakeAuditLog) -> None:
    """Also where the client is registered for it."""
    services = backend_services(keys, audit, a_client(purposes=("TREAT", "BTG")))
    for assertion in (
        an_assertion(b2b={"purpose_of_use": ["BTG"]}),
        an_assertion(b2b={"purpose_of_use": ["BTG"], **NAMED}),
        an_assertion(extensions={"hl7-b2b": {"purpose_of_use": ["BTG"]}, "break_glass": DECLARED}),
        an_assertion(extensions={"hl7-b2b": {"purpose_of_use": ["TREAT"], **NAMED}, "break_glass": DECLARED}),
    ):
        with pytest.raises(PurposeNotAllowed):
            services.issue(_asked(assertion), _now())
    assert [record.kind for record in audit.records] == ["token-refused"] * 4


def test_t048_a_complete_break_glass_is_bound_to_its_patient(keys: KeyRing, audit: FakeAuditLog) -> None:
    """The token reaches that one person; the reason is recorded and not in the token."""
    declarations = FakeDeclarations()
    services = emergency_services(keys, audit, declarations)
    token = services.issue(_asked(a_break_glass()), _now())
    claims = _claims(token.value)
    (declared,) = declarations.made
    assert claims["patient"] == "p-1"
    assert claims["extensions"]["break_glass"] == {"declaration": declared.id}
    assert "unconscious" not in json.dumps(claims)
    assert audit.records[0].patient == "p-1"
    details = dict(audit.records[0].details)
    assert (details["break_glass_reason"], details["declaration"]) == ("unconscious", declared.id)
    assert (details["declared"], details["declared_until"]) == ("anew", declared.until.isoformat())


def test_t049_a_declaration_outlives_its_tokens_and_is_made_anew_after_its_end(
    keys: KeyRing, audit: FakeAuditLog
) -> None:
    """Tokens of five minutes under one declaration, whose end is fixed by the first; then another one."""
    declarations = FakeDeclarations(timedelta(minutes=30))
    services = emergency_services(keys, audit, declarations)
    now = _now()
    for minutes in (0, 12, 29):
        at = now + timedelta(minutes=minutes)
        services.issue(_asked(a_break_glass(at)), at)
    assert len(declarations.made) == 1
    later = now + timedelta(minutes=30)
    services.issue(_asked(a_break_glass(later)), later)
    assert len(declarations.made) == 2
    assert [dict(one.details)["declared"] for one in audit.records] == ["anew", "before", "before", "anew"]


@pytest.mark.parametrize(("minutes", "useful"), [(1, 60), (30, 300)])
def test_t048_a_client_is_told_how_long_a_break_glass_is_of_use(
    keys: KeyRing, audit: FakeAuditLog, minutes: int, useful: int
) -> None:
    """Until the declaration's end, and five minutes at most; the token itself lives five, so that its end is told."""
    services = emergency_services(keys, audit, FakeDeclarations(timedelta(minutes=minutes)))
    token = services.issue(_asked(a_break_glass()), _now())
    claims = _claims(token.value)
    assert (token.lifetime.total_seconds(), claims["exp"] - claims["iat"]) == (useful, 300)


def test_t047_an_attempt_is_recorded_with_who_and_for_whom(keys: KeyRing, audit: FakeAuditLog) -> None:
    """A client that may not, of a person with a name."""
    services = backend_services(keys, audit, a_client(purposes=("TREAT",)), declarations=FakeDeclarations())
    with pytest.raises(PurposeNotAllowed):
        services.issue(_asked(a_break_glass()), _now())
    (record,) = audit.records
    assert (record.kind, record.patient, record.who.subject_id) == ("token-refused", "p-1", NAMED["subject_id"])
    assert record.who.purposes == ("BTG",)


def test_where_nothing_can_be_declared_there_is_no_token(keys: KeyRing, audit: FakeAuditLog) -> None:
    """A gateway without a store of declarations opens no emergency."""
    services = backend_services(keys, audit, a_client(purposes=("BTG",)))
    with pytest.raises(BreakGlassRefused):
        services.issue(_asked(a_break_glass()), _now())


def test_a_statement_that_cannot_be_read_is_refused(services: BackendServices) -> None:
    """Nothing of it is guessed."""
    with pytest.raises(AccessRefused):
        services.issue(_asked(an_assertion(b2b={"subject_name": "a\nb"})), _now())


def test_a_replay_is_recorded_under_the_clients_name(services: BackendServices, audit: FakeAuditLog) -> None:
    """Its signature was proved, so the client should hear of it."""
    assertion = an_assertion()
    services.issue(_asked(assertion), _now())
    with pytest.raises(AssertionRefused):
        services.issue(_asked(assertion), _now())
    assert (audit.records[1].kind, audit.records[1].who.client_id) == ("token-refused", "ehr")


def test_a_refusal_stays_one_where_it_cannot_be_recorded(services: BackendServices, audit: FakeAuditLog) -> None:
    """Nothing is released by it."""
    audit.broken = True
    with pytest.raises(AssertionRefused):
        services.issue(_asked("a.b.c"), _now())


def test_strangers_cannot_fill_the_audit(services: BackendServices, audit: FakeAuditLog) -> None:
    """A minute's allowance is recorded, without a name; a client of ours still is beyond it."""
    for _ in range(STRANGERS_A_MINUTE + 20):
        with pytest.raises(AssertionRefused):
            services.issue(_asked("a.b.c"), _now())
    assert len(audit.records) <= 2 * STRANGERS_A_MINUTE  # a new minute may have begun
    assert {record.who.client_id for record in audit.records} == {None}
    recorded = len(audit.records)
    with pytest.raises(ScopeMissing):
        services.issue(_asked(scope="openid"), _now())
    assert len(audit.records) == recorded + 1


def test_a_database_that_fails_gives_no_token(keys: KeyRing, audit: FakeAuditLog) -> None:
    """Whether an assertion was used before can't be told, so it counts as used."""

    class Broken:
        def use(self, issuer: str, token_id: str, *, expires_at: datetime, now: datetime) -> bool:
            raise DependencyUnavailable("down")

    with pytest.raises(DependencyUnavailable):
        backend_services(keys, audit, used=Broken()).issue(_asked(), _now())
    assert audit.records == []
