"""Security labels: how they are spelt, how they compare, and which studies the rule table gives them to."""

from importlib import resources
from typing import Any

import pytest

from gateway.consent.label_rules import PART_2, LabelRules, read_label_rules
from gateway.consent.labels import (
    NORMAL,
    SENSITIVITIES,
    UNREADABLE,
    Labels,
    codings_of_labels,
    deny_reaches,
    labels_in,
    labels_with,
    may_reach,
    permit_reaches,
)
from gateway.imaging.study import Series, SourceStudy
from gateway.model import Coding, Facility, LocalPatientID, SecurityLabel, StudyUID
from tests.factories_consent import NORTH, SOUTH, a_coding

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"


def labelled(confidentiality: str, *sensitivities: str) -> Labels:
    """A study's labels."""
    return Labels(confidentiality, frozenset(sensitivities))


@pytest.mark.parametrize(
    ("named", "labels", "permitted", "denied"),
    [
        (("N",), labelled("N"), True, True),
        (("N",), labelled("M"), True, False),
        (("N",), labelled("R"), False, True),
        (("R",), labelled("N"), True, False),
        (("R",), labelled("V"), False, True),
        (("N", "R"), labelled("R"), True, True),
        (("PSY",), labelled("N"), False, False),
        (("PSY",), labelled("R", "PSY"), True, True),
        (("PSY",), labelled("R", "PSYTHPN"), True, True),
        (("PSY",), labelled("R", "MH"), False, False),
        (("ETH",), labelled("R", "ETHUD"), True, True),
        (("SUD",), labelled("R", "OPIOIDUD"), True, True),
        (("ETHUD",), labelled("R", "ETH"), False, False),
        (("PSY",), labelled("R", "PSY", "HIV"), False, True),
        (("PSY", "HIV"), labelled("R", "PSY", "HIV"), True, True),
        (("PSY",), labelled("R", UNREADABLE), False, True),
        (("R",), labelled("R", UNREADABLE), True, True),
    ],
)
def test_a_permit_reaches_down_and_a_deny_up(
    named: tuple[str, ...], labels: Labels, permitted: bool, denied: bool
) -> None:
    """On the scale of confidentiality; in the tree of sensitivities both reach what lies below, a permit only all."""
    assert permit_reaches(named, labels) is permitted
    assert deny_reaches(named, labels) is denied


def test_before_a_facility_is_asked_a_permit_reaches_it_where_it_might() -> None:
    """Whatever is named by sensitivity might be there; what is less confidential than all of it is not."""
    assert may_reach(("N",), NORMAL)
    assert not may_reach(("N",), labelled("R"))
    assert may_reach(("N", "PSY"), labelled("R"))


@pytest.mark.parametrize(
    ("security", "labels"),
    [
        ([], NORMAL),
        ([a_coding("N", CONFIDENTIALITY)], NORMAL),
        ([a_coding("PSY", ACT_CODE)], labelled("R", "PSY")),
        ([a_coding("psy", ACT_CODE + "/")], labelled("R", "PSY")),
        (
            [a_coding("HIV", "http://terminology.hl7.org/ValueSet/v3-InformationSensitivityPolicy")],
            labelled("R", "HIV"),
        ),
        ([{"display": "psychiatry"}], labelled("R", UNREADABLE)),
        ([a_coding("XYZ", ACT_CODE)], labelled("R", UNREADABLE)),
        ([a_coding("V", CONFIDENTIALITY), {"display": "?"}], labelled("V", UNREADABLE)),
        ([a_coding("N", CONFIDENTIALITY), a_coding("R", CONFIDENTIALITY)], labelled("R")),
        ([a_coding("HTEST")], NORMAL),
        ([{**a_coding("R", CONFIDENTIALITY), "display": "anything", "id": "1", "extension": []}], labelled("R")),
    ],
)
def test_t061_labels_of_data_are_read_however_they_are_spelt(security: list[dict[str, Any]], labels: Labels) -> None:
    """ValueSet URLs, lower case; display alone and unknown codes are restricted; no label is normal (T69b too)."""
    assert labels_in(security) == labels
    assert labels_in(security[::-1]) == labels


def test_the_strictest_of_two_labels_is_both() -> None:
    """The higher confidentiality, all sensitivities, and Part 2 if either is."""
    both = labelled("N", "PSY") | Labels("R", frozenset(("HIV",)), part2=True)
    assert both == Labels("R", frozenset(("PSY", "HIV")), part2=True)
    assert NORMAL | NORMAL == NORMAL


@pytest.mark.parametrize(
    "decoration",
    [
        {"display": "psychiatry disorder information sensitivity"},
        {"version": "9.0.0", "userSelected": True},
        {"id": "1", "extension": [{"url": "urn:x", "valueString": "y"}]},
        {"display": "normal"},
    ],
)
def test_t069b_a_label_is_its_system_and_code_whatever_stands_beside_them(decoration: dict[str, Any]) -> None:
    """In data, in any order; display, version, user's choice, ids and extensions hide nothing."""
    plain = [a_coding("PSY", ACT_CODE), a_coding("V", CONFIDENTIALITY)]
    decorated = [decoration | coding for coding in plain]
    assert labels_in(decorated) == labels_in(decorated[::-1]) == labels_in(plain) == labelled("V", "PSY")


