"""The truth tables of a consent decision: who, why, whose data, when, and several consents at once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.consent.decide import decide_query, decide_sources
from gateway.consent.fhir_consent import from_consent
from gateway.consent.policy import POLICY_URL, ConsentVersion, Decision, PatientPolicy
from gateway.consent.words import PURPOSE_WORDS
from gateway.imaging.study import SourceStudy
from gateway.model import FacilityID, ImplicitPolicy, LocalPatientID, PatientID, Requester, StudyUID
from gateway.purposes import KNOWN
from tests.factories_consent import (
    NORTH,
    NOW,
    RECORDED,
    SOUTH,
    a_consent,
    a_policy,
    a_requester,
    a_resource,
    a_rule,
)

A_DAY = timedelta(days=1)


def decision_for(
    policy: PatientPolicy, requester: Requester | None = None, facility: FacilityID = SOUTH, now: datetime = NOW
) -> Decision:
    """The decision for one facility; both decision points must agree on it."""
    requester = requester or a_requester()
    study = SourceStudy(uid=StudyUID("1.2"), facility=facility, local_id=LocalPatientID("1"), record_id=1)
    asked = decide_query(policy, requester, [facility], now)[facility]
    assert decide_sources(policy, requester, [study], now) == [asked]
    return asked


@pytest.mark.parametrize(
    ("implicit", "purpose", "permitted"),
    [
        ("basic-normal", "TREAT", True),
        ("basic-normal", "ETREAT", True),
        ("basic-normal", "BTG", False),
        ("basic-normal", "HPAYMT", False),
        ("basic-normal", "HMARKT", False),
        ("all-normal", "TREAT", True),
        ("all-normal", "HMARKT", True),
        ("all-normal", "BTG", True),
        ("break-glass-only", "BTG", True),
        ("break-glass-only", "ETREAT", False),
        ("break-glass-only", "TREAT", False),
        ("deny", "TREAT", False),
        ("deny", "BTG", False),
    ],
)
def test_without_a_consent_the_implicit_policy_decides(implicit: ImplicitPolicy, purpose: str, permitted: bool) -> None:
    """Contract §9; the decision names the policy and no consent."""
    decision = decision_for(a_policy(implicit=implicit), a_requester(purposes=(purpose,)))
    assert decision.permitted is permitted
    assert decision.policy == POLICY_URL[implicit]
    assert decision.consents == ()
    assert decision.opened_at is None
    verb = "permits" if permitted else "does not permit"
    words = PURPOSE_WORDS[purpose]
    assert decision.reason.endswith(f"the policy {implicit} {verb} Organization/south for {words}")


@pytest.mark.parametrize(
    ("stated", "asked", "permitted", "denied"),
    [
        (("TREAT",), "TREAT", True, True),
        (("TREAT",), "ETREAT", True, True),
        (("TREAT",), "COC", True, True),
        (("TREAT",), "BTG", False, True),
        (("ETREAT",), "BTG", False, True),
        (("ETREAT",), "TREAT", False, False),
        (("BTG",), "BTG", True, True),
        (("BTG",), "ETREAT", False, False),
        (("TREAT", "BTG"), "BTG", True, True),
        (("HRESCH",), "CLINTRCHPC", True, True),
        (("HRESCH",), "TREAT", False, False),
        (("TREAT",), "HMARKT", False, False),
        ((), "HMARKT", True, True),
        ((), "BTG", False, True),
    ],
)
def test_purposes_are_a_tree_and_break_glass_is_never_permitted_in_passing(
    stated: tuple[str, ...], asked: str, permitted: bool, denied: bool
) -> None:
    """A rule reaches all that lies below its purposes; a permit reaches BTG only by naming it; a deny always does."""
    requester = a_requester(purposes=(asked,))
    assert decision_for(a_policy(a_consent(a_rule("permit", purposes=stated))), requester).permitted is permitted
    policy = a_policy(a_consent(a_rule("deny", purposes=stated)), implicit="all-normal")
    assert decision_for(policy, requester).permitted is not denied


def test_t062_every_purpose_of_the_token_must_be_permitted() -> None:
    """A list is judged purpose by purpose; the decision tells which one is refused."""
    policy = a_policy(a_consent(a_rule("permit", purposes=("TREAT", "HPAYMT"))))
    assert decision_for(policy, a_requester(purposes=("TREAT", "HPAYMT"))).permitted
    refused = decision_for(policy, a_requester(purposes=("TREAT", "HMARKT")))
    assert not refused.permitted
    assert "marketing" in refused.reason
    against = a_policy(a_consent(a_rule("deny", purposes=("HMARKT",))), implicit="all-normal")
    assert not decision_for(against, a_requester(purposes=("TREAT", "HMARKT"))).permitted
    assert decision_for(against, a_requester(purposes=("TREAT",))).permitted


def test_a_list_of_permitted_purposes_names_every_consent_it_rests_on() -> None:
    """Two consents that each permit one of the purposes both open the data, which is open since the later one."""
    treat = a_consent(a_rule("permit", purposes=("TREAT",)), id="a")
    pay = a_consent(a_rule("permit", purposes=("HPAYMT",)), id="b", recorded_at=RECORDED + A_DAY)
    decision = decision_for(a_policy(treat, pay), a_requester(purposes=("TREAT", "HPAYMT")))
    assert decision.permitted
    assert decision.consents == (treat.reference, pay.reference)
    assert decision.opened_at == pay.recorded_at
    assert decision.reason == (
        "Consent/a (version 1): permits Organization/south for treatment; "
        "Consent/b (version 1): permits Organization/south for payment"
    )


def test_a_list_permitted_by_the_implicit_policy_names_it() -> None:
    """Where no consent speaks, the policy's URL is kept."""
    decision = decision_for(a_policy(implicit="all-normal"), a_requester(purposes=("TREAT", "HPAYMT")))
    assert decision.permitted
    assert decision.policy == POLICY_URL["all-normal"]


