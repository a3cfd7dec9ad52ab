"""What has to be left out of what is permitted: told in codes to whoever enforces consent elsewhere."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.factories_auth import an_access_token
from tests.factories_consent import a_coding, authored_by
from tests.functional.consent_community import patient_named
from tests.functional.consent_registry import SCOPE, Registry
from tests.services.exchange import domain_of

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
REDACT = {"system": ACT_CODE, "code": "REDACT"}


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    """A gateway with people: Anne hides HIV, Boris shows what is normal, Chloe hides one study."""
    made = Registry()
    hidden = {"type": "deny", "securityLabel": [a_coding("HIV", ACT_CODE)]}
    made.create("anne", {"type": "permit", "provision": [hidden]})
    made.create("boris", {"type": "permit", "securityLabel": [a_coding("N", CONFIDENTIALITY)]})
    one = {"type": "deny", "data": [{"meaning": "instance", "reference": {"reference": "urn:oid:1.2.3"}}]}
    made.create("chloe", {"type": "permit", "provision": [one]})
    yield made
    made.close()


def card_about(registry: Registry, name: str) -> dict[str, Any]:
    """The card about that person."""
    token = an_access_token(registry.keys, registry.base.removesuffix("/fhir/r4"), scope=SCOPE)
    context = {
        "patientId": [{"system": domain_of("north"), "value": name}],
        "actor": [{"value": "Organization/north"}],
        "purposeOfUse": "TREAT",
    }
    body = {"hook": "patient-consent-consult", "hookInstance": "1", "context": context}
    headers = {"Authorization": f"Bearer {token}"}
    (card,) = registry.client.post("/cds-services/patient-consent-consult", json=body, headers=headers).json["cards"]
    assert card["summary"] == "CONSENT_PERMIT"
    found: dict[str, Any] = card
    return found


def consulted(registry: Registry, name: str) -> list[dict[str, Any]]:
    """The obligations of the card about that person."""
    obligations: list[dict[str, Any]] = card_about(registry, name)["extension"]["obligations"]
    return obligations


def asked(registry: Registry, name: str, **claims: str) -> list[dict[str, Any]]:
    """The parameters of the answer to `$who-may-answer`."""
    body = {"resourceType": "Parameters", "parameter": [{"name": "patient", "valueReference": patient_named(name)}]}
    answer = registry.send("POST", "/Consent/$who-may-answer", body, **claims)
    assert answer.status_code == 200
    parameters: list[dict[str, Any]] = answer.json["parameter"]
    return parameters


def test_t069b_a_decision_says_by_codes_what_is_to_be_left_out(registry: Registry) -> None:
    """`codes` for what is hidden, `exceptAnyOfCodes` for what alone is shown, neither for a single study."""
    hiv = {"system": ACT_CODE, "code": "HIV"}
    assert consulted(registry, "anne") == [{"id": REDACT, "parameters": {"codes": [hiv]}}]
    up_to_normal = [{"system": CONFIDENTIALITY, "code": code} for code in ("U", "L", "M", "N")]
    assert consulted(registry, "boris") == [{"id": REDACT, "parameters": {"exceptAnyOfCodes": up_to_normal}}]
    assert consulted(registry, "chloe") == [{"id": REDACT}]


def test_who_may_answer_tells_obligations_to_whoever_may_read_the_consents(registry: Registry) -> None:
    """What a patient hides is told to nobody else: that HIV is named at all would say too much."""
    answers = asked(registry, "anne")
    told = [[(part["name"], part.get("valueCoding")) for part in one["part"][1:]] for one in answers if "part" in one]
    assert told == [[("code", REDACT), ("codes", {"system": ACT_CODE, "code": "HIV"})]] * 2
    facilities = [{"reference": f"Organization/{id_}"} for id_ in ("north", "south")]
    assert [one["part"][0]["valueReference"] for one in answers if "part" in one] == facilities
    assert [one["part"][1:] for one in asked(registry, "chloe") if "part" in one] == [
        [{"name": "code", "valueCoding": REDACT}]
    ] * 2
    for name in ("anne", "boris", "chloe"):
        kept_from = asked(registry, name, _scope="system/ImagingStudy.rs")
        assert [one["valueReference"]["reference"] for one in kept_from] == ["Organization/north", "Organization/south"]


def test_t052_a_barred_facility_is_in_no_card_and_in_no_answer(registry: Registry) -> None:
    """That something is left out is said, not of whom."""
    barred = {"type": "deny", "data": [authored_by("south")]}
    made = registry.create("boris", {"type": "permit", "provision": [barred]})
    try:
        card, answers = card_about(registry, "boris"), asked(registry, "boris")
    finally:
        registry.send("POST", f"/Consent/{made['id']}/$revokeConsent", {"resourceType": "Parameters"})
    assert {"id": REDACT} in card["extension"]["obligations"]
    assert "south" not in str(card).lower()
    assert "south" not in str(answers).lower()
    assert [one["valueReference"]["reference"] for one in answers if "valueReference" in one] == ["Organization/north"]
