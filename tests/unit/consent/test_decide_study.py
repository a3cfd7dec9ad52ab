"""Decisions about single studies: times, names, labels, Part 2; and what they make of whether a facility is asked."""

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from gateway.consent.decide import decide_data, decide_query, decide_sources
from gateway.consent.label_rules import PART_2
from gateway.consent.labels import NORMAL, Labels
from gateway.consent.policy import DataPeriod, PatientPolicy
from gateway.consent.reach import Data
from gateway.imaging.study import SourceStudy, Started
from gateway.model import Identifier, LocalPatientID, Moment, PatientID, StudyUID
from tests.factories_consent import NORTH, NOW, SOUTH, a_consent, a_policy, a_requester, a_rule

A_DAY = timedelta(days=1)
DAY = datetime(2022, 6, 13, tzinfo=UTC)
RESTRICTED = Labels("R")


def started(start: datetime, span: timedelta = A_DAY) -> Started:
    """When a study was made."""
    return Started(text=start.isoformat(), moment=Moment(start=start, end=start + span))


def a_study(**changes: Any) -> SourceStudy:
    """A study of south."""
    stated = {"uid": StudyUID("1.2.3"), "facility": SOUTH, "local_id": LocalPatientID("1"), "record_id": 1}
    return SourceStudy(**{**stated, **changes})


def is_shown(policy: PatientPolicy, study: SourceStudy, labels: Labels = NORMAL, **requester: Any) -> bool:
    """Whether the study is shown; then its facility is asked too."""
    who = a_requester(**requester)
    (decision,) = decide_sources(policy, who, [study], NOW, [labels], lambda person, uid: f"{person}-{uid}")
    if decision.permitted:
        assert decide_query(policy, who, [SOUTH], NOW)[SOUTH].permitted
    return decision.permitted


def days(start: datetime | None, end: datetime | None) -> DataPeriod:
    """A dataPeriod of days."""
    return DataPeriod(start=start, end=end, start_zoned=False, end_zoned=False)


@pytest.mark.parametrize(
    ("made", "permitted", "denied"),
    [
        (started(DAY), True, True),
        (started(DAY - A_DAY), False, False),
        (started(DAY + A_DAY), False, False),
        (started(DAY.replace(hour=23), timedelta(minutes=1)), True, True),
        (started(DAY.replace(hour=23, tzinfo=timezone(timedelta(hours=-5))), timedelta(minutes=1)), True, True),
        (started(DAY - timedelta(days=12), timedelta(days=30)), False, True),
        (None, False, True),
    ],
)
def test_a_data_period_is_about_when_the_study_was_made(made: Started | None, permitted: bool, denied: bool) -> None:
    """On the calendar of the place; a permit needs all of it inside, a deny any; a time not told may be any."""
    period = days(DAY, DAY + A_DAY)
    study = a_study(started=made)
    assert is_shown(a_policy(a_consent(a_rule("permit", data_period=period))), study) is permitted
    deny = a_policy(a_consent(a_rule("deny", data_period=period)), implicit="basic-normal")
    assert is_shown(deny, study) is not denied


def test_a_data_period_with_times_is_about_instants() -> None:
    """Eleven at night in New York is the next day in UTC."""
    late = a_study(
        started=started(datetime(2022, 6, 13, 23, tzinfo=timezone(timedelta(hours=-4))), timedelta(minutes=1))
    )
    zoned = DataPeriod(start=DAY, end=DAY + A_DAY)
    assert not is_shown(a_policy(a_consent(a_rule("permit", data_period=zoned))), late)
    assert is_shown(a_policy(a_consent(a_rule("permit", data_period=DataPeriod(start=DAY)))), late)
    assert not is_shown(a_policy(a_consent(a_rule("permit", data_period=DataPeriod(end=DAY)))), late)


@pytest.mark.parametrize("name", ["1.2.3", "urn:acc|A1", "ImagingStudy/p1-1.2.3"])
def test_a_study_is_meant_by_each_of_its_names(name: str) -> None:
    """Its UID, its accession number, its id here; and no other study is."""
    study = a_study(accession=Identifier("urn:acc", "A1"))
    other = a_study(uid=StudyUID("1.2.4"), accession=Identifier("urn:other", "A1"))
    permit = a_policy(a_consent(a_rule("permit", studies=(name,))))
    deny = a_policy(a_consent(a_rule("permit", nested=(a_rule("deny", studies=(name,)),))))
    assert (is_shown(permit, study), is_shown(permit, other)) == (True, False)
    assert (is_shown(deny, study), is_shown(deny, other)) == (False, True)