def test_no_purpose_at_all_permits_nothing() -> None:
    """A caller without a purpose can't come from a token; if one does, nothing is shown."""
    assert not decision_for(a_policy(a_consent(), implicit="all-normal"), a_requester(purposes=())).permitted


@pytest.mark.parametrize(
    ("actor", "organization", "subject_id", "matches"),
    [
        ("Organization/north", "north", None, True),
        ("north", "north", None, True),
        ("Organization/north", "south", None, False),
        ("urn:oid:1.2.3", "urn:oid:1.2.3", None, True),
        ("https://org.example/north", "https://org.example/north", None, True),
        ("Practitioner/dr", "south", "Practitioner/dr", True),
        ("Practitioner/dr", "south", "dr", True),
        ("Practitioner/dr", "south", "Practitioner/other", False),
        ("Practitioner/dr", "south", None, False),
        ("urn:oid:1.2.3|dr", "south", "urn:oid:1.2.3|dr", True),
        ("urn:oid:1.2.3|dr", "south", "dr", False),
        ("http://hl7.org/fhir/sid/us-npi|1234567893", "south", "1234567893", True),
        ("http://hl7.org/fhir/sid/us-npi|123456789", "south", "123456789", False),
        ("Organization/north", "south", "Organization/north", False),
        ("Organization/nowhere", "south", "dr", False),
    ],
)
def test_t046_an_actor_is_the_callers_organisation_or_the_user_behind_it(
    actor: str, organization: str, subject_id: str | None, matches: bool
) -> None:
    """By reference or identifier; a dangling reference matches nobody; a user can't call itself an organisation."""
    requester = a_requester(organization=organization, subject_id=subject_id)
    assert decision_for(a_policy(a_consent(a_rule("permit", actors=(actor,)))), requester).permitted is matches
    denied = a_policy(a_consent(a_rule("deny", actors=(actor,))), implicit="basic-normal")
    assert decision_for(denied, requester).permitted is not matches


def test_any_of_several_actors_is_enough() -> None:
    """Values of one attribute are alternatives."""
    policy = a_policy(a_consent(a_rule("permit", actors=("Organization/west", "Organization/north"))))
    assert decision_for(policy).permitted


