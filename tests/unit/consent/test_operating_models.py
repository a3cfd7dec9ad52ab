"""The tables of `docs/how-to/operating-models`, row by row: what each model promises of each kind of study."""

from collections.abc import Iterable

import pytest

from gateway.consent.decide import decide_data
from gateway.consent.labels import Labels
from gateway.consent.policy import ConsentVersion, Provision
from gateway.consent.reach import Data
from gateway.model import ImplicitPolicy, PatientID
from tests.factories_consent import NORTH, NOW, SOUTH, a_consent, a_policy, a_requester, a_rule

NORMAL, RESTRICTED = Labels(), Labels("R", frozenset(("PSY",)))
PART2 = Labels("R", frozenset(("SUD",)), part2=True)
PURPOSES = ("TREAT", "ETREAT", "HPAYMT", "HRESCH", "HMARKT", "BTG")
YES = a_rule(purposes=("TREAT",))
NO = a_rule("deny")
YES_WITH_BREAK_GLASS = a_rule(purposes=("TREAT",), nested=(a_rule(purposes=("BTG",)),))

Shown = set[tuple[str, str]]


def shown(policy: ImplicitPolicy, *said: Provision) -> Shown:
    """Each purpose for which a study is shown, by the kind of study."""
    consents: Iterable[ConsentVersion] = (a_consent(rule, id=f"c{n}") for n, rule in enumerate(said))
    on_file = a_policy(*consents, implicit=policy)
    kinds = {"normal": NORMAL, "restricted": RESTRICTED, "part2": PART2}
    data = [Data(NORTH, labels, frozenset(("1.2.3",))) for labels in kinds.values()]
    return {
        (purpose, kind)
        for purpose in PURPOSES
        for kind, one in zip(kinds, decide_data(on_file, a_requester(purposes=(purpose,)), data, NOW), strict=True)
        if one.permitted
    }


def each(purposes: Iterable[str], *kinds: str) -> Shown:
    """These purposes for these kinds."""
    return {(purpose, kind) for purpose in purposes for kind in kinds}


TREATMENT = ("TREAT", "ETREAT")


@pytest.mark.parametrize(
    ("policy", "without", "yes", "yes_with_break_glass"),
    [
        (
            "basic-normal",
            each(TREATMENT, "normal"),
            each(TREATMENT, "normal", "restricted"),
            each((*TREATMENT, "BTG"), "normal", "restricted") | {("BTG", "part2")},
        ),
        (
            "deny",
            set(),
            each(TREATMENT, "normal", "restricted"),
            each((*TREATMENT, "BTG"), "normal", "restricted") | {("BTG", "part2")},
        ),
        (
            "break-glass-only",
            each(("BTG",), "normal", "restricted", "part2"),
            each(TREATMENT, "normal", "restricted"),
            each((*TREATMENT, "BTG"), "normal", "restricted") | {("BTG", "part2")},
        ),
    ],
    ids=["opt-out", "opt-in", "opt-in with break-glass"],
)
def test_a_model_shows_each_kind_of_study_as_its_page_says(
    policy: ImplicitPolicy, without: Shown, yes: Shown, yes_with_break_glass: Shown
) -> None:
    """Without a Consent, after a yes to treatment, after one that names break-glass, and after a no to everything."""
    assert shown(policy) == without
    assert shown(policy, YES) == yes
    assert shown(policy, YES_WITH_BREAK_GLASS) == yes_with_break_glass
    assert shown(policy, NO) == shown(policy, NO, YES_WITH_BREAK_GLASS) == set()


def test_opt_out_from_one_thing_leaves_the_rest() -> None:
    """One facility, one recipient, one purpose, one kind of data."""
    for rule in (
        a_rule("deny", authored_by=(SOUTH,)),
        a_rule("deny", actors=("Organization/elsewhere",)),
        a_rule("deny", purposes=("HMARKT",)),
        a_rule("deny", labels=("ETH",)),
    ):
        assert shown("basic-normal", rule) == shown("basic-normal")
    assert shown("basic-normal", a_rule("deny", authored_by=(NORTH,))) == set()
    assert shown("basic-normal", a_rule("deny", purposes=("ETREAT",))) == {("TREAT", "normal")}


def test_facility_by_facility_shows_the_copy_of_the_permitted_one_alone() -> None:
    """Of a study that both hold."""
    on_file = a_policy(a_consent(a_rule(purposes=("TREAT",), authored_by=(NORTH,))), implicit="deny")
    both = [Data(facility, NORMAL, frozenset(("1.2.3",))) for facility in (NORTH, SOUTH)]
    assert [one.permitted for one in decide_data(on_file, a_requester(), both, NOW)] == [True, False]


@pytest.mark.parametrize("policy", ["basic-normal", "deny", "break-glass-only"])
def test_in_every_model_a_persons_own_access_is_a_right(policy: ImplicitPolicy) -> None:
    """Whatever is on file."""
    person = PatientID("p1")
    own = a_requester(patient=person, subject=f"Patient/{person}", purposes=("PATRQT",))
    on_file = a_policy(a_consent(NO), implicit=policy)
    data = [Data(NORTH, labels, frozenset(("1.2.3",))) for labels in (NORMAL, RESTRICTED, PART2)]
    assert all(one.permitted for one in decide_data(on_file, own, data, NOW))
