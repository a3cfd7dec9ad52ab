"""A FHIR R4 Consent is read as the rule it states, or refused by the path of all that can't be decided by."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.consent.fhir_consent import STATUSES, from_consent, patients_of, require_policies
from gateway.consent.fhir_reference import facility_names
from gateway.consent.fhir_structure import require_structure
from gateway.consent.policy import DataPeriod, Provision
from gateway.errors import LoadRefused
from gateway.model import Facility, FacilityID, Identifier, PatientID, PatientRef
from tests.factories_consent import NORTH, SOUTH, a_coding, a_resource, an_actor, authored_by

BASE = "https://gateway.example/fhir/r4"
FACILITIES = (
    Facility(id=NORTH, name="North", identifier_system="urn:oid:1.1"),
    Facility(id=SOUTH, name="South", identifier_system="urn:oid:1.2"),
    Facility(id=FacilityID("east"), name="East", identifier_system="urn:oid:1.3"),
    Facility(id=FacilityID("east2"), name="East too", identifier_system="urn:oid:1.3"),
)
NAMES = facility_names(FACILITIES, BASE)
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONSENT_SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"
RULE = "Consent.provision"
TO_NORTH = {"reference": {"reference": "Organization/north"}}
DEEP = {"type": "deny", "provision": [{"type": "deny", "provision": [{"type": "permit"}]}]}


def permit_to(actor: dict[str, Any]) -> dict[str, Any]:
    """A provision that permits that one actor."""
    return {"type": "permit", "actor": [actor]}


def permit_of(meaning: str, **reference: Any) -> dict[str, Any]:
    """A provision that permits the data meant so."""
    return {"type": "permit", "data": [{"meaning": meaning, "reference": reference}]}


def rule_of(provision: dict[str, Any], **changes: Any) -> Provision:
    """The rule of a Consent with that provision."""
    resource = a_resource(provision, **changes)
    require_structure(resource)
    root = from_consent(resource, NAMES).root
    assert root is not None
    return root


def problems_of(resource: dict[str, Any], read: Callable[..., object] = from_consent) -> tuple[str, ...]:
    """Why it is refused."""
    with pytest.raises(LoadRefused) as caught:
        _ = read(resource, NAMES) if read is from_consent else read(resource)
    return caught.value.problems


def test_a_consent_is_read_with_everything_it_states() -> None:
    """Type, purposes, actors, sources, period and nested rules, each where IHE PCF has it."""
    rule = rule_of(
        {
            "type": "permit",
            "period": {"start": "2026-01-01", "end": "2026-12-31"},
            "purpose": [a_coding("TREAT"), a_coding("HPAYMT", "urn:oid:2.16.840.1.113883.5.8")],
            "actor": [an_actor(reference="Organization/north"), an_actor(reference="Practitioner/dr")],
            "data": [authored_by("north"), authored_by("south")],
            "provision": [{"type": "deny", "data": [authored_by("south")]}],
        }
    )
    assert rule == Provision(
        type="permit",
        purposes=("TREAT", "HPAYMT"),
        actors=("Organization/north", "Practitioner/dr"),
        authored_by=(NORTH, SOUTH),
        period_start=datetime(2026, 1, 1, tzinfo=UTC),
        period_end=datetime(2027, 1, 1, tzinfo=UTC),
        nested=(Provision(type="deny", authored_by=(SOUTH,)),),
    )


@pytest.mark.parametrize("status", STATUSES)
def test_only_the_status_active_is_in_force(status: str) -> None:
    """Every status of FHIR R4 can be filed."""
    assert from_consent(a_resource(status=status), NAMES).active is (status == "active")


def test_a_consent_that_is_not_active_may_say_nothing_more() -> None:
    """A revocation must not fail for a formality; an active consent has its rule."""
    bare = {name: value for name, value in a_resource(status="inactive").items() if name != "provision"}
    assert from_consent(bare, NAMES).root is None
    assert problems_of(bare | {"status": "active"}) == (
        "Consent.provision: expected the rule: type, and what it is about",
    )


@pytest.mark.parametrize("absent", ["scope", "category", "dateTime", "policy"])
def test_formal_elements_that_decide_nothing_may_be_absent(absent: str) -> None:
    """IHE PCF asks for them; feeds that leave them out are read all the same."""
    resource = a_resource(**{absent: None})
    require_structure(resource)
    assert from_consent(resource, NAMES).root is not None


def test_an_actor_without_its_role_is_the_recipient() -> None:
    """IHE PCF knows one role only."""
    actor = {"reference": {"reference": "Organization/south"}}
    nested = {"type": "deny", "actor": [actor]}
    assert rule_of({"type": "deny", "actor": [actor], "provision": [nested]}).actors == ("Organization/south",)


@pytest.mark.parametrize(
    ("reference", "names"),
    [
        ({"reference": "Organization/north"}, ("Organization/north",)),
        ({"reference": "Organization/north/_history/3"}, ("Organization/north",)),
        ({"reference": f"{BASE}/Organization/north"}, ("Organization/north", f"{BASE}/Organization/north")),
        (
            {"identifier": {"system": "urn:ietf:rfc:3986", "value": "urn:oid:1.1"}},
            ("Organization/north", "urn:oid:1.1"),
        ),
        ({"identifier": {"value": "urn:oid:1.1"}}, ("Organization/north", "urn:oid:1.1")),
        ({"identifier": {"system": "urn:ietf:rfc:3986", "value": "urn:oid:1.3"}}, ("urn:oid:1.3",)),
        ({"identifier": {"system": "urn:x", "value": "7"}}, ("urn:x|7",)),
        (
            {"reference": "https://elsewhere.example/Organization/north"},
            ("https://elsewhere.example/Organization/north",),
        ),
        (
            {"reference": "Practitioner/dr", "identifier": {"system": "urn:x", "value": "7"}},
            ("Practitioner/dr", "urn:x|7"),
        ),
        ({"type": "Practitioner", "identifier": {"system": "urn:x", "value": "7"}}, ("urn:x|7",)),
        ({"reference": "Organization/nowhere"}, ("Organization/nowhere",)),
    ],
)
def test_t046_an_actor_is_known_by_reference_or_identifier(reference: dict[str, Any], names: tuple[str, ...]) -> None:
    """A facility by any of its names; two facilities of one domain by none; anybody else as written."""
    assert rule_of({"type": "permit", "actor": [an_actor(**reference)]}).actors == names


@pytest.mark.parametrize(
    "reference",
    [
        {"reference": "Organization/south"},
        {"reference": f"{BASE}/Organization/south"},
        {"identifier": {"system": "urn:ietf:rfc:3986", "value": "urn:oid:1.2"}},
        {"reference": "Organization/south", "identifier": {"value": "urn:oid:1.2"}},
    ],
)
def test_a_source_is_a_facility_by_any_of_its_names(reference: dict[str, Any]) -> None:
    """And what it was called by is kept, so that a stored Consent reads the same when the registry has changed."""
    data = [{"meaning": "authoredby", "reference": reference}]
    resource = a_resource({"type": "deny", "data": data})
    consent = from_consent(resource, NAMES)
    assert consent.root is not None
    assert consent.root.authored_by == (SOUTH,)
    assert set(consent.facilities.values()) == {SOUTH}
    assert from_consent(resource, consent.facilities) == consent


@pytest.mark.parametrize(
    ("policy", "bases"),
    [
        ({"policy": [{"uri": "https://profiles.ihe.net/ITI/PCF/Policy-break-glass-only"}]}, ("break-glass-only",)),
        ({"policy": [{"uri": "https://profiles.ihe.net/ITI/PCF/Policy-deny"}, {"authority": "urn:x"}]}, ("deny",)),
        ({"policy": [{"uri": "https://profiles.ihe.net/ITI/PCF/Policy-deny/|1.1.0"}]}, ("deny",)),
        ({"policy": [{"uri": "https://community.example/its-own"}]}, ()),
        ({"policy": None, "policyRule": {"coding": [a_coding("OPTOUT", ACT_CODE)]}}, ("deny",)),
        ({"policy": None, "policyRule": {"coding": [a_coding("OPTIN", ACT_CODE)]}}, ()),
    ],
)
def test_the_policy_it_builds_on_is_known_where_it_is_one_of_ihes(
    policy: dict[str, Any], bases: tuple[str, ...]
) -> None:
    """By `policy.uri`, or an opt-out as `policyRule` (FHIR R4)."""
    resource = a_resource(**policy)
    require_structure(resource)
    assert from_consent(resource, NAMES).bases == bases


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"resourceType": "Patient"}, "resourceType"),
        ({"id": None}, "Consent.id"),
        ({"id": "a b"}, "Consent.id"),
        ({"id": "x" * 65}, "Consent.id"),
        ({"id": 7}, "Consent.id"),
        ({"status": None}, "Consent.status"),
        ({"status": "valid"}, "Consent.status"),
        ({"status": ["active"]}, "Consent.status"),
        ({"scope": {"coding": [a_coding("treatment", CONSENT_SCOPE)]}}, "Consent.scope"),
        ({"scope": {"text": "privacy"}}, "Consent.scope"),
        ({"scope": "patient-privacy"}, "Consent.scope"),
        ({"modifierExtension": [{"url": "urn:x", "valueBoolean": True}]}, "Consent.modifierExtension"),
        ({"implicitRules": "urn:x"}, "Consent.implicitRules"),
        ({"verification": [{"verified": True}]}, "Consent.verification"),
        ({"decision": "permit"}, "Consent.decision"),
        ({"subject": {"reference": "Patient/p1"}}, "Consent.subject"),
        ({"policy": []}, "Consent.policy"),
        ({"policyRule": {"text": "do what you want"}}, "Consent.policyRule"),
        ({"policyRule": {"coding": [a_coding("EVERYTHING", "http://x")]}}, "Consent.policyRule"),
        ({"policyRule": {"coding": [a_coding("OPTIN", "http://x")]}}, "Consent.policyRule"),
        ({"policy": {}}, "Consent.policy"),
        ({"policy": [{"uri": "https://profiles.ihe.net/ITI/PCF/Policy-denyall"}]}, "Consent.policy[0].uri"),
        (
            {"policy": [{"uri": "urn:x"}, {"uri": "http://profiles.ihe.net/ITI/PCF/Policy-deny"}]},
            "Consent.policy[1].uri",
        ),
        ({"provision": []}, "Consent.provision"),
        ({"contained": [{"resourceType": "Group", "modifierExtension": []}]}, "Consent.contained[0].modifierExtension"),
    ],
)
def test_t044_what_could_change_the_meaning_and_is_not_evaluated_is_refused(changes: dict[str, Any], path: str) -> None:
    """By its path, with what is expected; never passed over."""
    problems = problems_of({**a_resource(), **changes} if None not in changes.values() else a_resource(**changes))
    assert [problem.partition(": ")[0] for problem in problems] == [path]
    assert all(problem.partition(": ")[2] for problem in problems)


@pytest.mark.parametrize(
    ("provision", "path"),
    [
        ({}, f"{RULE}.type"),
        ({"type": "maybe"}, f"{RULE}.type"),
        ({"type": None}, f"{RULE}.type"),
        ({"type": "permit", "_type": {}, "_purpose": {}}, f"{RULE}._purpose"),
        ({"type": "permit", "securityLabel": [a_coding("R")]}, f"{RULE}.securityLabel[0]"),
        ({"type": "permit", "securityLabel": [{"display": "restricted"}]}, f"{RULE}.securityLabel[0]"),
        ({"type": "permit", "securityLabel": [a_coding("NOSUCH", ACT_CODE)]}, f"{RULE}.securityLabel[0]"),
        ({"type": "permit", "securityLabel": []}, f"{RULE}.securityLabel"),
        ({"type": "permit", "dataPeriod": {}}, f"{RULE}.dataPeriod"),
        ({"type": "permit", "dataPeriod": {"start": "2026", "end": "2025"}}, f"{RULE}.dataPeriod"),
        ({"type": "permit", "dataPeriod": {"start": "2026-01-01T00:00"}}, f"{RULE}.dataPeriod.start"),
        ({"type": "permit", "action": [{}]}, f"{RULE}.action"),
        ({"type": "permit", "class": [{}]}, f"{RULE}.class"),
        ({"type": "permit", "code": [{}]}, f"{RULE}.code"),
        ({"type": "permit", "expression": {}}, f"{RULE}.expression"),
        ({"type": "permit", "modifierExtension": [{}]}, f"{RULE}.modifierExtension"),
        ({"type": "permit", "purpose": []}, f"{RULE}.purpose"),
        ({"type": "permit", "purpose": None}, f"{RULE}.purpose"),
        ({"type": "permit", "purpose": ["TREAT"]}, f"{RULE}.purpose"),
        ({"type": "permit", "purpose": [a_coding("FooBar")]}, f"{RULE}.purpose[0].code"),
        ({"type": "permit", "purpose": [{"system": a_coding("TREAT")["system"]}]}, f"{RULE}.purpose[0].code"),
        ({"type": "permit", "purpose": [a_coding("TREAT"), a_coding("TREAT", "urn:x")]}, f"{RULE}.purpose[1].system"),
        ({"type": "permit", "purpose": [{"code": "TREAT"}]}, f"{RULE}.purpose[0].system"),
        ({"type": "permit", "period": {}}, f"{RULE}.period"),
        ({"type": "permit", "period": "2026"}, f"{RULE}.period"),
        ({"type": "permit", "period": {"start": "2026", "_end": {"extension": []}}}, f"{RULE}.period._end"),
        ({"type": "permit", "period": {"end": "soon"}}, f"{RULE}.period.end"),
        ({"type": "permit", "period": {"end": 2026}}, f"{RULE}.period.end"),
        ({"type": "permit", "period": {"start": "2026-02-01", "end": "2026-01"}}, f"{RULE}.period"),
        ({"type": "permit", "actor": [{}]}, f"{RULE}.actor[0].reference"),
        (permit_to(an_actor(display="Dr A")), f"{RULE}.actor[0].reference"),
        (permit_to(an_actor(reference="#org")), f"{RULE}.actor[0].reference"),
        (permit_to(an_actor(identifier={"system": "urn:x"})), f"{RULE}.actor[0].reference"),
        (permit_to(an_actor(identifier={"system": 1, "value": "x"})), f"{RULE}.actor[0].reference"),
        (permit_to(an_actor(reference="Group/staff")), f"{RULE}.actor[0].reference"),
        (permit_to(an_actor(reference="CareTeam/t")), f"{RULE}.actor[0].reference"),
        (permit_to(an_actor(type="Group", identifier={"value": "x"})), f"{RULE}.actor[0].reference"),
        ({"type": "deny", "actor": [an_actor(reference="Organization/nowhere")]}, f"{RULE}.actor[0].reference"),
        (permit_to({"role": {"text": "custodian"}, **TO_NORTH}), f"{RULE}.actor[0].role"),
        (permit_to({**TO_NORTH, "extra": 1}), f"{RULE}.actor[0].extra"),
        (permit_of("instance", reference="ImagingStudy/1"), f"{RULE}.data[0].reference"),
        (permit_of("instance", identifier={"value": "A1"}), f"{RULE}.data[0].reference"),
        (permit_of("instance", display="the CT"), f"{RULE}.data[0].reference"),
        (permit_of("related", reference="Encounter/1"), f"{RULE}.data[0].reference"),
        (
            permit_of("related", type="Encounter", identifier={"system": "urn:visits", "value": "7"}),
            f"{RULE}.data[0].reference",
        ),
        (permit_of("related", type="CarePlan", reference="urn:oid:1.2.3"), f"{RULE}.data[0].reference"),
        (permit_of("dependents", reference="ImagingStudy/abc"), f"{RULE}.data[0].meaning"),
        ({"type": "deny", "purpose": [a_coding("FooBar", "urn:x:purposes")]}, f"{RULE}.purpose[0].system"),
        ({"type": "permit", "data": [{}]}, f"{RULE}.data[0].meaning"),
        ({"type": "permit", "data": [{"meaning": "authoredby"}]}, f"{RULE}.data[0].reference"),
        ({"type": "permit", "data": [authored_by("nowhere")]}, f"{RULE}.data[0].reference"),
        (permit_of("authoredby", reference="Practitioner/dr"), f"{RULE}.data[0].reference"),
        (
            permit_of("authoredby", reference="Organization/north", identifier={"value": "urn:oid:1.2"}),
            f"{RULE}.data[0].reference",
        ),
        (permit_of("authoredby", identifier={"value": "urn:oid:1.3"}), f"{RULE}.data[0].reference"),
        ({"type": "permit", "provision": [{}]}, f"{RULE}.provision[0].type"),
        ({"type": "permit", "provision": [{"type": "deny", "dataPeriod": {}}]}, f"{RULE}.provision[0].dataPeriod"),
        (permit_to(an_actor(reference="#nobody")), f"{RULE}.actor[0].reference"),
        (DEEP, f"{RULE}.provision[0].provision"),
    ],
)
def test_t076_a_rule_that_cannot_be_evaluated_whole_is_refused_by_path(provision: dict[str, Any], path: str) -> None:
    """Unknown purposes, facilities, labels, studies, groups and elements; ends before starts; deeper nesting."""
    problems = problems_of(a_resource(provision) | {"provision": provision})
    assert [problem.partition(": ")[0] for problem in problems] == [path]


def test_every_problem_is_told_at_once() -> None:
    """Whoever corrects a Consent needs one round, not five."""
    provision = {"type": "x", "purpose": [a_coding("FooBar")], "data": [authored_by("nowhere")]}
    assert len(problems_of(a_resource(provision, status="valid"))) == 4


def test_extensions_and_ids_that_modify_nothing_are_let_be() -> None:
    """FHIR R4 §extensibility: only a modifierExtension changes what stands beside it."""
    extension = [{"url": "urn:x", "valueString": "y"}]
    provision = {"id": "1", "extension": extension, "type": "permit", "_type": {"extension": extension}}
    div = '<div xmlns="http://www.w3.org/1999/xhtml">&lt;b></div>'
    assert rule_of(provision, extension=extension, text={"status": "generated", "div": div})


@pytest.mark.parametrize(
    ("patient", "refs"),
    [
        ({"reference": "Patient/p1"}, (PatientRef(id=PatientID("p1")),)),
        ({"reference": "Patient/p1/_history/2"}, (PatientRef(id=PatientID("p1")),)),
        ({"reference": f"{BASE}/Patient/p1"}, (PatientRef(id=PatientID("p1")),)),
        (
            {"identifier": {"system": "urn:oid:1.1", "value": "7"}},
            (PatientRef(identifier=Identifier("urn:oid:1.1", "7")),),
        ),
        (
            {"reference": "Patient/p1", "identifier": {"system": "urn:oid:1.1", "value": "7"}},
            (PatientRef(id=PatientID("p1")), PatientRef(identifier=Identifier("urn:oid:1.1", "7"))),
        ),
    ],
)
def test_the_patient_is_named_by_reference_or_identifier(patient: dict[str, Any], refs: tuple[PatientRef, ...]) -> None:
    """Of this exchange; where both are stated, both are to be looked up."""
    assert patients_of(a_resource(patient=patient), BASE) == refs


@pytest.mark.parametrize(
    "patient",
    [
        *(
            None,
            "Patient/p1",
            {},
            {"display": "A"},
            {"reference": "Group/1"},
            {"reference": "Patient/"},
            {"reference": 1},
        ),
        *({"reference": "https://elsewhere.example/Patient/p1"}, {"identifier": {"value": "7"}}, {"identifier": []}),
        *({"reference": "#p"}, {"reference": "Patient/p1/x"}),
    ],
)
def test_a_patient_that_cannot_be_looked_up_is_refused(patient: object) -> None:
    """Of another server, contained, without a system."""
    resource = a_resource() | {"patient": patient}
    assert problems_of(resource, lambda consent: patients_of(consent, BASE)) == (
        "Consent.patient: expected Patient/{id}, or an identifier with its system",
    )


def test_without_a_base_url_facilities_have_their_relative_names_and_domains() -> None:
    """Two facilities of one domain are not named by it: nobody could tell which is meant."""
    assert facility_names(FACILITIES) == {
        "Organization/north": "north",
        "Organization/south": "south",
        "Organization/east": "east",
        "Organization/east2": "east2",
        "urn:oid:1.1": "north",
        "urn:oid:1.2": "south",
    }


def test_what_is_no_fhir_r4_in_its_structure_is_refused_by_path() -> None:
    """Without a word of what the file says."""
    resource = a_resource(
        {"type": "permit", "period": {"start": "Jane"}, "actor": ["Jane", {}], "provision": ["Jane"], "data": "Jane"},
        dateTime="Jane",
        color="red",
    )
    problems = problems_of(resource, require_structure)
    assert "Consent.dateTime: expected a FHIR date or dateTime (2026-11-24, or a time with its offset)" in problems
    assert "Consent.color: is no element of FHIR R4" in problems
    assert "Consent.provision.actor[1].reference: is needed" in problems
    assert not [problem for problem in problems if "Jane" in problem]
    assert problems_of(a_resource() | {"provision": 7, "patient": None}, require_structure)


KNOWN = {"ImagingStudy/abc": "ImagingStudy/abc", f"{BASE}/ImagingStudy/abc": "ImagingStudy/abc", "Group/er": "Group/er"}


@pytest.mark.parametrize(
    ("meaning", "reference", "names"),
    [
        ("instance", {"reference": "urn:oid:1.2.840.1"}, ("1.2.840.1",)),
        ("instance", {"identifier": {"system": "urn:dicom:uid", "value": "urn:oid:1.2.840.1"}}, ("1.2.840.1",)),
        ("instance", {"identifier": {"system": "urn:ietf:rfc:3986", "value": "urn:oid:1.2"}}, ("1.2",)),
        ("instance", {"reference": "ImagingStudy/abc"}, ("ImagingStudy/abc",)),
        ("instance", {"reference": f"{BASE}/ImagingStudy/abc"}, ("ImagingStudy/abc",)),
        ("related", {"type": "ServiceRequest", "identifier": {"system": "urn:acc", "value": "A1"}}, ("urn:acc|A1",)),
    ],
)
def test_a_study_is_named_by_uid_by_order_or_by_its_id_here(
    meaning: str, reference: dict[str, Any], names: tuple[str, ...]
) -> None:
    """`data.meaning` instance and related; and it reads the same for ever by what was known when it was filed."""
    resource = a_resource({"type": "deny", "data": [{"meaning": meaning, "reference": reference}]})
    consent = from_consent(resource, NAMES, KNOWN)
    assert consent.root is not None
    assert consent.root.studies == names
    assert consent.root.authored_by is None
    assert from_consent(resource, consent.facilities, consent.known) == consent


def test_sources_and_studies_are_values_of_one_element() -> None:
    """South's data, and this one study wherever it is."""
    data = [authored_by("south"), {"meaning": "instance", "reference": {"reference": "urn:oid:1.2"}}]
    rule = rule_of({"type": "deny", "data": data})
    assert (rule.authored_by, rule.studies) == ((SOUTH,), ("1.2",))