def test_all_attributes_of_a_rule_must_match() -> None:
    """Purpose and actor and source together: one that doesn't match is enough to leave the rule out."""
    rule = a_rule("permit", purposes=("TREAT",), actors=("Organization/north",), authored_by=(SOUTH,))
    policy = a_policy(a_consent(rule))
    assert decision_for(policy).permitted
    assert not decision_for(policy, a_requester(purposes=("HPAYMT",))).permitted
    assert not decision_for(policy, a_requester(organization="west")).permitted
    assert not decision_for(policy, facility=NORTH).permitted


def test_a_permit_for_the_data_of_some_facilities_opens_no_other() -> None:
    """IHE PCF intermediate-authoredby: nothing but what the named author made."""
    policy = a_policy(a_consent(a_rule("permit", authored_by=(NORTH,))), implicit="basic-normal")
    assert decision_for(policy, facility=NORTH).permitted
    assert not decision_for(policy, facility=SOUTH).permitted


def test_a_patient_leaves_out_a_source_by_a_nested_deny() -> None:
    """The nested rule comes before the root."""
    rule = a_rule("permit", purposes=("TREAT",), nested=(a_rule("deny", authored_by=(SOUTH,)),))
    policy = a_policy(a_consent(rule))
    assert decision_for(policy, facility=NORTH).permitted
    assert not decision_for(policy, facility=SOUTH).permitted


def test_a_patient_leaves_out_a_source_by_a_deny_at_the_root() -> None:
    """What a deny doesn't name stays under the implicit policy."""
    deny = a_consent(a_rule("deny", authored_by=(SOUTH,)))
    for implicit, north in (("basic-normal", True), ("deny", False)):
        policy = a_policy(deny, implicit=implicit)  # type: ignore[arg-type]
        assert decision_for(policy, facility=NORTH).permitted is north
        assert not decision_for(policy, facility=SOUTH).permitted


def test_data_of_facilities_of_which_none_is_known_is_nobodys() -> None:
    """A rule that names sources, none of them here, is about nothing: it opens nothing."""
    assert not decision_for(a_policy(a_consent(a_rule("permit", authored_by=())))).permitted


def test_a_nested_permit_widens_a_deny_for_whom_and_what_it_names() -> None:
    """IHE PCF dissent with break-glass: the root denies all, the nested permit opens BTG for one group."""
    rule = a_rule("deny", nested=(a_rule("permit", purposes=("BTG",), actors=("Practitioner/dr",)),))
    policy = a_policy(a_consent(rule), implicit="all-normal")
    doctor = a_requester(purposes=("BTG",), subject_id="Practitioner/dr")
    assert decision_for(policy, doctor).permitted
    assert not decision_for(policy, replace(doctor, subject_id="Practitioner/other")).permitted
    assert not decision_for(policy, replace(doctor, purposes=("TREAT",))).permitted


def test_a_nested_permit_keeps_to_what_the_root_states_where_it_states_nothing() -> None:
    """IHE PCF advanced-normal-focused-restricted: the nested permit must not open purposes the root doesn't."""
    root = a_rule("permit", purposes=("TREAT",), nested=(a_rule("permit", actors=("Practitioner/dr",)),))
    doctor = a_requester(subject_id="Practitioner/dr", purposes=("HMARKT",))
    assert not decision_for(a_policy(a_consent(root)), doctor).permitted
    of_south = a_rule("deny", authored_by=(SOUTH,), nested=(a_rule("permit", purposes=("TREAT",)),))
    policy = a_policy(a_consent(of_south))
    assert decision_for(policy, facility=SOUTH).permitted
    assert not decision_for(policy, facility=NORTH).permitted


def test_a_nested_deny_stands_alone() -> None:
    """Under a deny for marketing, a nested deny of a source is read as wide as it is written."""
    root = a_rule("deny", purposes=("HMARKT",), nested=(a_rule("deny", authored_by=(SOUTH,)),))
    policy = a_policy(a_consent(root), implicit="basic-normal")
    assert not decision_for(policy, facility=SOUTH).permitted
    assert decision_for(policy, facility=NORTH).permitted


