"""Auditors and privacy officers look through the audit on its pages, and nobody else does (T91, T153)."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.auth.people import Role
from tests.factories_audit import a_record, a_who
from tests.functional.app_exchange import AppExchange, serving_apps
from tests.functional.people_app import Browser

HOME = "/admin/audit"
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def exchange(
    tmp_path_factory: pytest.TempPathFactory, migrated_sqlite_file: Path, keys_file: Path
) -> Iterator[AppExchange]:
    """Somebody was asked for sixty times; every kind of staff has an account."""
    folder = tmp_path_factory.mktemp("audit-pages")
    with serving_apps(folder, migrated_sqlite_file, keys_file, {}) as one:
        person = one.add_person("ann")
        who = a_who(subject_name=HOSTILE)
        one.house.rooms.audit.record(
            [a_record(patient=person, who=who, recorded=one.clock() - timedelta(minutes=n)) for n in range(60)]
        )
        for role in (Role.AUDITOR, Role.PRIVACY_OFFICER, Role.HIE_ADMINISTRATOR, Role.FACILITY_ADMINISTRATOR):
            one.add(f"staff-{role}", role, totp=True)
        one.add("ann", Role.PATIENT, patient=person)
        yield one


@pytest.fixture(scope="module")
def auditor(exchange: AppExchange) -> Browser:
    """Who has signed in as an auditor."""
    browser = exchange.browser()
    browser.sign_in_with_code("staff-auditor")
    return browser


def test_t091_auditors_and_privacy_officers_come_in_and_nobody_else(exchange: AppExchange, auditor: Browser) -> None:
    """An HIE administrator is no auditor (T153), nor is a patient; who has not signed in is led to do so."""
    officer = exchange.browser()
    officer.sign_in_with_code("staff-privacy-officer")
    assert (auditor.get(HOME).status_code, officer.get(HOME).status_code) == (200, 200)
    for role in (Role.HIE_ADMINISTRATOR, Role.FACILITY_ADMINISTRATOR):
        other = exchange.browser()
        other.sign_in_with_code(f"staff-{role}")
        assert other.get(HOME).status_code == 403
        assert other.get(f"{HOME}/x-1").status_code == 403
    patient = exchange.browser()
    patient.sign_in("ann")
    assert patient.get(HOME).status_code == 403
    assert exchange.browser().get(HOME).status_code == 303
    for method in ("PUT", "DELETE", "PATCH"):
        assert auditor.client.open(HOME, method=method).status_code == 405


def test_events_are_listed_page_after_page_and_shown_one_by_one(auditor: Browser) -> None:
    """The last first; each leads to all that it says."""
    page = auditor.get(HOME).text
    ids = re.findall(rf'href="{HOME}/([0-9a-f-]+-\d+)"', page)
    assert len(ids) == 50
    more = re.search(rf'href="({HOME}\?_cursor=[^"]+)"', page)
    assert more
    further = re.findall(rf'href="{HOME}/([0-9a-f-]+-\d+)"', auditor.get(more[1]).text)
    assert further
    assert not set(further) & set(ids)

    event = auditor.get(f"{HOME}/{further[-1]}").text
    assert "agent[0].who" in event
    assert auditor.get(f"{HOME}/nobody-1").status_code == 404


def test_t120_what_a_caller_is_called_is_text(auditor: Browser) -> None:
    """Nothing of it runs."""
    page = auditor.get(HOME).text

    assert HOSTILE not in page
    assert "&lt;img" in page


def test_a_patient_is_looked_for_in_a_form_and_not_in_the_address(exchange: AppExchange, auditor: Browser) -> None:
    """By id and by choice; the link to the next page shows nothing of it; a form of another page does nothing."""
    person = exchange.audit("imaging-search")[0].patient or ""
    found = auditor.submit(HOME, patient=person, what="denied")
    assert found.status_code == 200
    assert found.text.count("denied</td>") == 50
    more = re.search(rf'href="({HOME}\?_cursor=[^"]+)"', found.text)
    assert more
    assert person not in more[1]
    assert auditor.get(more[1]).text.count("denied</td>") == 10
    assert "There are none" in auditor.submit(HOME, patient="somebody-else", what="").text
    assert auditor.submit(HOME, what="made up").status_code == 400
    assert auditor.client.post(HOME, data={"patient": person, "what": ""}).status_code == 403
    assert auditor.client.get(f"{HOME}?patient={person}").status_code == 200


def test_an_accounting_is_made_for_a_patient(exchange: AppExchange, auditor: Browser) -> None:
    """As PDF, CSV and JSON; for nobody 404."""
    person = exchange.audit("imaging-search")[0].patient or ""
    for form, begins in (("pdf", b"%PDF-"), ("csv", b'"when'), ("json", b"{")):
        made = auditor.submit(HOME, f"{HOME}/accounting", patient=f"Patient/{person}", kind="hipaa", form=form)
        assert made.status_code == 200
        assert made.data.startswith(begins)
    assert len(made.get_json()["disclosures"]) == 60
    assert auditor.submit(HOME, f"{HOME}/accounting", patient="nobody", form="pdf").status_code == 404
    assert auditor.submit(HOME, f"{HOME}/accounting", patient="", form="pdf").status_code == 400


def test_that_an_auditor_looked_is_in_the_audit_by_name(exchange: AppExchange, auditor: Browser) -> None:
    """Whom they looked for too; the form's token is not."""
    person = exchange.audit("imaging-search")[0].patient or ""
    auditor.submit(HOME, patient=person, what="disclosed")

    last = exchange.audit("audit-search")[-1]
    assert (last.patient, last.who.subject_name, last.who.subject_role) == (
        person,
        "Staff-Auditor Somebody",
        "auditor",
    )
    assert "what=disclosed" in last.request
    assert "csrf_token" not in last.request
