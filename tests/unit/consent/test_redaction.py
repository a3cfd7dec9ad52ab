"""Obligations in labels: what an enforcement point elsewhere has to leave out."""

import pytest

from gateway.consent.labels import SCALE, SENSITIVITIES
from gateway.consent.policy import DataPeriod, Provision
from gateway.consent.redaction import Redaction, redaction_of
from gateway.model import ImplicitPolicy
from tests.factories_consent import NORTH, NOW, SOUTH, a_consent, a_policy, a_requester, a_rule

UP_TO_N, UP_TO_R = frozenset(SCALE[:4]), frozenset(SCALE[:5])
PSYCHIATRIC = frozenset(("PSY", "PSYTHPN"))
NOT_HIV = a_rule("deny", labels=("HIV",))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (a_rule(), Redaction()),
        (a_rule(nested=(a_rule("deny", labels=("PSY",)),)), Redaction(PSYCHIATRIC)),
        (a_rule(labels=("N",)), Redaction(frozenset(), UP_TO_N)),
        (a_rule(labels=("R",), nested=(NOT_HIV,)), Redaction(frozenset(("HIV",)), UP_TO_R)),
        (a_rule(labels=("PSY",)), Redaction(SENSITIVITIES - PSYCHIATRIC, PSYCHIATRIC)),
        (a_rule(labels=("N", "PSY")), Redaction(SENSITIVITIES - PSYCHIATRIC, UP_TO_N | PSYCHIATRIC)),
        (a_rule(studies=("1.2.3",)), Redaction(more=True)),
        (a_rule(nested=(a_rule("deny", studies=("1.2.3",), labels=("HIV",)),)), Redaction(more=True)),
        (a_rule(nested=(a_rule("deny", data_period=DataPeriod(end=NOW)),)), Redaction(more=True)),
        (a_rule(authored_by=(SOUTH,)), Redaction(frozenset(), frozenset())),
    ],
)
def test_what_is_withheld_is_said_in_labels(rule: Provision, expected: Redaction) -> None:
    """`codes` for what is denied, `exceptAnyOfCodes` for what alone is permitted; what labels can't tell is `more`."""
    assert redaction_of(a_policy(a_consent(rule)), a_requester(), NORTH, NOW) == expected


@pytest.mark.parametrize(
    ("implicit", "expected"),
    [("basic-normal", Redaction(frozenset(), UP_TO_N)), ("deny", Redaction(frozenset(), frozenset()))],
)
def test_an_implicit_policy_releases_what_is_normal(implicit: ImplicitPolicy, expected: Redaction) -> None:
    """Nothing is on file."""
    assert redaction_of(a_policy(implicit=implicit), a_requester(), NORTH, NOW) == expected


def test_the_patients_own_access_leaves_nothing_out() -> None:
    """It is a right, whatever is on file."""
    own = a_requester(patient="p1", subject="Patient/p1")
    assert redaction_of(a_policy(a_consent(a_rule("deny"))), own, NORTH, NOW) == Redaction()


def test_of_two_facilities_what_is_withheld_by_either_is_left_out() -> None:
    """Where it can't be told which data is whose."""
    one, other = Redaction(frozenset(("HIV",)), frozenset(("N", "R"))), Redaction(PSYCHIATRIC, frozenset(("N",)), True)
    assert one | other == Redaction(PSYCHIATRIC | {"HIV"}, frozenset(("N",)), True)
    assert one | Redaction() == one
