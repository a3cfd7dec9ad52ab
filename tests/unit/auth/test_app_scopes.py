"""Which scopes an app may have, as whom somebody may use it, and where it may be answered: pure decisions."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.auth import app_scopes
from gateway.auth.app_redirects import is_registered, problems_of_redirect_uris
from gateway.auth.capacities import choices
from gateway.auth.clients import Client
from gateway.auth.people import Account, Delegation, Role
from gateway.model import PatientID
from tests.factories_auth import a_client

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
ALL = (
    *("launch/patient", "openid", "fhirUser", "offline_access", "patient/ImagingStudy.rs"),
    *("patient/Consent.cruds", "user/ImagingStudy.rs"),
)


def an_app(**changes: Any) -> Client:
    """An app for everybody."""
    known: dict[str, Any] = {"kind": "app", "jwks": None, "scopes": ALL, "purposes": ("TREAT",)}
    return a_client(**(known | changes))


def an_account(*roles: Role, **changes: Any) -> Account:
    """An account of these roles."""
    return Account(id="a-1", login="x", name="X", roles=frozenset(roles), **changes)


def a_delegation(**changes: Any) -> Delegation:
    """The right to act for a child."""
    known: dict[str, Any] = {"id": "d-1", "patient": PatientID("child"), "purpose": "FAMRQT"}
    return Delegation(**(known | {"until": NOW + timedelta(days=1)} | changes))


def test_an_app_has_scopes_for_people_alone() -> None:
    """`system/` is refused by name; so is what is no scope; a resource scope is needed."""
    assert app_scopes.problems_of_app(ALL) == []
    (told,) = app_scopes.problems_of_app((*ALL, "system/ImagingStudy.rs"))
    assert "system" in told
    assert len(app_scopes.problems_of_app(("nonsense", "launch", "patient/x"))) == 4
    assert app_scopes.problems_of_app(("openid",)) != []


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ("patient/ImagingStudy.rs openid", ("patient/ImagingStudy.rs", "openid")),
        ("patient/ImagingStudy.r", ("patient/ImagingStudy.r",)),
        ("patient/*.rs", ("patient/ImagingStudy.rs", "patient/Consent.rs")),
        ("patient/ImagingStudy.read", ("patient/ImagingStudy.read",)),
        ("patient/Observation.rs", ()),
        ("system/ImagingStudy.rs", ()),
        ("launch profile online_access", ()),
        ("openid openid  openid", ("openid",)),
        ("", ()),
        ("x " * 5000, ()),
    ],
)
def test_what_is_wanted_is_what_is_registered(asked: str, granted: tuple[str, ...]) -> None:
    """Never wider than either says; the words a person asked in are kept."""
    assert app_scopes.wanted(asked, an_app()) == granted


def test_a_refresh_names_what_was_granted_or_nothing() -> None:
    """RFC 6749 §6."""
    granted = ("patient/ImagingStudy.rs", "openid")
    assert app_scopes.narrowed(None, granted) == granted
    assert app_scopes.narrowed("openid", granted) == ("openid",)
    assert app_scopes.narrowed("openid patient/Patient.rs", granted) == ()
    assert app_scopes.narrowed("", granted) == ()
    assert app_scopes.narrowed("openid " * 1000, granted) == ()


CT = "modality=http://dicom.nema.org/resources/ontology/DCM|CT"


@pytest.mark.parametrize(
    "asked",
    [
        "patient/ImagingStudy.s",
        "patient/ImagingStudy.read",
        f"patient/ImagingStudy.rs?{CT}",
        f"patient/ImagingStudy.r?{CT}&started=ge2020 openid",
        "patient/Consent.r patient/ImagingStudy.r",
        f"patient/Patient.r patient/DiagnosticReport.s patient/ImagingStudy.r?{CT}",
    ],
)
def test_a_refresh_may_ask_for_less_than_was_granted(asked: str) -> None:
    """Fewer letters, the older words, some studies only: what is covered is given as it was asked for."""
    granted = ("patient/ImagingStudy.rs", "openid", "patient/*.r", "patient/DiagnosticReport.s")
    assert app_scopes.narrowed(asked, granted) == tuple(asked.split())


@pytest.mark.parametrize(
    "asked",
    [
        "patient/ImagingStudy.cruds",
        "patient/ImagingStudy.*",
        "patient/*.rs",
        "user/ImagingStudy.rs",
        "system/ImagingStudy.rs",
        "patient/ImagingStudy.s patient/Patient.s",
        "patient/ImagingStudy.rs?nonsense=1",
        "patient/Consent.rs",
        "patient/Consent.r",
        "patient/Consent.s?status=active",
        "offline_access",
        "patient/ImagingStudy",
    ],
)
def test_t035_a_refresh_that_asks_for_more_gets_nothing(asked: str) -> None:
    """Further by a letter, a type, a context, or all studies where some were granted."""
    assert app_scopes.narrowed(asked, ("patient/ImagingStudy.rs", f"patient/Consent.s?{CT}", "openid")) == ()
    assert app_scopes.narrowed("patient/ImagingStudy.rs", (f"patient/ImagingStudy.rs?{CT}",)) == ()
    assert app_scopes.narrowed("patient/ImagingStudy.r?modality=MR", (f"patient/ImagingStudy.rs?{CT}",)) == ()


def test_a_patient_acts_for_themself_with_patient_scopes() -> None:
    """Their purpose is PATRQT; `user/` is never theirs."""
    (own,) = choices(an_account(Role.PATIENT, patient=PatientID("p")), (), an_app(), ALL)
    assert (own.capacity, own.patient, own.purposes) == ("patient", "p", ("PATRQT",))
    assert "user/ImagingStudy.rs" not in own.scopes
    assert "launch/patient" in own.scopes


def test_a_delegate_acts_for_each_of_those_whose_delegation_stands() -> None:
    """With the delegation's purpose, no longer than it."""
    account = an_account(Role.DELEGATE)
    one, other = choices(account, (a_delegation(), a_delegation(id="d-2", purpose="PWATRNY")), an_app(), ALL)
    assert (one.capacity, one.patient, one.delegation, one.purposes) == ("delegate", "child", "d-1", ("FAMRQT",))
    assert one.ends == NOW + timedelta(days=1)
    assert other.purposes == ("PWATRNY",)
    assert choices(an_account(Role.PATIENT), (a_delegation(),), an_app(), ALL) == []


