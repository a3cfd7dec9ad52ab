"""Patients and those who act for them file consents with their own apps; others don't (T71–T73, contract §9)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from gateway.auth.delegation_store import Granted
from gateway.auth.people import Account, Role
from gateway.model import PatientID
from tests.factories_auth import an_access_token
from tests.factories_consent import a_resource
from tests.functional.app_exchange import AppExchange, serving_apps
from tests.functional.people_tokens import PATIENT_SCOPES, USER_SCOPES, delegate, register_apps, token_for


@dataclass
class Family:
    """Ann and Ben are in the index; Ann has an account, and Dee acts for Ben."""

    exchange: AppExchange
    ann: PatientID
    ben: PatientID
    dee: Account
    granted: Granted
    tokens: dict[str, str]

    def send(self, who: str, method: str, path: str, body: Any = None, **headers: str) -> TestResponse:
        """The answer under the FHIR base to a request with that person's token."""
        stated = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"Authorization": f"Bearer {self.tokens[who]}", "Content-Type": "application/fhir+json", **stated}
        data = None if body is None else json.dumps(body)
        return self.exchange.client.open(f"/fhir/r4{path}", method=method, data=data, headers=sent)

    def audit(self, reference: str) -> list[Any]:
        """What is on record of that Consent."""
        kept = self.exchange.audit("consent-create", "consent-update")
        return [one for one in kept if any(name.startswith(reference) for name in one.resources)]


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite_file: Path, keys_file: Path) -> Iterator[Family]:
    """One exchange, with a token for each person."""
    with serving_apps(tmp_path_factory.mktemp("family"), migrated_sqlite_file, keys_file) as exchange:
        register_apps(exchange)
        ann, ben = exchange.add_person("ann"), exchange.add_person("ben")
        exchange.add("ann", Role.PATIENT, patient=ann)
        dee = exchange.add("dee", Role.DELEGATE)
        granted = delegate(exchange, dee, ben)
        exchange.add("doc", Role.CLINICIAN, subject_id="npi|7")
        tokens = {
            "ann": token_for(exchange, "ann", PATIENT_SCOPES),
            "dee": token_for(exchange, "dee", PATIENT_SCOPES),
            "doc": token_for(exchange, "doc", USER_SCOPES),
            "ehr": an_access_token(exchange.house.keys, exchange.base, scope="system/Consent.cruds"),
        }
        yield Family(exchange, ann, ben, dee, granted, tokens)


def _consent(patient: str, performer: str, **changes: Any) -> dict[str, Any]:
    named = {"patient": {"reference": f"Patient/{patient}"}, "performer": [{"reference": performer}]}
    return a_resource(**{"id": None, **named, **changes})


def test_t071_a_patient_files_changes_and_ends_their_own_consent(family: Family) -> None:
    """201, 200, 200: it says that they decided, and each step is on record as theirs."""
    own = _consent(family.ann, f"Patient/{family.ann}")
    created = family.send("ann", "POST", "/Consent", own)
    assert created.status_code == 201, created.text
    path = f"/Consent/{created.json['id']}"
    changed = family.send("ann", "PUT", path, {**created.json, "dateTime": "2026-02-01"}, If_Match='W/"1"')
    assert changed.status_code == 200, changed.text
    ended = family.send("ann", "POST", f"{path}/$revokeConsent", {"resourceType": "Parameters"})
    assert ended.status_code == 200
    assert family.send("ann", "GET", path).json["status"] == "inactive"

    for one in family.audit(path[1:]):
        assert (one.who.subject, one.patient) == (f"Patient/{family.ann}", family.ann)


