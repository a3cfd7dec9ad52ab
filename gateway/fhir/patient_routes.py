"""The routes of Patient: search and read, in JSON and in XML (IHE PDQm ITI-78)."""

from flask import Blueprint, Response

from gateway.auth.guards import current_requester
from gateway.fhir.negotiation import FHIR_XML
from gateway.fhir.patient_face import PatientFace
from gateway.fhir.routes import PREFIX
from gateway.fhir.two_forms import speaks_both, wanted_form, written
from gateway.fhir.wire import search_pairs, strictly, the_request


def patient_blueprint(face: PatientFace) -> Blueprint:
    """Search by GET and by POST, and read."""
    blueprint = Blueprint("patient", __name__, url_prefix=f"{PREFIX}/Patient")
    speaks_both(blueprint)

    @blueprint.get("")
    @blueprint.post("/_search")
    def search() -> Response:
        pairs = search_pairs()
        form = wanted_form(pairs)
        answered = face.search(pairs, current_requester(), the_request("patient-search"), strict=strictly())
        return written(answered.bundle, FHIR_XML if answered.xml else form, pretty=answered.pretty)

    @blueprint.get("/<id_>")
    def read(id_: str) -> Response:
        form = wanted_form()
        return written(face.read(id_, current_requester(), the_request("patient-read")), form)

    return blueprint
