"""For which purposes a client may ask."""

import pytest

from gateway.auth.purpose_of_use import (
    BreakGlass,
    decide_purposes,
    parse_purposes,
    problems_of,
    require_complete_break_glass,
)
from gateway.errors import PurposeNotAllowed
from gateway.model import PatientID

DECLARED = BreakGlass(patient=PatientID("p1"), reason="unconscious")


@pytest.mark.parametrize(
    ("stated", "codes"),
    [
        (None, ()),
        ([], ()),
        ("TREAT", ("TREAT",)),
        (["urn:oid:2.16.840.1.113883.5.8#TREAT"], ("TREAT",)),
        (["http://terminology.hl7.org/CodeSystem/v3-ActReason#HPAYMT", "TREAT"], ("HPAYMT", "TREAT")),
        (["TREAT", "TREAT"], ("TREAT",)),
    ],
)
def test_a_purpose_is_a_code_or_its_urn(stated: object, codes: tuple[str, ...]) -> None:
    """Every way the contract names gives the same codes, each once."""
    assert parse_purposes(stated) == codes


@pytest.mark.parametrize("stated", [["FUN"], [1], [None], {"TREAT": 1}, 7, ["treat"], ["TREAT", "FUN"], ["TREAT"] * 9])
def test_what_is_not_a_known_purpose_is_refused_whole(stated: object) -> None:
    """One unknown code refuses the others too, so nothing is ever asked for a purpose nobody stated."""
    with pytest.raises(PurposeNotAllowed):
        parse_purposes(stated)


def test_the_only_registered_purpose_may_be_left_out() -> None:
    """A client registered for exactly one purpose means that one."""
    assert decide_purposes((), ["TREAT"]) == ("TREAT",)


@pytest.mark.parametrize("registered", [["TREAT", "HPAYMT"], []])
def test_a_purpose_that_could_be_several_must_be_stated(registered: list[str]) -> None:
    """Nothing is guessed."""
    with pytest.raises(PurposeNotAllowed):
        decide_purposes((), registered)


def test_t062_one_purpose_that_is_not_registered_refuses_all() -> None:
    """HMARKT beside TREAT is refused, and TREAT with it."""
    assert decide_purposes(("TREAT", "HPAYMT"), ["TREAT", "HPAYMT"]) == ("TREAT", "HPAYMT")
    with pytest.raises(PurposeNotAllowed):
        decide_purposes(("TREAT", "HMARKT"), ["TREAT"])


@pytest.mark.parametrize("below", ["ETREAT", "BTG", "COC"])
def test_to_be_registered_for_treatment_is_not_to_be_registered_for_what_lies_below(below: str) -> None:
    """The tree of purposes is consent's; a registration is exact."""
    with pytest.raises(PurposeNotAllowed):
        decide_purposes((below,), ["TREAT"])


def test_a_break_glass_is_never_assumed_and_never_mixed() -> None:
    """Not when it is the only one registered, not beside another."""
    with pytest.raises(PurposeNotAllowed):
        decide_purposes((), ["BTG"])
    with pytest.raises(PurposeNotAllowed):
        decide_purposes(("BTG", "TREAT"), ["BTG", "TREAT"])
    assert decide_purposes(("BTG",), ["BTG", "TREAT"]) == ("BTG",)


@pytest.mark.parametrize(
    ("subject_id", "subject_role", "declared"),
    [(None, "doctor", DECLARED), ("dr-1", None, DECLARED), ("dr-1", "doctor", None)],
)
def test_t047_a_break_glass_names_everything_or_is_refused(
    subject_id: str | None, subject_role: str | None, declared: BreakGlass | None
) -> None:
    """Without a person, a role or a declaration there is none."""
    with pytest.raises(PurposeNotAllowed):
        require_complete_break_glass(("BTG",), subject_id=subject_id, subject_role=subject_role, declared=declared)


def test_t047_a_role_without_the_right_breaks_no_glass() -> None:
    """Where the operator names roles; every role that is stated has the right where none are named."""
    stated = {"subject_id": "dr-1", "declared": DECLARED}
    require_complete_break_glass(("BTG",), subject_role="doctor", roles={"doctor", "nurse"}, **stated)
    with pytest.raises(PurposeNotAllowed):
        require_complete_break_glass(("BTG",), subject_role="clerk", roles={"doctor", "nurse"}, **stated)
    require_complete_break_glass(("TREAT",), subject_id=None, subject_role="clerk", declared=None, roles={"doctor"})


def test_a_complete_break_glass_stands_and_one_without_its_purpose_does_not() -> None:
    """A declaration under TREAT would be a break-glass by another name."""
    require_complete_break_glass(("BTG",), subject_id="dr-1", subject_role="doctor", declared=DECLARED)
    require_complete_break_glass(("TREAT",), subject_id=None, subject_role=None, declared=None)
    with pytest.raises(PurposeNotAllowed):
        require_complete_break_glass(("TREAT",), subject_id="dr-1", subject_role="doctor", declared=DECLARED)


def test_purposes_to_register_are_checked_all_at_once() -> None:
    """Only exact codes are registered."""
    assert problems_of(["TREAT", "HPAYMT"]) == []
    assert len(problems_of(["FUN", "treat", "TREAT"])) == 2
    assert problems_of([]) == ["at least one purpose of use is needed"]
