"""Whoever heeds the obligations that a consent decision comes with shows no more than the gateway itself would."""

from dataclasses import replace
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from gateway.consent.decide import decide_data
from gateway.consent.labels import NORMAL, SCALE, Labels
from gateway.consent.policy import PatientPolicy, Provision
from gateway.consent.reach import Data
from gateway.consent.redaction import Redaction, redaction_of
from gateway.model import FacilityID, Requester
from tests.factories_consent import NOW
from tests.properties.test_consent import policies, requesters

NORTH = FacilityID("north")
CODES = ("PSY", "PSYTHPN", "ETHUD", "SUD", "HIV")
KINDS = tuple(
    Labels(confidentiality, frozenset(codes))
    for confidentiality in SCALE
    for count in range(3)
    for codes in combinations(CODES, count)
)
FLOORS = (NORMAL, Labels("R", frozenset(("SUD",)), part2=True), Labels("R", frozenset(("PSY",))))


def is_shown_elsewhere(redaction: Redaction, labels: Labels) -> bool:
    """Whether an enforcement point that knows labels alone shows a study with these."""
    carried = labels.sensitivities | {labels.confidentiality}
    bound = redaction.except_any_of
    return carried.isdisjoint(redaction.codes) and (bound is None or not carried.isdisjoint(bound))


def by_labels(rule: Provision) -> Provision:
    """The rule without what it says of single studies."""
    return replace(rule, studies=(), data_period=None, nested=tuple(by_labels(inner) for inner in rule.nested))


@given(policies, requesters, st.sampled_from(FLOORS))
def test_an_enforcement_point_that_heeds_the_obligations_shows_no_more(
    policy: PatientPolicy, requester: Requester, floor: Labels
) -> None:
    """By labels of every kind, where no consent is about single studies."""
    policy = replace(
        policy, consents=tuple(replace(one, root=one.root and by_labels(one.root)) for one in policy.consents)
    )
    redaction = redaction_of(policy, requester, NORTH, NOW, floor)
    assert not redaction.more
    data = [Data(NORTH, labels | floor, frozenset()) for labels in KINDS]
    for labels, decision in zip(KINDS, decide_data(policy, requester, data, NOW), strict=True):
        if is_shown_elsewhere(redaction, labels | floor):
            assert decision.permitted