def test_among_nested_rules_that_match_a_deny_comes_first() -> None:
    """In whatever order they are written."""
    rules = (a_rule("permit", actors=("Organization/north",)), a_rule("deny", authored_by=(SOUTH,)))
    for nested in (rules, rules[::-1]):
        assert not decision_for(a_policy(a_consent(a_rule("permit", nested=nested)))).permitted


def test_t045_a_deny_wins_between_live_consents_and_both_are_named() -> None:
    """Also against a newer permit, also where the two are otherwise equal, in either order."""
    permit = a_consent(a_rule("permit"), id="p", recorded_at=RECORDED + A_DAY)
    deny = a_consent(a_rule("deny"), id="d", version=2)
    for consents in ((permit, deny), (deny, permit)):
        decision = decision_for(a_policy(*consents))
        assert not decision.permitted
        assert decision.consents == (deny.reference, permit.reference)
        assert decision.reason == "Consent/d (version 2): denies Organization/south for treatment"
        assert decision.opened_at is None


def test_two_permits_open_the_data_of_either() -> None:
    """A permit that doesn't match is no deny."""
    policy = a_policy(
        a_consent(a_rule("permit", authored_by=(NORTH,)), id="a"), a_consent(a_rule("permit", authored_by=(SOUTH,)))
    )
    assert decision_for(policy, facility=NORTH).permitted
    assert decision_for(policy, facility=SOUTH).permitted


def test_a_recorded_permit_takes_the_place_of_the_implicit_policy() -> None:
    """Contract §9: what it doesn't permit isn't permitted, though the community's policy would."""
    consent = a_consent(a_rule("permit", purposes=("HRESCH",)))
    decision = decision_for(a_policy(consent, implicit="basic-normal"))
    assert not decision.permitted
    assert decision.consents == (consent.reference,)
    said = "Consent/c1 (version 1): does not permit Organization/south for treatment"
    assert decision.reason == f"{said}; it names other purposes"
    for other, rule in (("sources", a_rule(authored_by=(NORTH,))), ("recipients", a_rule(actors=("x",)))):
        assert decision_for(a_policy(a_consent(rule))).reason == f"{said}; it names other {other}"


def test_the_policy_a_deny_builds_on_bounds_what_it_leaves_unsaid() -> None:
    """IHE PCF `policy.uri`: whoever agreed to break-glass only gets no more from a community that shares."""
    deny = a_rule("deny", purposes=("HMARKT",))
    policy = a_policy(a_consent(deny, bases=("break-glass-only",)), implicit="all-normal")
    assert not decision_for(policy).permitted
    assert decision_for(policy).policy == POLICY_URL["break-glass-only"]
    assert decision_for(policy, a_requester(purposes=("BTG",))).permitted
    assert not decision_for(a_policy(a_consent(deny, bases=("all-normal",)))).permitted


def test_a_permit_is_put_in_words_with_the_version_it_rests_on() -> None:
    """A person can read it, and an auditor can look the version up."""
    decision = decision_for(a_policy(a_consent(a_rule("permit", purposes=("TREAT",)), version=3)))
    assert decision.reason == "Consent/c1 (version 3): permits Organization/south for treatment"
    assert decision.consents == ("Consent/c1/_history/3",)
    assert decision.policy is None


def test_every_purpose_has_words() -> None:
    """No code of the tree is shown raw; an unknown one is, rather than failing."""
    assert set(PURPOSE_WORDS) == KNOWN
    assert "FooBar" in decision_for(a_policy(), a_requester(purposes=("FooBar",))).reason


def test_t044_a_stored_consent_that_cannot_be_evaluated_denies() -> None:
    """Also beside a permit, and whatever the implicit policy."""
    broken = ConsentVersion(id="x", version=1, active=True, recorded_at=RECORDED, root=None)
    decision = decision_for(a_policy(a_consent(), broken, implicit="all-normal"))
    assert not decision.permitted
    assert "can't be evaluated" in decision.reason
    assert decision.consents[0] == broken.reference