def test_t071_a_patient_does_nothing_to_anothers(family: Family) -> None:
    """Filing for another is 403; another's by id is 404 to read, change and end; and nothing is stored."""
    other = family.send("ehr", "POST", "/Consent", _consent(family.ben, f"Patient/{family.ben}")).json
    path = f"/Consent/{other['id']}"
    for patient in (family.ben, "nobody"):
        answer = family.send("ann", "POST", "/Consent", _consent(patient, f"Patient/{family.ann}"))
        assert answer.status_code in (403, 422)
    assert family.send("ann", "POST", "/Consent", _consent(family.ben, f"Patient/{family.ann}")).status_code == 403
    assert family.send("ann", "GET", path).status_code == 404
    assert family.send("ann", "PUT", path, other).status_code == 404
    assert family.send("ann", "POST", f"{path}/$revokeConsent", {"resourceType": "Parameters"}).status_code == 404
    assert family.send("ann", "GET", f"/Consent?patient={family.ben}").status_code == 403
    assert family.send("ehr", "GET", path).json["meta"]["versionId"] == "1"


def test_t071_nobody_files_in_anothers_name(family: Family) -> None:
    """What the patient files was decided by the patient; what the delegate files, by the delegate: 422 otherwise."""
    for performer in (
        f"Patient/{family.ben}",
        f"RelatedPerson/{family.dee.id}",
        "Practitioner/7",
        "urn:x|1",
        "Patient/",
    ):
        answer = family.send("ann", "POST", "/Consent", _consent(family.ann, performer))
        assert answer.status_code == 422, performer
        assert "Consent.performer" in answer.text
    own = _consent(family.ann, f"Patient/{family.ann}")
    both = [{"reference": f"Patient/{family.ann}"}, {"reference": "Practitioner/7"}]
    assert family.send("ann", "POST", "/Consent", {**own, "performer": both}).status_code == 422
    for performer in (f"Patient/{family.ben}", "RelatedPerson/another"):
        assert family.send("dee", "POST", "/Consent", _consent(family.ben, performer)).status_code == 422


def test_t072_a_clinician_files_nothing_whatever_the_scopes_say(family: Family) -> None:
    """403 to create, change and end, for a patient who is there and one who isn't; reading is another matter."""
    other = family.send("ehr", "POST", "/Consent", _consent(family.ann, f"Patient/{family.ann}")).json
    path = f"/Consent/{other['id']}"
    answers = [
        family.send("doc", "POST", "/Consent", _consent(family.ann, f"Patient/{family.ann}")),
        family.send("doc", "POST", "/Consent", _consent("nobody", "Practitioner/7")),
        family.send("doc", "POST", "/Consent/$fileConsent", _consent(family.ann, "Practitioner/7")),
        family.send("doc", "PUT", path, other),
        family.send("doc", "POST", f"{path}/$revokeConsent", {"resourceType": "Parameters"}),
        family.send("doc", "PUT", "/Consent/none", other),
    ]
    assert [answer.status_code for answer in answers] == [403] * len(answers)
    assert answers[0].data == answers[1].data == answers[2].data
    assert answers[3].data == answers[4].data == answers[5].data
    assert family.send("ehr", "GET", path).json["meta"]["versionId"] == "1"


def test_t073_a_delegate_files_in_their_own_name_on_the_patients_behalf(family: Family) -> None:
    """The Consent says that the delegate decided; the audit says who, for whom, and by which delegation."""
    performer = f"RelatedPerson/{family.dee.id}"
    created = family.send("dee", "POST", "/Consent", _consent(family.ben, performer))
    assert created.status_code == 201, created.text
    assert created.json["performer"] == [{"reference": performer}]
    path = f"/Consent/{created.json['id']}"
    ended = family.send("dee", "POST", f"{path}/$revokeConsent", {"resourceType": "Parameters"})
    assert ended.status_code == 200

    asked = [one for one in family.audit(path[1:]) if one.reason.endswith("asked for")]
    assert [one.kind for one in asked] == ["consent-create", "consent-update"]
    for one in asked:
        assert (one.who.subject, one.patient) == (family.dee.id, family.ben)
        assert one.who.purposes == ("FAMRQT",)
        assert ("delegation", family.granted.id) in one.details
    assert ("performer", performer) in asked[0].details
    assert family.send("dee", "POST", "/Consent", _consent(family.ann, performer)).status_code == 403