def test_a_deny_of_an_accession_number_reaches_one_whose_domain_nobody_tells() -> None:
    """It may be that one. A permit doesn't: it may be another."""
    bare = a_study(accession=Identifier("", "A1"))
    assert not is_shown(a_policy(a_consent(a_rule("permit", nested=(a_rule("deny", studies=("urn:acc|A1",)),)))), bare)
    assert is_shown(a_policy(a_consent(a_rule("permit", nested=(a_rule("deny", studies=("urn:acc|A2",)),)))), bare)
    assert not is_shown(a_policy(a_consent(a_rule("permit", studies=("urn:acc|A1",)))), bare)


def test_a_deny_of_a_study_by_the_name_that_one_source_has_for_it_reaches_every_copy() -> None:
    """South holds the same images under a number of its own. A permit by north's number opens north's copy alone."""
    copies = [a_study(facility=NORTH, accession=Identifier("urn:acc", "A1")), a_study(), a_study(uid=StudyUID("1.2.9"))]
    deny = a_policy(a_consent(a_rule("permit", nested=(a_rule("deny", studies=("urn:acc|A1",)),))))
    assert [one.permitted for one in decide_sources(deny, a_requester(), copies, NOW)] == [False, False, True]
    permit = a_policy(a_consent(a_rule("permit", studies=("urn:acc|A1",))))
    assert [one.permitted for one in decide_sources(permit, a_requester(), copies, NOW)] == [True, False, False]


def test_t054_a_study_named_by_id_stays_the_same_study_when_persons_become_one() -> None:
    """Its id is then another one; the consent is read under the person it was filed for."""
    rule = a_rule("permit", nested=(a_rule("deny", studies=("ImagingStudy/old-1.2.3",)),))
    assert not is_shown(a_policy(a_consent(rule, person=PatientID("old"))), a_study())
    assert is_shown(a_policy(a_consent(rule, person=PatientID("p1"))), a_study())


def test_sources_and_studies_of_one_rule_are_alternatives() -> None:
    """All of north, and this one of south."""
    policy = a_policy(a_consent(a_rule("permit", authored_by=(NORTH,), studies=("1.2.3",))))
    assert is_shown(policy, a_study())
    assert not is_shown(policy, a_study(uid=StudyUID("1.2.4")))
    assert decide_query(policy, a_requester(), [NORTH], NOW)[NORTH].permitted


def test_labels_decide_study_by_study() -> None:
    """IHE PCF advanced: normal for all, restricted for one clinician."""
    nested = a_rule("permit", labels=("R",), actors=("Practitioner/dr",))
    policy = a_policy(a_consent(a_rule("permit", purposes=("TREAT",), labels=("N",), nested=(nested,))))
    assert is_shown(policy, a_study())
    assert not is_shown(policy, a_study(), RESTRICTED)
    assert is_shown(policy, a_study(), RESTRICTED, subject_id="dr")
    assert not is_shown(policy, a_study(), RESTRICTED, subject_id="dr", purposes=("HMARKT",))


@pytest.mark.parametrize("implicit", ["basic-normal", "all-normal"])
def test_an_implicit_policy_releases_what_is_normal_only(implicit: Any) -> None:
    """Contract §9: N or unlabelled; an actual permit without labels releases all."""
    assert is_shown(a_policy(implicit=implicit), a_study())
    assert not is_shown(a_policy(implicit=implicit), a_study(), RESTRICTED)
    assert is_shown(a_policy(a_consent()), a_study(), RESTRICTED)
    assert is_shown(a_policy(implicit="break-glass-only"), a_study(), RESTRICTED, purposes=("BTG",))


def test_a_part_2_programme_needs_a_permit_that_is_about_it() -> None:
    """42 CFR §2.31: by its name, or by the kind of data; in an emergency without (§2.51)."""
    shown: dict[str, bool] = {}
    for name, policy in {
        "implicit": a_policy(implicit="all-normal"),
        "any permit": a_policy(a_consent()),
        "restricted": a_policy(a_consent(a_rule(labels=("R",)))),
        "by name": a_policy(a_consent(a_rule(authored_by=(SOUTH,)))),
        "by kind": a_policy(a_consent(a_rule(labels=("SUD",)))),
    }.items():
        (decision,) = decide_data(policy, a_requester(), [Data(SOUTH, PART_2, frozenset(("1.2",)))], NOW)
        floor = decide_query(policy, a_requester(), [SOUTH], NOW, {SOUTH: PART_2})[SOUTH]
        assert floor.permitted is decision.permitted
        shown[name] = decision.permitted
        assert decision.obligations == (("NORDSCLCD", "NOREDISCLOSE") if decision.permitted else ())
    assert shown == {"implicit": False, "any permit": False, "restricted": False, "by name": True, "by kind": True}
    emergency = a_policy(implicit="break-glass-only")
    assert is_shown(emergency, a_study(), PART_2, purposes=("BTG",))