def test_a_data_period_without_times_is_days_where_the_study_was_made() -> None:
    """Whole days, to the end of the last; with a time, an instant."""
    period = rule_of({"type": "permit", "dataPeriod": {"start": "2022-01", "end": "2022"}}).data_period
    assert period == DataPeriod(
        start=datetime(2022, 1, 1, tzinfo=UTC),
        end=datetime(2023, 1, 1, tzinfo=UTC),
        start_zoned=False,
        end_zoned=False,
    )
    timed = rule_of({"type": "permit", "dataPeriod": {"start": "2022-01-01T00:00:00+01:00"}}).data_period
    assert timed is not None
    assert (timed.start_zoned, timed.end) == (True, None)


@pytest.mark.parametrize(
    "coding",
    [
        a_coding("PSY", ACT_CODE),
        a_coding("psy", ACT_CODE),
        a_coding("PSY", "http://terminology.hl7.org/ValueSet/v3-InformationSensitivityPolicy"),
        a_coding("PSY", "http://hl7.org/fhir/v3/ActCode/"),
        {**a_coding("PSY", ACT_CODE), "display": "anything", "version": "1", "userSelected": True},
    ],
)
def test_t061_a_label_is_known_however_its_system_is_spelt(coding: dict[str, Any]) -> None:
    """By the value set's URL, the old name, in lower case; display and version say nothing (T69b)."""
    assert rule_of({"type": "deny", "securityLabel": [coding]}).labels == ("PSY",)


