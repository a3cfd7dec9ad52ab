"""Formats of answers and questions."""

import pytest

from gateway.errors import NotAcceptable, UnsupportedMediaType
from gateway.fhir.negotiation import is_strict, require_answer_type, require_form, require_json_body

FHIR = "application/fhir+json"


@pytest.mark.parametrize(
    ("accept", "format_", "answered"),
    [
        (None, None, FHIR),
        ("", "", FHIR),
        (" ", None, FHIR),
        ("*/*", None, FHIR),
        ("application/*", None, FHIR),
        (FHIR, None, FHIR),
        ("application/fhir+json; fhirVersion=4.0", None, FHIR),
        ('application/fhir+json;fhirVersion="4.0"', None, FHIR),
        ("Application/FHIR+JSON; charset=utf-8", None, FHIR),
        ("application/json", None, "application/json"),
        ("application/xml, application/json;q=0.5", None, "application/json"),
        ("application/json;q=0.5, application/fhir+json;q=0.9", None, FHIR),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", None, FHIR),
        ("application/fhir+xml", "json", FHIR),
        ("text/html", "application/fhir+json", FHIR),
        ("text/html", "application/fhir json", FHIR),
        ("text/html", "application/fhir+json; fhirVersion=4.0", FHIR),
        (None, "application/json", FHIR),
        (None, "text/json", FHIR),
    ],
)
def test_an_answer_in_json_is_acceptable(accept: str | None, format_: str | None, answered: str) -> None:
    """`_format` goes before `Accept`; the best of `Accept` decides what JSON is called."""
    assert require_answer_type(accept, format_) == answered


@pytest.mark.parametrize(
    ("accept", "format_"),
    [
        ("application/fhir+xml", None),
        ("text/html", None),
        ("application/fhir+json; fhirVersion=5.0", None),
        ("application/fhir+json;q=0", None),
        ("application/fhir+json;q=x", None),
        ("application/dicom+json", None),
        ("*/*", "xml"),
        (FHIR, "html"),
        (FHIR, "application/fhir+json; fhirVersion=5.0"),
    ],
)
def test_t118b_other_forms_are_not_acceptable(accept: str | None, format_: str | None) -> None:
    """XML, HTML, another version of FHIR: 406."""
    with pytest.raises(NotAcceptable):
        require_answer_type(accept, format_)


def test_t118c_a_post_search_is_a_form() -> None:
    """Form fields in UTF-8, else 415."""
    require_form("application/x-www-form-urlencoded")
    require_form("Application/X-WWW-Form-Urlencoded; charset=UTF-8")
    for content_type in (None, "", "application/json", "text/plain", "multipart/form-data; boundary=x"):
        with pytest.raises(UnsupportedMediaType):
            require_form(content_type)
    with pytest.raises(UnsupportedMediaType):
        require_form("application/x-www-form-urlencoded; charset=utf-16")


def test_t118d_a_fhir_body_is_json() -> None:
    """JSON of R4 in UTF-8, else 415."""
    require_json_body("application/fhir+json; fhirVersion=4.0; charset=utf-8")
    require_json_body("application/json")
    for content_type in (
        *(None, "text/plain", "application/fhir+xml", "application/json; charset=latin1"),
        "application/fhir+json; fhirVersion=5.0",
    ):
        with pytest.raises(UnsupportedMediaType):
            require_json_body(content_type)


@pytest.mark.parametrize(
    ("prefer", "strict"),
    [
        (None, False),
        ("", False),
        ("handling=lenient", False),
        ("handling=strict", True),
        ('return=minimal, Handling = "STRICT"; x=y', True),
        ("handling=lenient, handling=strict", False),
        ("respond-async", False),
        ("handling", False),
    ],
)
def test_the_first_handling_preference_counts(prefer: str | None, strict: bool) -> None:
    """RFC 7240 §2."""
    assert is_strict(prefer) is strict
