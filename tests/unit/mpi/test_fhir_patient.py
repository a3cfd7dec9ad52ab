"""A Patient that a domain sends is read whole, or refused with the element and the reason."""

from typing import Any

import orjson
import pytest

from gateway.errors import LoadRefused
from gateway.model import Demographics, Identifier
from gateway.mpi.fhir_patient import read_patient
from tests.factories_mpi import DOMAINS, EAST, INSURANCE, NATIONAL, NORTH, SOUTH, a_patient

CANARY = "Zebulon-Canary"


def _problems(patient: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(LoadRefused) as refused:
        read_patient(patient, DOMAINS)
    return refused.value.problems


def test_a_patient_is_read() -> None:
    """Its source identifier, all identifiers, demographics, and its canonical content."""
    patient = a_patient("N-1", national="1", telecom=[{"system": "phone", "value": "555"}])

    record = read_patient(patient, DOMAINS)

    assert record.source == Identifier(NORTH, "N-1")
    assert record.identifiers == (Identifier(NORTH, "N-1"), Identifier(NATIONAL, "1"))
    assert record.demographics == Demographics(
        family=("Rivera",), given=("Ana",), birth_date="1980-02-03", sex="female"
    )
    assert record.active
    assert orjson.loads(record.content) == patient


def test_content_does_not_depend_on_the_order_of_members() -> None:
    """Equal Patients give equal bytes."""
    patient = a_patient("N-1")

    assert read_patient(patient, DOMAINS).content == read_patient(dict(reversed(patient.items())), DOMAINS).content


@pytest.mark.parametrize(("stated", "active"), [(None, True), (True, True), (False, False)])
def test_a_record_is_active_unless_it_says_otherwise(stated: bool | None, active: bool) -> None:
    """FHIR R4 Patient.active: assumed true where absent."""
    assert read_patient(a_patient(active=stated), DOMAINS).active is active


def test_a_minimal_patient_is_enough() -> None:
    """The source identifier alone makes a record; the same one stated twice is one."""
    same = {"system": EAST, "value": "E-1"}

    record = read_patient({"resourceType": "Patient", "identifier": [same, same]}, DOMAINS)

    assert record.source == Identifier(EAST, "E-1")
    assert record.identifiers == (record.source,)
    assert record.demographics == Demographics()


def test_what_fhir_allows_passes() -> None:
    """Extensions, contained resources, absent-data reasons and partial dates are no fault."""
    patient = a_patient(
        birth_date="1980-02",
        _birthDate={"extension": [{"url": "http://example.org/precision", "valueCode": "month"}]},
        contained=[{"resourceType": "Organization", "id": "o", "name": "GP"}],
        multipleBirthInteger=2,
        link=[{"other": {"reference": "Patient/9"}, "type": "seealso"}],
    )

    assert read_patient(patient, DOMAINS).demographics.birth_date == "1980-02"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"resourceType": "Person"}, "resourceType: not Patient"),
        ({"resourceType": None}, "resourceType: not Patient"),
        ({"birthDate": "1980-13-01"}, "Patient.birthDate: not a date"),
        ({"birthDate": "2021-02-30"}, "Patient.birthDate: not a date"),
        ({"birthDate": "03.02.1980"}, "Patient.birthDate: not a date"),
        ({"birthDate": 1980}, "Patient.birthDate: not a date"),
        ({"birthDate": "1980-01-01T00:00:00Z"}, "Patient.birthDate: not a date"),
        ({"gender": CANARY}, "Patient.gender: not one of male, female, other, unknown"),
        ({"active": "yes"}, "Patient.active: not true or false"),
        ({"active": 1}, "Patient.active: not true or false"),
        ({"name": CANARY}, "Patient.name: not a list of the elements that belong here"),
        ({"name": [{"given": CANARY}]}, "Patient.name[0].given: not a list of the elements that belong here"),
        ({"name": [{"family": 5}]}, "Patient.name[0].family: not a string"),
        ({"name": [{"famly": CANARY}]}, "Patient.name[0].famly: not an element of a FHIR R4 Patient"),
        ({"name": [{"family": "A\x00B"}]}, "Patient.name[0]: holds control characters"),
        ({f"{CANARY} was here": 1}, "Patient.(an unknown name): not an element of a FHIR R4 Patient"),
        ({"deceasedBoolean": True, "deceasedDateTime": "2020"}, "Patient: not valid in FHIR R4"),
        ({"link": [{}]}, "Patient.link[0].other: required"),
        ({"identifier": []}, "Patient.identifier: none is in the identifier_system of a registered facility"),
        (
            {"identifier": [{"system": INSURANCE, "value": "1"}]},
            "Patient.identifier: none is in the identifier_system of a registered facility",
        ),
        (
            {"identifier": [{"system": NORTH, "value": "1"}, {"system": SOUTH, "value": "1"}]},
            "Patient.identifier: more than one is in the identifier_system of a registered facility",
        ),
        (
            {"identifier": [{"system": NORTH, "value": "1"}, {"system": NORTH, "value": "2"}]},
            "Patient.identifier: more than one is in the identifier_system of a registered facility",
        ),
        (
            {"identifier": [{"system": NORTH}]},
            "Patient.identifier: none is in the identifier_system of a registered facility",
        ),
        (
            {"identifier": [{"system": NORTH, "value": ""}]},
            "Patient.identifier[0].value: empty, or with characters that are not allowed here",
        ),
        (
            {"identifier": [{"system": NORTH, "value": "  "}]},
            "Patient.identifier[0].value: empty, or holds control characters",
        ),
        (
            {"identifier": [{"system": NORTH, "value": f"{CANARY}\r\n"}]},
            "Patient.identifier[0].value: empty, or holds control characters",
        ),
        (
            {"identifier": [{"system": NORTH, "value": "1"}, {"system": "urn:a\x00b", "value": "1"}]},
            "Patient.identifier[1].system: empty, or holds control characters",
        ),
    ],
)
def test_a_refusal_names_the_element_and_the_reason(change: dict[str, Any], problem: str) -> None:
    """In our own words, and never with the value, which may be a patient's."""
    problems = _problems({**a_patient(), **change})

    assert problem in problems
    assert CANARY not in "".join(problems)