def test_a_permit_for_a_purpose_of_another_vocabulary_opens_nothing_that_can_be_asked_for() -> None:
    """It is kept as it is written (IHE PCF intermediate-purpose)."""
    rule = rule_of({"type": "permit", "purpose": [a_coding("FooBar", "http://example.org/purposes")]})
    assert rule.purposes == ("http://example.org/purposes|FooBar",)


def test_t046_a_group_is_known_by_its_members_or_as_one_of_the_exchange() -> None:
    """Contained with its members, of whom an inactive one is none; or by the id that operators gave it."""
    group = {
        "resourceType": "Group",
        "id": "g",
        "type": "practitioner",
        "actual": True,
        "member": [
            {"entity": {"reference": "Practitioner/a"}},
            {"entity": {"identifier": {"system": "urn:x", "value": "7"}}},
            {"entity": {"reference": "Practitioner/gone"}, "inactive": True},
        ],
    }
    inside = permit_to(an_actor(reference="#g"))
    assert rule_of(inside, contained=[group]).actors == ("Practitioner/a", "urn:x|7")
    outside = a_resource(permit_to(an_actor(reference="Group/er")))
    read = from_consent(outside, NAMES, KNOWN)
    assert read.root is not None
    assert read.root.actors == ("Group/er",)
    assert read.known == {"Group/er": "Group/er"}
    for change in ({"actual": False}, {"active": False}, {"characteristic": [{}]}, {"member": []}):
        problems = problems_of(a_resource(inside, contained=[{**group, **change}]))
        assert {problem.partition(": ")[0].partition(".member")[0] for problem in problems} == {
            f"{RULE}.actor[0].reference"
        }