def test_t043_a_consent_that_is_not_active_takes_no_part() -> None:
    """Neither a permit nor a deny nor one that can't be evaluated."""
    for root in (a_rule("permit"), a_rule("deny"), None):
        version = ConsentVersion(id="x", version=1, active=False, recorded_at=RECORDED, root=root)
        assert decision_for(a_policy(version, implicit="basic-normal")).permitted
        assert not decision_for(a_policy(version, implicit="deny")).permitted


def test_t043_a_period_holds_from_its_start_until_before_its_end() -> None:
    """Outside of it the consent is as if it were not on file."""
    rule = a_rule("permit", period_start=NOW, period_end=NOW + A_DAY)
    policy = a_policy(a_consent(rule))
    moment = timedelta(microseconds=1)
    assert not decision_for(policy, now=NOW - moment).permitted
    assert decision_for(policy, now=NOW).permitted
    assert decision_for(policy, now=NOW + A_DAY - moment).permitted
    assert not decision_for(policy, now=NOW + A_DAY).permitted
    expired = a_policy(a_consent(rule), implicit="basic-normal")
    assert decision_for(expired, now=NOW + A_DAY).policy == POLICY_URL["basic-normal"]


@pytest.mark.parametrize(
    ("period", "last", "over"),
    [
        ({"end": "2026-11-24"}, "2026-11-24T23:59:59+00:00", "2026-11-25T00:00:00+00:00"),
        ({"end": "2026-11-24T23:59:59+01:00"}, "2026-11-24T23:59:59+01:00", "2026-11-25T00:00:00+01:00"),
        ({"end": "2026-11-24T23:59:59-05:00"}, "2026-11-25T04:59:59+00:00", "2026-11-25T05:00:00+00:00"),
        ({"end": "2026"}, "2026-12-31T23:59:59+00:00", "2027-01-01T00:00:00+00:00"),
        ({"end": "2026-11"}, "2026-11-30T23:59:59+00:00", "2026-12-01T00:00:00+00:00"),
    ],
)
def test_t043_a_consent_as_it_is_filed_holds_to_the_end_of_what_its_period_says(
    period: dict[str, str], last: str, over: str
) -> None:
    """A date to the end of its day in UTC, a time in the zone it states, a year and a month whole."""
    read = from_consent(a_resource({"type": "permit", "period": {"start": "2026-01-01", **period}}), {})
    policy = a_policy(a_consent(read.root))
    assert decision_for(policy, now=datetime.fromisoformat(last)).permitted
    assert not decision_for(policy, now=datetime.fromisoformat(over)).permitted
    assert not decision_for(policy, now=datetime.fromisoformat("2025-12-31T23:59:59+00:00")).permitted


def test_t046_neither_parent_nor_part_of_an_organisation_is_its_actor() -> None:
    """Only who is named, unless operators have registered them as a group (docs/explanation/consent.md)."""
    parent = a_policy(a_consent(a_rule("permit", actors=("https://rhine.example",))))
    assert not decision_for(parent, a_requester(organization="north")).permitted
    assert decision_for(parent, a_requester(organization="https://rhine.example")).permitted
    part = a_policy(a_consent(a_rule("permit", actors=("Organization/north",))))
    assert not decision_for(part, a_requester(organization="https://rhine.example")).permitted
    group = a_policy(a_consent(a_rule("permit", actors=("Group/rhine",))))
    together = replace(group, groups={"Group/rhine": frozenset(("Organization/north",))})
    assert decision_for(together, a_requester(organization="north")).permitted


def test_a_nested_rule_has_a_period_of_its_own() -> None:
    """A source left out until a day comes back on that day."""
    nested = a_rule("deny", authored_by=(SOUTH,), period_end=NOW)
    policy = a_policy(a_consent(a_rule("permit", nested=(nested,))))
    assert not decision_for(policy, now=NOW - A_DAY).permitted
    assert decision_for(policy, now=NOW).permitted