def test_a_facility_that_can_show_nothing_is_not_asked() -> None:
    """Where all its data is known to be restricted and only what is normal may be seen."""
    policy = a_policy(a_consent(a_rule("permit", labels=("N",))))
    floors = {SOUTH: RESTRICTED}
    asked = decide_query(policy, a_requester(), [NORTH, SOUTH], NOW, floors)
    assert (asked[NORTH].permitted, asked[SOUTH].permitted) == (True, False)
    assert asked[NORTH].partial
    assert asked[NORTH].reason.endswith("study by study")
    assert "it names other labels" in asked[SOUTH].reason


def test_a_facility_is_asked_where_one_study_of_it_may_be_seen() -> None:
    """A permit for one study, a deny of one, a permit for a time."""
    for rule in (
        a_rule(studies=("1.2.3",)),
        a_rule(data_period=days(DAY, None)),
        a_rule(nested=(a_rule("deny", studies=("1.2.3",)),)),
        a_rule(nested=(a_rule("deny", data_period=days(DAY, None)),)),
    ):
        assert decide_query(a_policy(a_consent(rule)), a_requester(), [SOUTH], NOW)[SOUTH].permitted
    barred = a_rule(studies=("1.2.3",), nested=(a_rule("deny", authored_by=(SOUTH,)),))
    assert not decide_query(a_policy(a_consent(barred)), a_requester(), [SOUTH], NOW)[SOUTH].permitted


def test_what_is_withheld_is_explained_by_what_the_rule_names_instead() -> None:
    """An auditor reads why."""
    for other, rule in (
        ("studies", a_rule(studies=("9.9",))),
        ("times", a_rule(data_period=days(DAY, None))),
        ("programmes", a_rule()),
    ):
        labels = PART_2 if other == "programmes" else NORMAL
        (decision,) = decide_sources(a_policy(a_consent(rule)), a_requester(), [a_study()], NOW, [labels])
        assert decision.reason.endswith(f"it names other {other}")


def test_t046_members_of_a_group_are_its_actors() -> None:
    """As the exchange knows them now; nobody can call themselves a group, nor a role they don't state."""
    rule = a_rule(actors=("Group/er", "PractitionerRole|urn:roles|nurse"))
    policy = PatientPolicy(
        patient=PatientID("p1"),
        consents=(a_consent(rule),),
        implicit="deny",
        groups={"Group/er": frozenset(("Practitioner/dr",))},
    )
    assert is_shown(policy, a_study(), subject_id="dr")
    assert not is_shown(policy, a_study(), subject_id="other")
    assert not is_shown(policy, a_study(), subject_id="Group/er")
    assert not is_shown(policy, a_study(), subject_id="PractitionerRole|urn:roles|nurse")
    assert is_shown(policy, a_study(), subject_role="urn:roles|nurse")
    assert is_shown(policy, a_study(), subject_role="urn:roles#nurse")
    assert not is_shown(policy, a_study(), subject_role="nurse")


def test_deciding_a_study_by_twenty_provisions_stays_cheap() -> None:
    """Each study is looked at by itself, against every rule. About 15 µs on a quiet machine; the bound leaves room."""
    nested = tuple(
        a_rule("deny", studies=(f"9.{number}",), labels=("PSY",), data_period=days(DAY, None)) for number in range(19)
    )
    policy = a_policy(a_consent(a_rule("permit", purposes=("TREAT",), nested=nested)))
    studies = [a_study(uid=StudyUID(f"1.2.{number}"), started=started(DAY + A_DAY)) for number in range(200)]
    requester = a_requester()
    took = []
    for _ in range(15):
        began = time.thread_time()
        decided = decide_sources(policy, requester, studies, NOW)
        took.append((time.thread_time() - began) / len(studies))
        assert all(decision.permitted for decision in decided)
    assert min(took) < 150e-6