def test_a_community_may_name_the_policies_that_it_knows() -> None:
    """Then a Consent under any other is refused by its path, R4 and R5 alike; IHE's own are always known."""
    own = {"https://community.example/sharing"}
    ihe = "https://profiles.ihe.net/ITI/PCF/Policy-basic-normal"
    for uri in (*own, ihe):
        require_policies(a_resource(policy=[{"uri": uri}]), own)
    require_policies(an_r5(policyBasis={"url": ihe}), own)
    for resource, path in (
        (a_resource(policy=[{"uri": ihe}, {"uri": "urn:x"}]), "Consent.policy[1].uri"),
        (an_r5(policyBasis={"url": "urn:x"}), "Consent.policyBasis.url"),
    ):
        with pytest.raises(LoadRefused) as refused:
            require_policies(resource, own)
        assert [problem.partition(": ")[0] for problem in refused.value.problems] == [path]


def test_an_actor_by_role_is_whoever_states_that_role() -> None:
    """A PractitionerRole by its code."""
    actor = an_actor(type="PractitionerRole", identifier={"system": "http://nucc.org/provider-taxonomy", "value": "1"})
    assert "PractitionerRole|http://nucc.org/provider-taxonomy|1" in rule_of(permit_to(actor)).actors


def an_r5(**changes: Any) -> dict[str, Any]:
    """A FHIR R5 Consent that denies everything but treatment."""
    stated: dict[str, Any] = {
        "resourceType": "Consent",
        "id": "c1",
        "status": "active",
        "subject": {"reference": "Patient/p1"},
        "date": "2026-01-01",
        "decision": "deny",
        "provision": [{"purpose": [a_coding("TREAT")]}],
    }
    return {name: value for name, value in {**stated, **changes}.items() if value is not None}