def test_what_a_part_2_programme_tells_goes_on_with_its_refrain() -> None:
    """42 CFR §2.32: no redisclosure; in codes that a receiver can act on."""
    codes = [(one.system, one.code) for one in codings_of_labels(PART_2)]
    assert codes[0] == (CONFIDENTIALITY, "R")
    assert {"SUD", "42CFRPart2", "NORDSCLCD", "NOREDISCLOSE"} == {code for _, code in codes[1:]}
    assert codings_of_labels(labelled("R", "HIV")) == (
        SecurityLabel(CONFIDENTIALITY, "R"),
        SecurityLabel(ACT_CODE, "HIV"),
    )


def a_study(**changes: Any) -> SourceStudy:
    """A study of north."""
    stated = {"uid": StudyUID("1.2"), "facility": NORTH, "local_id": LocalPatientID("1"), "record_id": 1}
    return SourceStudy(**{**stated, **changes})


def a_facility(**changes: Any) -> Facility:
    """North, unless told otherwise."""
    return Facility(**{"id": NORTH, "name": "North", "identifier_system": "urn:oid:1.1", **changes})


def a_table(**rule: Any) -> LabelRules:
    """One rule that labels PSY."""
    stated = {"name": "x", "basis": "y", "labels": ["PSY"], **rule}
    lines = [f"{key} = {value!r}".replace("'", '"') for key, value in stated.items()]
    return read_label_rules("[[rule]]\n" + "\n".join(lines))


@pytest.mark.parametrize(
    ("rule", "study", "holds"),
    [
        ({"facility": ["north"]}, {}, True),
        ({"facility": ["south"]}, {}, False),
        ({"department": ["psychiatr*"]}, {"departments": ("Dept. of PSYCHIATRY",)}, True),
        ({"department": ["tagesklinik süd"]}, {"departments": ("Radiology", "TAGESKLINIK SUD")}, True),
        ({"department": ["psychiatry"]}, {"departments": ("Radiology",), "description": "psychiatry"}, False),
        ({"department": ["psychiatry"]}, {}, False),
        ({"department": ["rape"], "facility": ["south"]}, {"departments": ("Rape crisis",)}, False),
        ({"modality": ["us"]}, {"modalities": ("CT", "US")}, True),
        ({"modality": ["US"]}, {"modalities": ("CT",)}, False),
        ({"procedure_code": ["urn:x|1"]}, {"procedure_codes": (Coding("urn:x", "1"),)}, True),
        ({"procedure_code": ["urn:x|1"]}, {"procedure_codes": (Coding("urn:y", "1"),)}, False),
        ({"body_part": ["pelvis"]}, {"series": (Series(uid="1.2.1", body_part="PELVIS"),)}, True),
        ({"body_part": ["PELVIS"]}, {"series": None}, False),
        ({"words": ["psychiatr*"]}, {"description": "MR brain, Psychiatric ward"}, True),
        ({"words": ["overdose"]}, {"description": "CT OVERDOSE^ROUTINE"}, True),
        ({"words": ["überdosis"]}, {"description": "CT Uberdosis"}, True),
        ({"words": ["rape"]}, {"description": "grapes"}, False),
        ({"words": ["rape"]}, {"description": "drapery rapeseed"}, False),
        ({"words": ["sexual  assault"]}, {"description": "SEXUAL ASSAULT EXAM"}, True),
        ({"words": ["hiv"]}, {"series": (Series(uid="1.2.1", description="HIV protocol"),)}, True),
        ({"words": ["hiv"]}, {"procedure_codes": (Coding("urn:x", "1", "HIV work-up"),)}, True),
        ({"words": ["hiv"], "modality": ["MR"]}, {"description": "HIV", "modalities": ("CT",)}, False),
    ],
)
def test_a_rule_holds_where_all_that_it_states_holds(rule: dict[str, Any], study: dict[str, Any], holds: bool) -> None:
    """Facility, modality, body part, procedure code, words in any spelling."""
    (labels,) = a_table(**rule).label([a_study(**study)], {})
    assert labels == (labelled("R", "PSY") if holds else NORMAL)


def test_the_strictest_label_of_any_source_counts_for_all_sources_of_a_study() -> None:
    """North describes it, south doesn't: both copies are the same images."""
    told, bare = a_study(description="psychiatric"), a_study(facility=SOUTH)
    other = a_study(uid=StudyUID("1.3"), facility=SOUTH)
    labels = a_table(words=["psychiatr*"]).label([told, bare, other], {})
    assert labels == [labelled("R", "PSY"), labelled("R", "PSY"), NORMAL]


