"""Whatever comes as a Consent is read or refused by path: never an error of ours, never read as other JSON."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.consent.fhir_consent import from_consent, patients_of
from gateway.consent.fhir_r4 import to_r4
from gateway.consent.fhir_structure import require_structure
from gateway.errors import LoadRefused
from gateway.fhir.xml_form import read_xml_resource, write_xml
from tests.factories_consent import a_coding, a_resource, an_actor, authored_by
from tests.functional.consent_community import patient_named
from tests.functional.consent_registry import Registry
from tests.properties.test_consent_r4 import NAMES, r5_consents

R4 = a_resource(
    {
        "type": "permit",
        "period": {"start": "2026-01-01", "end": "2027"},
        "purpose": [a_coding("TREAT")],
        "actor": [an_actor(reference="Organization/north")],
        "securityLabel": [a_coding("N", "http://terminology.hl7.org/CodeSystem/v3-Confidentiality")],
        "dataPeriod": {"start": "2020"},
        "provision": [{"type": "deny", "data": [authored_by("south")]}],
    },
    performer=[{"reference": "Patient/p1"}],
    organization=[{"reference": "Organization/north"}],
    sourceAttachment={"title": "form", "size": 12},
    contained=[{"resourceType": "Group", "id": "g", "type": "person", "actual": True}],
    text={"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Yes</div>'},
    extension=[{"url": "urn:x", "valueBoolean": True}],
)
junk = st.sampled_from(
    (
        None,
        True,
        0,
        -1.5,
        10**12,
        "",
        " ",
        "x",
        "{}",
        '{"reference":"Patient/p1"}',
        [],
        {},
        [{}],
        [None],
        [[]],
        {"id": 5},
    )
) | st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(("id", "url", "coding", "resourceType", "reference", "x")), inner, max_size=2)
    ),
    max_leaves=5,
)


def _places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for key, value in inner for place in _places(value, (*path, key)))]


def _with(resource: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    changed: dict[str, Any] = json.loads(json.dumps(resource))
    node: Any = changed
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return changed


def read(resource: dict[str, Any]) -> bool:
    """Whether a desk would file it. Raises whatever is no refusal."""
    try:
        patients_of(resource)
        from_consent(resource, NAMES)
        require_structure(resource)
        to_r4(resource)
    except LoadRefused as exc:
        return not exc.problems
    return True


@given(st.data(), junk)
def test_t044_one_element_that_is_something_else(data: st.DataObject, value: Any) -> None:
    """In R4 and in R5: refused, or what was filed can be told in JSON and in XML alike."""
    resource = data.draw(st.just(R4) | r5_consents())
    path = data.draw(st.sampled_from([place for place in _places(resource) if place]))
    changed = _with(resource, path, value)
    if read(changed):
        told = to_r4(changed)
        assert read_xml_resource(write_xml(told)) == told


def test_the_example_is_filed_as_it_is() -> None:
    """Else the property would prove nothing."""
    assert read(R4)
    assert read_xml_resource(write_xml(R4)) == R4


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    """The API, which files what it accepts."""
    made = Registry()
    yield made
    made.close()


DOCUMENT = {"resourceType": "QuestionnaireResponse", "status": "completed"}


@given(data=st.data(), value=junk, with_a_document=st.booleans())
def test_t044_through_the_api(registry: Registry, data: st.DataObject, value: Any, with_a_document: bool) -> None:
    """In R4 and in R5, created or filed with a document: accepted, or refused by path."""
    r5 = r5_consents().map(lambda one: {**one, "subject": patient_named("anne"), "grantor": [patient_named("anne")]})
    resource = data.draw(st.just({**R4, "patient": patient_named("anne")}) | r5)
    path = data.draw(st.sampled_from([place for place in _places(resource) if place and place[0] != "resourceType"]))
    body, to = _with(resource, path, value), "/Consent"
    if with_a_document:
        named = (("consent", body), ("document", DOCUMENT))
        listed = [{"name": name, "resource": one} for name, one in named]
        body, to = {"resourceType": "Parameters", "parameter": listed}, "/Consent/$fileConsent"
    answer = registry.send("POST", to, body)
    assert answer.status_code in (201, 400, 422), answer.text
