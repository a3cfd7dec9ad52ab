"""What an assertion states of the person and the purpose behind it."""

from typing import Any

import pytest

from gateway.auth.b2b import Context, Statement, parse_statement
from gateway.errors import AccessRefused


def _claims(break_glass: Any = None, **b2b: Any) -> dict[str, Any]:
    extensions: dict[str, Any] = {"hl7-b2b": b2b}
    if break_glass is not None:
        extensions["break_glass"] = break_glass
    return {"extensions": extensions}


@pytest.mark.parametrize("claims", [{}, {"extensions": {}}, {"extensions": {"hl7-b2b": {}}}])
def test_nothing_stated_is_an_empty_statement(claims: dict[str, Any]) -> None:
    """A system may ask without anybody behind it."""
    assert parse_statement(claims) == Statement()


def test_the_clinician_is_read_in_any_script() -> None:
    """Names keep their letters, joiners included; blanks around them go, a blank name is none."""
    statement = parse_statement(
        _claims(subject_id=" npi|1 ", subject_name="Мария Иванова علی‌رضا", subject_role="  ", purpose_of_use=["TREAT"])
    )
    assert statement.subject.id == "npi|1"
    assert statement.subject.name == "Мария Иванова علی‌رضا"
    assert statement.subject.role is None
    assert statement.purposes == ("TREAT",)


@pytest.mark.parametrize(
    "value",
    ["a\r\nb", "\x1b[2J", "a\x00", "a\u2028b", "a\u202eb", "\ud800", "x" * 257, 7, ["x"], {"a": 1}, True],
)
def test_t086_a_name_that_a_log_or_page_would_stumble_over_is_refused(value: object) -> None:
    """Control characters, line separators, text turners, lone surrogates, excess and other types."""
    for name in ("subject_id", "subject_name", "subject_role"):
        with pytest.raises(AccessRefused):
            parse_statement(_claims(**{name: value}))


@pytest.mark.parametrize(
    "claims", [{"extensions": []}, {"extensions": {"hl7-b2b": "TREAT"}}, {"extensions": {"break_glass": "yes"}}]
)
def test_a_statement_of_another_shape_is_refused_and_not_skipped(claims: dict[str, Any]) -> None:
    """What can't be understood was meant to say something."""
    with pytest.raises(AccessRefused):
        parse_statement(claims)


def test_a_break_glass_names_one_patient_and_a_reason() -> None:
    """`Patient/{id}` and words."""
    statement = parse_statement(_claims({"patient": "Patient/a-1", "reason": "unconscious"}))
    assert statement.break_glass is not None
    assert statement.break_glass.patient == "a-1"
    assert statement.break_glass.reason == "unconscious"


@pytest.mark.parametrize(
    "declared",
    [
        {},
        {"patient": "Patient/1"},
        {"reason": "x"},
        {"patient": "1", "reason": "x"},
        {"patient": "Patient/*", "reason": "x"},
        {"patient": "Patient/1,Patient/2", "reason": "x"},
        {"patient": "Patient/1", "reason": " "},
        {"patient": "Patient/1", "reason": "x" * 1001},
    ],
)
def test_t047_a_break_glass_without_its_patient_or_reason_is_refused(declared: dict[str, str]) -> None:
    """Also one for many patients at once."""
    with pytest.raises(AccessRefused):
        parse_statement(_claims(declared))


POLICY = "https://trust.example/policies/treatment"
CONSENT = "https://ehr.example/fhir/r4/Consent/7"


def test_the_whole_b2b_object_is_understood() -> None:
    """Organisation, consent policies and consents, each once and as written."""
    stated = parse_statement(
        _claims(
            version="1",
            organization_id="https://north.example",
            organization_name="North Hospital",
            subject_id="urn:oid:2.16.840.1.113883.4.6#1234567890",
            purpose_of_use=["urn:oid:2.16.840.1.113883.5.8#TREAT"],
            consent_policy=[POLICY, POLICY],
            consent_reference=[CONSENT, "http://ehr.example/DocumentReference/a-1/_history/2"],
            something_newer={"x": 1},
        )
    )
    assert stated.purposes == ("TREAT",)
    assert stated.context == Context(
        organization_id="https://north.example",
        organization_name="North Hospital",
        consent_policies=(POLICY,),
        consent_references=(CONSENT, "http://ehr.example/DocumentReference/a-1/_history/2"),
    )
    assert ("stated_consent_reference", CONSENT) in stated.context.facts()


@pytest.mark.parametrize(
    ("named", "b2b"),
    [
        ("version", {"version": "2"}),
        ("version", {"version": 1}),
        ("version", {"version": None}),
        ("organization_id", {"organization_id": "North Hospital"}),
        ("organization_id", {"organization_id": ["urn:oid:2.999"]}),
        ("organization_name", {"organization_name": "North\nHospital"}),
        ("consent_policy", {"consent_policy": POLICY}),
        ("consent_policy", {"consent_policy": ["treatment"]}),
        ("consent_policy", {"consent_policy": [POLICY] * 5}),
        ("consent_policy", {"consent_policy": [POLICY + "x" * 256]}),
        ("consent_policy", {"consent_policy": [POLICY + "\n"]}),
        ("consent_reference", {"consent_reference": [CONSENT]}),
        ("consent_reference", {"consent_policy": [POLICY], "consent_reference": ["Consent/7"]}),
        ("consent_reference", {"consent_policy": [POLICY], "consent_reference": ["https://ehr.example/Patient/7"]}),
        ("consent_reference", {"consent_policy": [POLICY], "consent_reference": ["file:///etc/Consent/7"]}),
        ("consent_reference", {"consent_policy": [POLICY], "consent_reference": [{"reference": CONSENT}]}),
        ("consent_reference", {"consent_policy": [POLICY], "consent_reference": CONSENT}),
    ],
)
def test_a_b2b_claim_that_is_wrong_is_refused_by_name(named: str, b2b: dict[str, Any]) -> None:
    """And not skipped; its value is not repeated."""
    with pytest.raises(AccessRefused) as refused:
        parse_statement(_claims(**b2b))
    assert named in refused.value.reason
    assert "example" not in refused.value.reason
