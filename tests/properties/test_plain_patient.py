"""The quick look at a Patient and the close one never disagree: what the first lets pass, the second does too."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import LoadRefused
from gateway.mpi.fhir_patient import look_closely, require_patient
from gateway.mpi.plain_patient import is_plain
from tests.accuracy.population import Population
from tests.factories_mpi import a_patient

ODD = st.sampled_from(
    (
        *(
            "",
            " ",
            "a\tb",
            "x\u00a0y",
            "\u2028",
            "\u200b",
            "a b",
            " male",
            "Male",
            "1980-02-30",
            "0000-01-01",
            "198O-01-01",
        ),
        *(
            "\u0661980-01-01",
            "é",
            "\ud83d\ude00",
            "x" * 1001,
            None,
            True,
            0,
            1.5,
            -3,
            10**10,
            [],
            {},
            [None],
            [""],
            ["a"],
        ),
        *({"extension": []}, [{"value": "x"}], [{}], {"use": "home"}, "home", "http://example.org/a b", "urn:x"),
    )
)
VALUES = ODD | st.text(max_size=6) | st.integers(-2, 200) | st.dates().map(str)
ELEMENTS = st.sampled_from(
    (
        *("resourceType", "id", "active", "identifier", "name", "telecom", "gender", "birthDate", "address", "meta"),
        *("multipleBirthInteger", "multipleBirthBoolean", "deceasedBoolean", "deceasedDateTime", "_birthDate", "photo"),
    )
)
PARTS = st.sampled_from(
    (
        *(
            "use",
            "system",
            "value",
            "text",
            "family",
            "given",
            "prefix",
            "suffix",
            "line",
            "city",
            "type",
            "postalCode",
        ),
        *("country", "rank", "period", "_family", "id"),
    )
)


@st.composite
def patients(draw: st.DrawFn) -> dict[str, Any]:
    """A Patient that is good but for a few elements that may be anything."""
    patient: dict[str, Any] = a_patient(
        telecom=[{"system": "phone", "use": "home", "value": "(754) 200-5706"}],
        address=[{"use": "home", "line": ["12 Oak Avenue"], "city": "Ashdale", "postalCode": "10001"}],
    )
    for element, value in draw(st.lists(st.tuples(ELEMENTS, VALUES), max_size=3)):
        patient[element] = value
    for element in ("identifier", "name", "telecom", "address"):
        listed = patient.get(element)
        if isinstance(listed, list) and listed and isinstance(listed[0], dict) and draw(st.booleans()):
            patient[element] = [{**listed[0], **dict([draw(st.tuples(PARTS, VALUES))])}, *listed[1:]]
    if draw(st.integers(0, 20)) == 0:
        del patient[draw(st.sampled_from(sorted(patient)))]
    return patient


@settings(max_examples=400)
@given(patients())
def test_whatever_the_quick_look_lets_pass_is_a_valid_patient(patient: dict[str, Any]) -> None:
    """It never lets pass what the validator of all of FHIR, or the checks beyond it, would refuse."""
    if is_plain(patient):
        look_closely(patient)


@settings(max_examples=100)
@given(patients())
def test_the_verdict_is_that_of_the_close_look(patient: dict[str, Any]) -> None:
    """With the same words."""

    def verdict(check: Any) -> object:
        try:
            check(patient)
        except LoadRefused as exc:
            return exc.problems
        return None

    assert verdict(require_patient) == verdict(look_closely)


def test_generated_patients_are_of_the_common_shape() -> None:
    """Otherwise the quick look would be of no use."""
    found = [{key: value for key, value in one.patient.items() if value} for one in Population(5).records(300)]
    assert sum(map(is_plain, found)) >= 0.97 * len(found)


@pytest.mark.parametrize("element", ["contact", "extension", "link", "modifierExtension", "_name", "contained"])
def test_whatever_is_unusual_is_looked_at_closely(element: str) -> None:
    """An element that the quick look doesn't know is never passed over."""
    assert is_plain(a_patient())
    assert not is_plain({**a_patient(), element: [{}]})
