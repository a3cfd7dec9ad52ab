"""When a break-glass stands (T47–T49)."""

from datetime import timedelta

import pytest

from gateway.auth.b2b import Subject
from gateway.auth.break_glass import NO_DECLARATIONS, require_standing
from gateway.auth.purpose_of_use import BreakGlass
from gateway.errors import BreakGlassEnded, BreakGlassRefused
from gateway.model import ClientID, PatientID, Requester
from tests.factories_auth import FakeDeclarations, a_client, a_requester
from tests.factories_consent import NOW

DOCTOR = Subject(id="npi|7", role="doctor")


@pytest.fixture
def declarations() -> FakeDeclarations:
    """One, of half an hour."""
    made = FakeDeclarations(timedelta(minutes=30))
    made.declare(a_client(), DOCTOR, BreakGlass(patient=PatientID("p-1"), reason="unconscious"), NOW)
    return made


def asking(**changes: object) -> Requester:
    """Who declared it."""
    stated = {"purposes": ("BTG",), "subject_id": "npi|7", "patient": "p-1", "declaration": "declaration-1"}
    return a_requester(**{**stated, **changes})


def test_it_stands_until_its_end(declarations: FakeDeclarations) -> None:
    """To the microsecond; then it has to be declared anew."""
    require_standing(declarations, asking(), NOW)
    require_standing(declarations, asking(), NOW + timedelta(minutes=30) - timedelta(microseconds=1))
    with pytest.raises(BreakGlassEnded):
        require_standing(declarations, asking(), NOW + timedelta(minutes=30))


@pytest.mark.parametrize(
    "changes",
    [
        {"declaration": None},
        {"declaration": "declaration-2"},
        {"client_id": ClientID("other")},
        {"subject_id": "npi|8"},
        {"subject_id": None},
        {"patient": "p-2"},
        {"patient": None},
    ],
)
def test_t047_it_is_its_declarers_alone(declarations: FakeDeclarations, changes: dict[str, object]) -> None:
    """Of this client, this person and this patient; a token without a declaration has none."""
    with pytest.raises(BreakGlassRefused):
        require_standing(declarations, asking(**changes), NOW)


def test_other_purposes_need_none() -> None:
    """And nothing is looked up for them."""
    require_standing(NO_DECLARATIONS, a_requester(), NOW)
    with pytest.raises(BreakGlassRefused):
        require_standing(NO_DECLARATIONS, asking(), NOW)
