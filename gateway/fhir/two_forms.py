"""JSON or XML? For the parts of the API whose profiles ask for both: what came, and what is wanted."""

from collections.abc import Iterator, Mapping
from typing import Any

from flask import Response, request

from gateway.errors import UnsupportedMediaType
from gateway.fhir.json_in import read_json_object
from gateway.fhir.negotiation import require_answer_type, require_json_body
from gateway.fhir.query_string import Pairs
from gateway.fhir.wire import answer
from gateway.fhir.xml_form import FHIR_XML, read_xml_resource, write_xml

_XML = frozenset((FHIR_XML, "application/xml", "text/xml", "xml", "application/fhir xml", "application/xml+fhir"))


def wanted_form(format_: str | None = None) -> str:
    """The Content-Type of the answer: `_format` first, of the URL or as given, then the best of `Accept`.

    Raises NotAcceptable where it is neither JSON nor XML.
    """
    format_ = request.args.get("_format") or format_
    if format_:
        return FHIR_XML if _media_type(format_) in _XML else require_answer_type(None, format_)
    accept = request.headers.get("Accept") or ""
    quality, best = max(_ranges(accept), key=lambda one: one[0], default=(0.0, ""))
    return FHIR_XML if quality > 0 and best in _XML else require_answer_type(accept)


def without_xml_format(pairs: Pairs) -> Pairs:
    """`pairs` but a `_format` that asks for XML, which has been obeyed."""
    return tuple((name, value) for name, value in pairs if name != "_format" or _media_type(value) not in _XML)


def sent_resource() -> dict[str, Any]:
    """The resource in the body. Raises UnsupportedMediaType, InvalidQuery, PayloadTooLarge."""
    if _media_type(request.content_type or "") in _XML:
        return read_xml_resource(request.get_data())
    try:
        require_json_body(request.content_type)
    except UnsupportedMediaType as exc:
        raise UnsupportedMediaType("the body is application/fhir+json or application/fhir+xml") from exc
    return read_json_object(request.get_data())


def written(resource: Mapping[str, Any], form: str, *, status: int = 200, pretty: bool = False) -> Response:
    """`resource` in that form; nobody may store it."""
    if form != FHIR_XML:
        return answer(resource, form, status=status, pretty=pretty)
    response = Response(write_xml(resource, pretty=pretty), status, content_type=f"{FHIR_XML}; charset=utf-8")
    response.headers["Cache-Control"] = "no-store"
    return response


def _media_type(text: str) -> str:
    return text.partition(";")[0].strip().lower()


def _ranges(accept: str) -> Iterator[tuple[float, str]]:
    for choice in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in choice.split(";"))
        quality = next((one.removeprefix("q=") for one in parameters if one.startswith("q=")), "1")
        try:
            yield float(quality), media_type
        except ValueError:
            continue