def test_a_facility_may_be_sensitive_as_a_whole() -> None:
    """A behavioural health clinic by a rule, a Part 2 programme by its registration: known before it is asked."""
    table = a_table(facility=["north"])
    assert table.floors([a_facility()]) == {NORTH: labelled("R", "PSY")}
    assert LabelRules().floors([a_facility(part2=True), a_facility(id=SOUTH)]) == {NORTH: PART_2}
    assert a_table(facility=["north"], modality=["US"]).floors([a_facility()]) == {}
    assert a_table(facility=["north"], department=["psychiatry"]).floors([a_facility()]) == {}
    assert LabelRules().label([a_study()], {NORTH: PART_2}) == [PART_2]


def test_what_a_label_rests_on_is_told_of_the_sources_that_are_shown_alone() -> None:
    """The basis of each label (DS4P), by code; the rule about south tells nobody that south has a copy."""
    text = """
        [[rule]]
        name = "words"
        words = ["psychiatr*"]
        labels = ["PSY"]
        basis = "http://terminology.hl7.org/CodeSystem/v3-ActCode|MHCODE"
        [[rule]]
        name = "a clinic"
        facility = ["south"]
        labels = ["PSY", "SEX"]
        basis = "policy 12"
        [[rule]]
        name = "a department"
        facility = ["north"]
        confidentiality = "V"
        basis = "policy 13"
    """
    table = read_label_rules(text)
    shown, withheld = a_study(description="psychiatric"), a_study(facility=SOUTH)
    law, policy, other = Coding(ACT_CODE, "MHCODE"), Coding("", "", "policy 12"), Coding("", "", "policy 13")
    assert table.bases([shown], {}) == {"PSY": (law,), "R": (law,), "V": (other,)}
    assert table.bases([shown, withheld], {}) == {
        "PSY": (law, policy),
        "SEX": (policy,),
        "R": (law, policy),
        "V": (other,),
    }
    assert LabelRules().bases([shown], {NORTH: PART_2}) == {
        "SUD": (Coding(ACT_CODE, "42CFRPart2"),),
        "R": (Coding(ACT_CODE, "42CFRPart2"),),
    }
    (labels, _) = table.label([shown, withheld], {})
    told = codings_of_labels(labels, table.bases([shown], {}))
    assert [(one.code, one.basis) for one in told] == [("V", (other,)), ("PSY", (law,)), ("SEX", ())]


def test_a_table_knows_whether_it_looks_at_series() -> None:
    """By body part or words: a search that needs no series for its answer has to ask for them all the same."""
    assert a_table(body_part=["PELVIS"]).look_at_series
    assert a_table(words=["hiv"]).look_at_series
    assert not a_table(modality=["US"], facility=["north"]).look_at_series
    assert not LabelRules().look_at_series
    assert a_table(department=["psychiatr*"]).look_at_departments
    assert not a_table(words=["hiv"]).look_at_departments


def test_the_table_that_comes_with_the_gateway_can_be_read_and_labels_in_several_languages() -> None:
    """English, German, French, Spanish, Italian."""
    table = read_label_rules(resources.files("gateway.consent").joinpath("label_rules.toml").read_text("utf-8"))
    for description, code in (
        ("CT Schädel nach häuslicher Gewalt", "SDV"),
        ("TDM crâne, agression sexuelle", "SDV"),
        ("RM cerebral VIH", "HIV"),
        ("CT abdomen BODY PACKER", "SUD"),
        ("RX torace, tossicodipendenza", "SUD"),
        ("MR head, psychiatry", "PSY"),
    ):
        (labels,) = table.label([a_study(description=description)], {})
        assert labels == labels_with(None, (code,)), description
    assert table.label([a_study(description="CT chest routine")], {}) == [NORMAL]
    assert all(rule.labels.sensitivities <= SENSITIVITIES and rule.basis for rule in table.rules)


@pytest.mark.parametrize(
    "text",
    [
        "not toml [",
        "other = 1",
        "rule = 1",
        '[[rule]]\nname = "x"\nbasis = "y"\nlabels = ["PSY"]',
        '[[rule]]\nname = "x"\nbasis = "y"\nwords = ["x"]',
        '[[rule]]\nname = "x"\nwords = ["x"]\nlabels = ["PSY"]',
        '[[rule]]\nname = "x"\nbasis = "y"\nwords = []\nlabels = ["PSY"]',
        '[[rule]]\nname = "x"\nbasis = "y"\nwords = ["x"]\nlabels = ["NOPE"]',
        '[[rule]]\nname = "x"\nbasis = "y"\nwords = ["x"]\nconfidentiality = "X"',
        '[[rule]]\nname = "x"\nbasis = "y"\nwords = ["x"]\nlabels = ["PSY"]\ncolour = 1',
    ],
)
def test_a_table_that_is_wrong_is_refused(text: str) -> None:
    """A rule that says nothing, or something unknown, would be thought to protect."""
    with pytest.raises(ValueError, match=r"rule|toml|TOML|key"):
        read_label_rules(text)