def test_all_problems_are_told_at_once_up_to_five() -> None:
    """An operator mends a line once; a hopeless one doesn't fill the report."""
    assert len(_problems({**a_patient(), "birthDate": "x", "gender": 5, "name": 5})) == 3
    assert len(_problems({**a_patient(), **{f"x{number}": 1 for number in range(50)}})) == 5


UNKNOWN_TYPE = "Patient.contained[0]: not a resource of a type that FHIR R4 has"


@pytest.mark.parametrize(
    ("contained", "problem"),
    [
        ([{"resourceType": CANARY}], UNKNOWN_TYPE),
        ([{"resourceType": 5}], UNKNOWN_TYPE),
        ([{"resourceType": [CANARY]}], UNKNOWN_TYPE),
        ([{"resourceType": "Patient", "contained": [{"resourceType": CANARY}]}], UNKNOWN_TYPE),
        ([{"resourceType": "Group"}, {"resourceType": CANARY}], UNKNOWN_TYPE.replace("[0]", "[1]")),
        ([5], "Patient.contained[0]: not valid in FHIR R4"),
        ([CANARY], "Patient.contained[0]: not valid in FHIR R4"),
        ([{"Foo": 1}], "Patient.contained[0].Foo: not an element of a FHIR R4 Patient"),
        (5, "Patient.contained: not a list of the elements that belong here"),
    ],
)
def test_contained_resources_of_no_type_are_refused(contained: Any, problem: str) -> None:
    """By their place; what they say they are is not repeated."""
    problems = _problems({**a_patient(), "contained": contained})

    assert problems == (problem,)


@pytest.mark.parametrize("text", ["{}", f'{{"id": "{CANARY}"}}'])
@pytest.mark.parametrize("element", ["name", "identifier", "address", "telecom"])
def test_json_within_a_text_is_no_object(element: str, text: str) -> None:
    """However readable it is: whoever reads the record next would find a text."""
    problems = _problems({**a_patient(), element: [text]})

    assert problems == (f"Patient.{element}[0]: not an object",)


def test_a_bottomless_patient_is_refused() -> None:
    """Nesting that no reader survives is a refusal like any other."""
    extension: dict[str, Any] = {"url": "u"}
    for _ in range(400):
        extension = {"url": "u", "extension": [extension]}

    assert _problems({**a_patient(), "extension": [extension]})


@pytest.mark.parametrize("value", ["*", "12?", "A\\B", "A,B", "A&B", "a b", "%00"])
def test_t108_values_that_mean_something_elsewhere_are_read_as_they_are(value: str) -> None:
    """They are identifiers like any other here; whether an archive may be asked for them is the adapter's question."""
    assert read_patient(a_patient(value), DOMAINS).source.value == value
