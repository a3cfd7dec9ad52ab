"""The routes of Consent in the FHIR R4 API, in JSON and in XML (IHE PCF ITI-108: both are to be supported)."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, g, request
from werkzeug.http import http_date

from gateway.audit.record import AuditKind
from gateway.auth.guards import current_requester
from gateway.disclosure import Request
from gateway.errors import MethodNotAllowed, UnsupportedMediaType, UnsupportedParameter
from gateway.fhir.consent_body import consent_id_in, consent_in
from gateway.fhir.consent_face import ConsentFace, Told
from gateway.fhir.json_in import read_json_object
from gateway.fhir.negotiation import require_answer_type, require_json_body
from gateway.fhir.query_string import Pairs
from gateway.fhir.routes import EVERY_METHOD, PREFIX
from gateway.fhir.wire import answer, search_pairs, strictly, the_request
from gateway.fhir.xml_form import FHIR_XML, read_xml_resource, write_xml

_XML = frozenset((FHIR_XML, "application/xml", "text/xml", "xml", "application/fhir xml", "application/xml+fhir"))


def consent_blueprint(face: ConsentFace) -> Blueprint:
    """Consent: search, read, history, create, update, file and revoke."""
    blueprint = Blueprint("consent", __name__, url_prefix=f"{PREFIX}/Consent")
    _add_reads(blueprint, face)
    _add_writes(blueprint, face)
    _add_refusals(blueprint)
    return blueprint


def _add_reads(blueprint: Blueprint, face: ConsentFace) -> None:
    @blueprint.get("")
    @blueprint.post("/_search")
    def search() -> Response:
        form = _answer_form()
        pairs = _without_xml_format(search_pairs()) if form == FHIR_XML else search_pairs()
        bundle, pretty = face.search(pairs, current_requester(), the_request("consent-search"), strict=strictly())
        return _written(bundle, form, pretty=pretty)

    @blueprint.get("/<id_>")
    def read(id_: str) -> Response:
        form = _answer_form()
        return _told(face.read(id_, current_requester(), _line("consent-read")), form)

    @blueprint.get("/<id_>/_history")
    def history(id_: str) -> Response:
        form = _answer_form()
        return _written(face.history(id_, current_requester(), _line("consent-read")), form)

    @blueprint.get("/<id_>/_history/<version>")
    def read_version(id_: str, version: str) -> Response:
        form = _answer_form()
        return _told(face.read(id_, current_requester(), _line("consent-read"), version), form)


def _add_writes(blueprint: Blueprint, face: ConsentFace) -> None:
    @blueprint.post("")
    def create() -> Response:
        form = _answer_form()
        if request.headers.get("If-None-Exist") is not None:
            raise UnsupportedParameter("a Consent is not created conditionally")
        return _told(face.create(_body(), current_requester(), _line("consent-create")), form, face.base)

    @blueprint.put("/<id_>")
    def update(id_: str) -> Response:
        form = _answer_form()
        if_match = request.headers.get("If-Match")
        return _told(face.update(id_, _body(), current_requester(), _line("consent-update"), if_match), form)

    @blueprint.post("/$fileConsent")
    def file_consent() -> Response:
        form = _answer_form()
        return _told(face.file(consent_in(_body()), current_requester(), _line("consent-create")), form, face.base)

    @blueprint.post("/$who-may-answer")
    def who_may_answer() -> Response:
        form = _answer_form()
        return _written(face.who_may_answer(_body(), current_requester(), _line("consent-search")), form)

    @blueprint.post("/$revokeConsent")
    def revoke_consent() -> Response:
        form = _answer_form()
        id_ = consent_id_in(_body(), face.base)
        if_match = request.headers.get("If-Match")
        return _told(face.revoke(id_, current_requester(), _line("consent-update"), if_match), form)

    @blueprint.post("/<id_>/$revokeConsent")
    def revoke_one(id_: str) -> Response:
        form = _answer_form()
        if_match = request.headers.get("If-Match")
        return _told(face.revoke(id_, current_requester(), _line("consent-update"), if_match), form)


def _add_refusals(blueprint: Blueprint) -> None:
    """What is there and is not done: a Consent is never deleted (FAST OP6) nor patched."""
    for rule, allowed in {
        "": ["GET", "POST"],
        "/_search": ["POST"],
        "/<id_>": ["GET", "PUT"],
        "/<id_>/_history": ["GET"],
        "/<id_>/_history/<version>": ["GET"],
        "/$fileConsent": ["POST"],
        "/$who-may-answer": ["POST"],
        "/$revokeConsent": ["POST"],
        "/<id_>/$revokeConsent": ["POST"],
    }.items():
        rest = [method for method in EVERY_METHOD if method not in allowed]
        blueprint.add_url_rule(rule, f"refuse_{rule}", _refusal(allowed), methods=rest)


def _refusal(allowed: list[str]) -> Any:
    def refuse(**_: str) -> Response:
        raise MethodNotAllowed(allowed)

    return refuse


def _line(kind: AuditKind) -> Request:
    """The request as the audit keeps it: its line. What was filed is on file itself."""
    line = f"{request.method} {request.environ.get('RAW_URI') or request.full_path.removesuffix('?')}"
    return Request(kind=kind, raw=line, id=g.request_id, network=request.remote_addr)


def _body() -> dict[str, Any]:
    """The resource that was sent. Raises UnsupportedMediaType, InvalidQuery, PayloadTooLarge."""
    media_type = (request.content_type or "").partition(";")[0].strip().lower()
    if media_type in _XML:
        return read_xml_resource(request.get_data())
    try:
        require_json_body(request.content_type)
    except UnsupportedMediaType as exc:
        raise UnsupportedMediaType("the body is application/fhir+json or application/fhir+xml") from exc
    return read_json_object(request.get_data())


def _answer_form() -> str:
    """The Content-Type of the answer. `_format` counts first; of what `Accept` takes, the first that is named."""
    format_ = request.args.get("_format")
    if format_ is not None:
        return FHIR_XML if format_.strip().lower() in _XML else require_answer_type(None, format_)
    accept = request.headers.get("Accept") or ""
    best = max(_ranges(accept), key=lambda one: one[0], default=(0.0, ""))
    if best[1] in _XML and best[0] > 0:
        return FHIR_XML
    return require_answer_type(accept)


def _ranges(accept: str) -> list[tuple[float, str]]:
    ranges = []
    for choice in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in choice.split(";"))
        quality = next((one.removeprefix("q=") for one in parameters if one.startswith("q=")), "1")
        try:
            ranges.append((float(quality), media_type))
        except ValueError:
            continue
    return ranges


def _without_xml_format(pairs: Pairs) -> Pairs:
    return tuple((name, value) for name, value in pairs if name != "_format")


def _written(resource: Mapping[str, Any], form: str, *, status: int = 200, pretty: bool = False) -> Response:
    if form != FHIR_XML:
        return answer(resource, form, status=status, pretty=pretty)
    response = Response(write_xml(resource, pretty=pretty), status, content_type=f"{FHIR_XML}; charset=utf-8")
    response.headers["Cache-Control"] = "no-store"
    return response


def _told(told: Told, form: str, created_at: str | None = None) -> Response:
    response = _written(told.resource, form, status=201 if created_at else 200)
    response.headers["ETag"] = told.etag
    response.headers["Last-Modified"] = http_date(told.recorded)
    if created_at:
        response.headers["Location"] = f"{created_at}/Consent/{told.resource['id']}/_history/{told.version}"
    return response