def test_the_patients_own_access_is_a_right() -> None:
    """Contract §9: not subject to consent; only for the very patient the token is bound to."""
    deny = a_policy(a_consent(a_rule("deny")))
    patient = a_requester(patient=PatientID("p1"), subject="Patient/p1", purposes=("PATRQT",))
    decision = decision_for(deny, patient)
    assert decision.permitted
    assert decision.reason == "the patient's own access"
    assert decision.consents == ()
    assert not decision_for(deny, replace(patient, subject="Patient/p2")).permitted
    assert not decision_for(deny, a_requester(patient=PatientID("p2"), subject="Patient/p2")).permitted
    assert not decision_for(deny, a_requester(patient=PatientID("p1"))).permitted


class TestOpenedAt:
    """Since when a permitted source has been open: what `meta.lastUpdated` is made of (contract §7)."""

    def test_it_is_when_the_permitting_version_was_recorded(self) -> None:
        """The first of several permits counts: the others opened nothing."""
        early, late = a_consent(id="a"), a_consent(id="b", recorded_at=NOW - A_DAY)
        assert decision_for(a_policy(late, early)).opened_at == RECORDED

    def test_it_is_when_the_rule_began_if_that_was_later(self) -> None:
        """Of the root, or of a nested permit."""
        began = NOW - A_DAY
        assert decision_for(a_policy(a_consent(a_rule("permit", period_start=began)))).opened_at == began
        nested = a_rule("deny", nested=(a_rule("permit", period_start=began),))
        assert decision_for(a_policy(a_consent(nested))).opened_at == began

    def test_it_is_when_a_nested_deny_ended(self) -> None:
        """Only for the source it was about."""
        ended = NOW - A_DAY
        rule = a_rule("permit", nested=(a_rule("deny", authored_by=(SOUTH,), period_end=ended),))
        policy = a_policy(a_consent(rule))
        assert decision_for(policy, facility=SOUTH).opened_at == ended
        assert decision_for(policy, facility=NORTH).opened_at == RECORDED

    def test_it_is_when_a_deny_was_revoked_or_ran_out(self) -> None:
        """Beside a permit, and under the implicit policy alone."""
        ended = NOW - A_DAY
        revoked = a_consent(a_rule("deny"), id="d", version=2, active=False, recorded_at=ended)
        expired = a_consent(a_rule("deny", period_end=ended), id="d")
        for past in (revoked, expired):
            assert decision_for(a_policy(a_consent(), past)).opened_at == ended
            assert decision_for(a_policy(past, implicit="basic-normal")).opened_at == ended

    def test_it_is_when_a_permit_that_closed_the_rest_ended(self) -> None:
        """A research consent that ran out gives treatment back to the implicit policy."""
        past = a_consent(a_rule("permit", purposes=("HRESCH",), period_end=NOW - A_DAY))
        assert decision_for(a_policy(past, implicit="basic-normal")).opened_at == NOW - A_DAY
        assert decision_for(a_policy(a_consent(id="a"), past)).opened_at == RECORDED

    def test_what_begins_or_ends_at_this_very_moment_counts(self) -> None:
        """A limit is where the rule changes, so at the limit it has changed."""
        ended = a_consent(a_rule("deny", period_end=NOW), id="d")
        assert decision_for(a_policy(a_consent(), ended)).opened_at == NOW
        begun = a_consent(a_rule("permit", period_start=NOW))
        assert decision_for(a_policy(begun)).opened_at == NOW

    def test_what_stood_in_the_way_of_others_only_betrays_nothing(self) -> None:
        """A revoked deny of one source moves no other source."""
        revoked = a_consent(a_rule("deny", authored_by=(NORTH,)), id="d", version=2, active=False, recorded_at=NOW)
        assert decision_for(a_policy(a_consent(), revoked), facility=SOUTH).opened_at == RECORDED

    def test_what_was_never_in_force_has_not_ended(self) -> None:
        """A deny that was filed as a draft, and one whose time is still to come, opened nothing."""
        draft = a_consent(a_rule("deny"), id="d", active=False, recorded_at=NOW)
        future = a_consent(a_rule("deny", period_start=datetime(2030, 1, 1, tzinfo=UTC)), id="f")
        assert decision_for(a_policy(a_consent(), draft, future)).opened_at == RECORDED
