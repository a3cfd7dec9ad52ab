"""The routes of Consent in the FHIR R4 API, in JSON and in XML (IHE PCF ITI-108: both are to be supported)."""

from typing import Any

from flask import Blueprint, Response, request
from werkzeug.http import http_date

from gateway.auth.guards import current_requester
from gateway.errors import MethodNotAllowed, UnsupportedParameter
from gateway.fhir.consent_body import Condition, consent_id_in
from gateway.fhir.consent_face import ConsentFace
from gateway.fhir.consent_operations import answer_of
from gateway.fhir.consent_told import Told
from gateway.fhir.routes import EVERY_METHOD, PREFIX
from gateway.fhir.two_forms import sent_resource, speaks_both, wanted_form, without_xml_format, written
from gateway.fhir.wire import search_pairs, strictly, the_line, the_request


def consent_blueprint(face: ConsentFace) -> Blueprint:
    """Consent: search, read, history, create, update, file and revoke."""
    blueprint = Blueprint("consent", __name__, url_prefix=f"{PREFIX}/Consent")
    speaks_both(blueprint)
    _add_reads(blueprint, face)
    _add_writes(blueprint, face)
    _add_refusals(blueprint)
    return blueprint


def _add_reads(blueprint: Blueprint, face: ConsentFace) -> None:
    @blueprint.get("")
    @blueprint.post("/_search")
    def search() -> Response:
        stated = search_pairs()
        form = wanted_form(stated)
        pairs = without_xml_format(stated)
        as_format = tuple(pair for pair in stated if pair not in pairs)[:1]
        asked = the_request("consent-search")
        bundle, pretty = face.search(pairs, current_requester(), asked, strict=strictly(), as_format=as_format)
        return written(bundle, form, pretty=pretty)

    @blueprint.get("/<id_>")
    def read(id_: str) -> Response:
        form = wanted_form()
        return _told(face.read(id_, current_requester(), the_line("consent-read")), form)

    @blueprint.get("/<id_>/_history")
    def history(id_: str) -> Response:
        form = wanted_form()
        return written(face.history(id_, current_requester(), the_line("consent-read")), form)

    @blueprint.get("/<id_>/_history/<version>")
    def read_version(id_: str, version: str) -> Response:
        form = wanted_form()
        return _told(face.read(id_, current_requester(), the_line("consent-read"), version), form)


def _add_writes(blueprint: Blueprint, face: ConsentFace) -> None:
    @blueprint.post("")
    def create() -> Response:
        form = wanted_form()
        if request.headers.get("If-None-Exist") is not None:
            raise UnsupportedParameter("a Consent is not created conditionally")
        return _told(face.create(sent_resource(), current_requester(), the_line("consent-create")), form, face.base)

    @blueprint.put("/<id_>")
    def update(id_: str) -> Response:
        form = wanted_form()
        line = the_line("consent-update")
        return _told(face.update(id_, sent_resource(), current_requester(), line, _condition()), form)

    @blueprint.post("/$fileConsent")
    def file_consent() -> Response:
        form = wanted_form()
        asked = sent_resource()
        told = face.file(asked, current_requester(), the_line("consent-create"))
        return _told(told, form, face.base, answer_of(asked, told, "filed"))

    @blueprint.post("/$who-may-answer")
    def who_may_answer() -> Response:
        form = wanted_form()
        return written(face.who_may_answer(sent_resource(), current_requester(), the_line("consent-search")), form)

    @blueprint.post("/$revokeConsent")
    def revoke_consent() -> Response:
        form, asked = wanted_form(), sent_resource()
        told = revoked(consent_id_in(asked, face.base), asked)
        return _told(told, form, body=answer_of(asked, told, "inactive"))

    @blueprint.post("/<id_>/$revokeConsent")
    def revoke_one(id_: str) -> Response:
        form = wanted_form()
        return _told(revoked(id_, sent_resource() if request.get_data() else {}), form)

    def revoked(id_: str, asked: dict[str, Any]) -> Told:
        return face.revoke(id_, asked, current_requester(), the_line("consent-update"), _condition())


def _condition() -> Condition:
    return Condition(if_match=request.headers.get("If-Match"), if_none_match=request.headers.get("If-None-Match"))


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


def _told(told: Told, form: str, created_at: str | None = None, body: dict[str, Any] | None = None) -> Response:
    """The version, or `body` in its place, with the headers of the version."""
    response = written(body or told.resource, form, status=201 if created_at else 200)
    response.headers["ETag"] = told.etag
    response.headers["Last-Modified"] = http_date(told.recorded)
    if created_at:
        response.headers["Location"] = f"{created_at}/Consent/{told.resource['id']}/_history/{told.version}"
    return response
