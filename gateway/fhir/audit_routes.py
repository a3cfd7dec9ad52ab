"""The routes of AuditEvent in the FHIR R4 API: it is searched and read; nobody writes, changes or removes it (T91)."""

from flask import Blueprint, Response

from gateway.auth.guards import current_requester
from gateway.errors import MethodNotAllowed
from gateway.fhir.audit_face import AuditFace
from gateway.fhir.routes import EVERY_METHOD, PREFIX
from gateway.fhir.wire import answer, require_acceptable, search_pairs, strictly, the_line, the_request


def audit_blueprint(face: AuditFace) -> Blueprint:
    """AuditEvent: search and read."""
    blueprint = Blueprint("audit", __name__, url_prefix=f"{PREFIX}/AuditEvent")

    @blueprint.get("")
    @blueprint.post("/_search")
    def search() -> Response:
        form = require_acceptable()
        pairs = search_pairs()
        bundle, pretty = face.search(pairs, current_requester(), the_request("audit-search"), strict=strictly())
        return answer(bundle, form, pretty=pretty)

    @blueprint.get("/<id_>")
    def read(id_: str) -> Response:
        return answer(face.read(id_, current_requester(), the_line("audit-read")), require_acceptable())

    _refuse(blueprint, "", ["GET"])
    _refuse(blueprint, "/_search", ["POST"])
    _refuse(blueprint, "/<id_>", ["GET"])
    return blueprint


def _refuse(blueprint: Blueprint, rule: str, allowed: list[str]) -> None:
    def refuse(**_: str) -> Response:
        raise MethodNotAllowed(allowed)

    rest = [method for method in EVERY_METHOD if method not in allowed]
    blueprint.add_url_rule(rule, f"refuse_{rule}", refuse, methods=rest)
