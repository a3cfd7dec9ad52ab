"""Who may file a Consent, and in whose name: the rule alone."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.errors import AccessRefused, LoadRefused
from gateway.fhir.consent_authority import on_whose_behalf, require_authority, require_own_name
from gateway.model import ClientID, Identifier, PatientID, PatientIdentity, PatientRef, Requester

BASE = "https://gw.example/fhir/r4"


class Index:
    """Ann is `p1`, and was `p0`; a hospital knows her by `urn:x|1`."""

    def resolve(self, ref: PatientRef) -> PatientIdentity | None:
        """Ann, by each of her names."""
        known = ref.id in ("p0", "p1") or ref.identifier == Identifier("urn:x", "1")
        return PatientIdentity(id=PatientID("p1"), records=()) if known else None

    def find_carriers(self, ref: PatientRef) -> Any:
        """Nobody shares an identifier."""
        return ()


def _requester(**changes: Any) -> Requester:
    known: dict[str, Any] = {
        "client_id": ClientID("app"),
        "client_name": "An app",
        "organization": "x",
        "scopes": ("patient/Consent.cruds",),
        "purposes": ("PATRQT",),
        "issuer": "https://gw.example",
        "subject": "Patient/p1",
        "token_id": "t",
        "expires_at": datetime(2030, 1, 1, tzinfo=UTC),
        "account": "a1",
        "patient": PatientID("p1"),
    }
    return Requester(**(known | changes))


def test_t072_of_people_the_patient_and_the_delegate_may() -> None:
    """A system may, as it is registered; a clinician may not, whatever the scopes."""
    require_authority(_requester())
    require_authority(_requester(delegation="d1"))
    require_authority(_requester(account=None, patient=None, subject="app"))
    with pytest.raises(AccessRefused):
        require_authority(_requester(patient=None, subject="a1", scopes=("user/Consent.cruds",)))


@pytest.mark.parametrize("name", ["Patient/p1", "Patient/p0", f"{BASE}/Patient/p1", "urn:x|1"])
def test_t071_the_patient_by_each_of_their_names(name: str) -> None:
    """An id of today or of before a merge, an absolute reference, a hospital's number."""
    require_own_name(_requester(), [name], BASE, Index())


@pytest.mark.parametrize(
    "name", ["Patient/p2", "Patient/", "https://evil.example/Patient/p1", "urn:x|2", "RelatedPerson/a1", "Patient", ""]
)
def test_t071_nobody_else_is_said_to_have_decided(name: str) -> None:
    """Another patient, another server's, a relative: refused, also beside the right one."""
    with pytest.raises(LoadRefused, match=r"Consent\.performer"):
        require_own_name(_requester(), ["Patient/p1", name], BASE, Index())


def test_t073_a_delegate_decides_in_their_own_name() -> None:
    """As the `fhirUser` of their token has it; never in the patient's. The audit names the delegation."""
    dee = _requester(subject="a1", delegation="d1")
    require_own_name(dee, [f"{BASE}/RelatedPerson/a1"], BASE, Index())
    for name in ("Patient/p1", "RelatedPerson/a2", "urn:x|1"):
        with pytest.raises(LoadRefused):
            require_own_name(dee, [name], BASE, Index())
    assert on_whose_behalf(dee, ["RelatedPerson/a1"]) == (("performer", "RelatedPerson/a1"), ("delegation", "d1"))


def test_a_system_says_on_whose_behalf_it_files() -> None:
    """Its word is taken, and is in the audit."""
    system = _requester(account=None, patient=None, subject="app")
    require_own_name(system, ["Practitioner/7"], BASE, Index())
    assert on_whose_behalf(system, ["Practitioner/7"]) == (("performer", "Practitioner/7"),)
