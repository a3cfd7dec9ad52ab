"""JSON or XML? For the parts of the API whose profiles ask for both: what came, and what is wanted.

IHE PIXm ITI-83 and ITI-104, PDQm ITI-119 and PCF ITI-108. Their refusals, those of the guard included, are told in the
form that the answer was wanted in.
"""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, g, request

from gateway.errors import NotAcceptable, UnsupportedMediaType
from gateway.fhir.json_in import read_json_object
from gateway.fhir.negotiation import (
    FHIR_JSON,
    FHIR_XML,
    is_xml_body,
    is_xml_format,
    require_answer_type,
    require_json_body,
)
from gateway.fhir.query_string import Pairs
from gateway.fhir.wire import answer
from gateway.fhir.xml_form import read_xml_resource, write_xml

_MARK = "speaks_xml"
_FORMAT = "answer_format"


def speaks_both(blueprint: Blueprint) -> None:
    """From now on the refusals of `blueprint` are told in XML to whoever asks for XML. Call it before the guard."""
    blueprint.before_request(lambda: setattr(g, _MARK, True))


def wanted_form(pairs: Pairs = ()) -> str:
    """The Content-Type of the answer: `_format` first, of the URL or among `pairs`, then the best of `Accept`.

    Raises NotAcceptable where it is neither JSON nor XML.
    """
    stated = [value for name, value in pairs if name == "_format" and value]
    if stated:
        setattr(g, _FORMAT, stated[0])  # of the form of a POST _search: its refusals are told in it too
    format_ = request.args.get("_format") or g.get(_FORMAT)
    return require_answer_type(request.headers.get("Accept"), format_, with_xml=True)


def form_of_refusal() -> str:
    """The Content-Type in which a refusal of this request is told: JSON, unless the route has XML and it is wanted."""
    if not g.get(_MARK):
        return FHIR_JSON
    try:
        return FHIR_XML if wanted_form() == FHIR_XML else FHIR_JSON
    except NotAcceptable:
        return FHIR_JSON


def without_xml_format(pairs: Pairs) -> Pairs:
    """`pairs` but a `_format` that asks for XML, which has been obeyed."""
    return tuple((name, value) for name, value in pairs if name != "_format" or not is_xml_format(value))


def sent_resource() -> dict[str, Any]:
    """The resource in the body. Raises UnsupportedMediaType, InvalidQuery, PayloadTooLarge."""
    if is_xml_body(request.content_type):
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
