"""In which form is the answer wanted, and in which does the question come? (FHIR R4 RESTful API §3.1.0.1.8–11)"""

from collections.abc import Iterator, Mapping

from gateway.errors import NotAcceptable, UnsupportedMediaType

FHIR_JSON = "application/fhir+json"
JSON = "application/json"
FHIR_XML = "application/fhir+xml"
_FHIR_VERSIONS = frozenset(("4.0", "4.0.1"))
_FORMATS = frozenset(("json", JSON, "text/json", FHIR_JSON, "application/fhir json", "application/json+fhir"))
_RANGES = {
    "*/*": FHIR_JSON,
    "application/*": FHIR_JSON,
    FHIR_JSON: FHIR_JSON,
    "application/json+fhir": FHIR_JSON,
    JSON: JSON,
    "text/json": JSON,
}
_XML = frozenset(("xml", FHIR_XML, "application/xml", "text/xml", "application/fhir xml", "application/xml+fhir"))
_RANGES_WITH_XML = {**_RANGES, **dict.fromkeys(_XML - {"xml", "application/fhir xml"}, FHIR_XML)}


def require_answer_type(accept: str | None, format_: str | None = None, *, with_xml: bool = False) -> str:
    """The Content-Type of the answer: `_format` where it is given, else the best of `Accept` (RFC 9110 §12.5.1).

    A client that asks for plain JSON is told plain JSON. Raises NotAcceptable where no JSON of FHIR R4 would do, nor
    XML `with_xml`.
    """
    if format_:
        if with_xml and is_xml_format(format_):
            return FHIR_XML
        require_json_format(format_)
        return FHIR_JSON
    if not accept or not accept.strip():
        return FHIR_JSON
    ranges = _RANGES_WITH_XML if with_xml else _RANGES
    wanted = sorted(_acceptable(accept, ranges), key=lambda choice: choice[0], reverse=True)
    if not wanted:
        forms = "JSON or XML" if with_xml else "JSON"
        raise NotAcceptable(f"the gateway answers in {forms} of FHIR R4 ({FHIR_JSON}; fhirVersion=4.0)")
    return wanted[0][1]


def is_xml_format(format_: str) -> bool:
    """Whether `_format` names XML of FHIR R4, its `+` percent-encoded or not."""
    media_type, parameters = _media_type(format_)
    return media_type in _XML and _is_r4(parameters)


def require_json_format(format_: str) -> None:
    """`_format` names JSON, its `+` percent-encoded or not. Raises NotAcceptable otherwise."""
    media_type, parameters = _media_type(format_)
    if media_type not in _FORMATS or not _is_r4(parameters):
        raise NotAcceptable("_format: the gateway answers in JSON of FHIR R4")


def require_form(content_type: str | None) -> None:
    """The body of a POST `_search` is a form in UTF-8. Raises UnsupportedMediaType otherwise."""
    media_type, parameters = _media_type(content_type or "")
    if media_type != "application/x-www-form-urlencoded" or not _is_utf8(parameters):
        raise UnsupportedMediaType("a POST _search is application/x-www-form-urlencoded")


def require_json_body(content_type: str | None) -> None:
    """The body of a FHIR request is JSON of FHIR R4 in UTF-8. Raises UnsupportedMediaType otherwise."""
    media_type, parameters = _media_type(content_type or "")
    if media_type not in (FHIR_JSON, JSON) or not _is_r4(parameters) or not _is_utf8(parameters):
        raise UnsupportedMediaType("the body is application/fhir+json")


def is_xml_body(content_type: str | None) -> bool:
    """Whether the body is XML of FHIR R4 in UTF-8. Raises UnsupportedMediaType for XML that is neither."""
    media_type, parameters = _media_type(content_type or "")
    if media_type not in _XML:
        return False
    if not _is_r4(parameters) or not _is_utf8(parameters):
        raise UnsupportedMediaType("the body is application/fhir+xml of FHIR R4 in UTF-8")
    return True


def is_strict(prefer: str | None) -> bool:
    """Whether `Prefer: handling=strict` is asked for."""
    return prefers(prefer, "handling") == "strict"


def prefers(prefer: str | None, what: str) -> str:
    """What the header prefers of `what`, empty where it says nothing; the first one counts (RFC 7240 §2)."""
    for preference in (prefer or "").split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == what:
            return value.strip().strip('"').lower()
    return ""


def _acceptable(accept: str, ranges: Mapping[str, str]) -> Iterator[tuple[float, str]]:
    for choice in accept.split(","):
        media_range, parameters = _media_type(choice)
        quality = _quality(parameters.get("q", "1"))
        if media_range in ranges and quality > 0 and _is_r4(parameters):
            yield quality, ranges[media_range]


def _media_type(text: str) -> tuple[str, dict[str, str]]:
    media_type, *rest = text.split(";")
    parameters = {}
    for parameter in rest:
        name, _, value = parameter.partition("=")
        parameters[name.strip().lower()] = value.strip().strip('"')
    return media_type.strip().lower(), parameters


def _quality(text: str) -> float:
    try:
        return min(1.0, float(text))
    except ValueError:
        return 0.0


def _is_r4(parameters: dict[str, str]) -> bool:
    return parameters.get("fhirversion", "4.0") in _FHIR_VERSIONS


def _is_utf8(parameters: dict[str, str]) -> bool:
    return parameters.get("charset", "utf-8").lower() in ("utf-8", "utf8")