def test_r5_provisions_are_exceptions_from_its_decision() -> None:
    """Each turns round what it is excepted from, twice at most; the period is the Consent's."""
    deeper = {"data": [authored_by("south")]}
    resource = an_r5(
        period={"end": "2026"},
        provision=[{"purpose": [a_coding("TREAT")], "provision": [deeper]}],
        policyBasis={"url": "https://profiles.ihe.net/ITI/PCF/Policy-deny"},
    )
    require_structure(resource)
    read = from_consent(resource, NAMES)
    assert read.root == Provision(
        type="deny",
        period_end=datetime(2027, 1, 1, tzinfo=UTC),
        nested=(Provision(type="permit", purposes=("TREAT",), nested=(Provision(type="deny", authored_by=(SOUTH,)),)),),
    )
    assert read.bases == ("deny",)
    assert patients_of(resource) == (PatientRef(id=PatientID("p1")),)
    ended = from_consent(an_r5(status="inactive", decision=None, provision=None), NAMES)
    assert (ended.active, ended.root) == (False, None)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"status": "unknown"}, "Consent.status"),
        ({"status": "rejected"}, "Consent.status"),
        ({"decision": None}, "Consent.decision"),
        ({"decision": "maybe"}, "Consent.decision"),
        ({"verification": [{"verified": True}]}, "Consent.verification"),
        ({"policy": [{"uri": "urn:x"}]}, None),
        ({"provision": [{"type": "permit"}]}, f"{RULE}[0].type"),
        ({"provision": [{"action": [{}]}]}, f"{RULE}[0].action"),
        ({"provision": [{"resourceType": [{}]}]}, f"{RULE}[0].resourceType"),
        ({"provision": [{"expression": {}}]}, f"{RULE}[0].expression"),
        ({"provision": {}}, RULE),
        ({"provision": [{"provision": [{"provision": [{}]}]}]}, f"{RULE}[0].provision[0].provision"),
        (
            {"provision": [{"provision": [{"data": [authored_by("nowhere")]}]}]},
            f"{RULE}[0].provision[0].data[0].reference",
        ),
        ({"subject": {"reference": "Patient/p1"}, "modifierExtension": [{}]}, "Consent.modifierExtension"),
    ],
)
def test_t044_what_r5_says_and_is_not_evaluated_is_refused(changes: dict[str, Any], path: str | None) -> None:
    """By its path; what mixes both versions is neither."""
    resource = {**an_r5(), **changes}
    problems = problems_of({name: value for name, value in resource.items() if value is not None})
    assert path is None or [problem.partition(": ")[0] for problem in problems] == [path]
    assert problems
