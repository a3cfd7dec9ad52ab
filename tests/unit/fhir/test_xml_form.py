"""FHIR XML: what is written is well-formed and reads back as it was, whatever the texts hold."""

from typing import Any
from xml.etree import ElementTree

import pytest

from gateway.errors import InvalidQuery
from gateway.fhir.xml_form import read_xml_resource, write_xml

FHIR = "{http://hl7.org/fhir}"
OPEN = '<div xmlns="http://www.w3.org/1999/xhtml">'


def test_texts_come_back_as_they_were() -> None:
    """Quotes, angle brackets, line breaks."""
    resource = {"resourceType": "Patient", "name": [{"family": "O'\"<&>\n\tX", "given": ["é", "漢"]}]}

    assert read_xml_resource(write_xml(resource)) == resource


@pytest.mark.parametrize(
    "div", ["</div></text><status value='inactive'/><text>", f"{OPEN}<script/></div>", "\x01 &", f"{OPEN}<b></div>"]
)
def test_t076_a_narrative_that_is_no_xhtml_is_told_as_words(div: str) -> None:
    """On file from an older release, say: it can't become an element of the resource."""
    written = write_xml({"resourceType": "Consent", "status": "active", "text": {"status": "generated", "div": div}})

    root = ElementTree.fromstring(written)  # noqa: S314  # our own
    assert [one.get("value") for one in root.iter(f"{FHIR}status")] == ["generated", "active"]
    assert not list(root.iter("{http://www.w3.org/1999/xhtml}script"))


def test_what_xml_cannot_hold_is_replaced() -> None:
    """A control character makes no document that can't be read."""
    written = write_xml({"resourceType": "Consent", "language": "a\x01b"})

    assert read_xml_resource(written) == {"resourceType": "Consent", "language": "a\ufffdb"}


@pytest.mark.parametrize("body", [b"<!DOCTYPE x><x/>", b"<Consent/>", b""])
def test_t074_a_document_type_is_refused(body: bytes) -> None:
    """In our own words."""
    with pytest.raises(InvalidQuery, match="the XML"):
        read_xml_resource(body)


def test_an_operation_outcome_is_in_the_order_of_its_schema() -> None:
    """severity, code, diagnostics (FHIR R4 OperationOutcome)."""
    issue: dict[str, Any] = {"diagnostics": "x", "code": "invalid", "severity": "error"}
    written = write_xml({"resourceType": "OperationOutcome", "issue": [issue]}).decode()

    assert written.index("severity") < written.index("code") < written.index("diagnostics")