@pytest.mark.parametrize(
    ("purposes", "used_for"),
    [(("TREAT",), "TREAT"), (("HOPERAT", "TREAT"), "TREAT"), (("HOPERAT",), "HOPERAT"), (("BTG",), None), ((), None)],
)
def test_a_clinician_acts_for_their_patients_for_a_registered_purpose(
    purposes: tuple[str, ...], used_for: str | None
) -> None:
    """Never for a break-glass, which is declared; `patient/` and `launch/patient` don't count."""
    account = an_account(Role.CLINICIAN, subject_id="urn:x:1", subject_role="physician")
    found = choices(account, (), an_app(purposes=purposes), ALL)
    assert [one.purposes for one in found] == ([(used_for,)] if used_for else [])
    for one in found:
        assert one.patient is None
        assert set(one.scopes) == {"user/ImagingStudy.rs", "openid", "fhirUser", "offline_access"}
        assert (one.person.id, one.person.role) == ("urn:x:1", "physician")


@pytest.mark.parametrize(
    "role", [Role.AUDITOR, Role.PRIVACY_OFFICER, Role.HIE_ADMINISTRATOR, Role.FACILITY_ADMINISTRATOR]
)
def test_staff_open_nothing_by_an_app(role: Role) -> None:
    """Whatever it asks for."""
    assert choices(an_account(role, patient=PatientID("p")), (a_delegation(),), an_app(), ALL) == []


@pytest.mark.parametrize(
    "address",
    [
        "https://app.example/callback",
        "https://app.example",
        "https://app.example:8443/a/b?tenant=1",
        "http://127.0.0.1:9000/callback",
        "http://[::1]:9000/",
        "http://localhost:9000/callback",
    ],
)
def test_an_app_may_be_answered_by_https_or_on_the_persons_own_machine(address: str) -> None:
    """Registered as it is, compared as it is."""
    assert problems_of_redirect_uris([address]) == []
    assert is_registered(address, (address,))
    assert not is_registered(address + "/", (address,))


@pytest.mark.parametrize(
    "address",
    [
        "http://app.example/callback",
        "https://app.example/callback#part",
        "https://app.example/callback#",
        "https://user@app.example/",
        "https://*.app.example/",
        "https://app.example/../callback",
        "https://app.example/\\evil",
        "https://app.example/a b",
        "https://äpp.example/",
        "myapp://callback",
        "javascript:alert(1)",
        "//app.example",
        "/callback",
        "",
        "https://" + "a" * 3000,
    ],
)
def test_an_address_that_might_lead_elsewhere_is_not_registered(address: str) -> None:
    """Each is told with what is wrong."""
    assert len(problems_of_redirect_uris([address])) == 1


def test_an_app_needs_an_address() -> None:
    """Otherwise nobody could be answered."""
    assert problems_of_redirect_uris([]) == ["an app needs at least one"]
