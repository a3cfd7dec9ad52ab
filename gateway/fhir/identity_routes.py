"""The routes of IHE PIXm and of PDQm's `$match`: cross-references, matching, feeds, in JSON and in XML."""

from flask import Blueprint, Response, request

from gateway.auth.guards import current_requester
from gateway.errors import UnsupportedParameter
from gateway.fhir.match import MatchFace
from gateway.fhir.negotiation import prefers
from gateway.fhir.patient_feed import Fed, FeedFace
from gateway.fhir.pix import PixFace, pairs_of_parameters
from gateway.fhir.query_string import Pairs, read_pairs
from gateway.fhir.routes import PREFIX
from gateway.fhir.two_forms import sent_resource, speaks_both, wanted_form, written
from gateway.fhir.wire import search_pairs, strictly, the_line, the_request

_FORM = "application/x-www-form-urlencoded"


def identity_blueprint(pix: PixFace, feed: FeedFace, match: MatchFace) -> Blueprint:
    """Cross-references, matching, and what feeds say."""
    blueprint = Blueprint("identity", __name__, url_prefix=f"{PREFIX}/Patient")
    speaks_both(blueprint)
    _add_pix(blueprint, pix)
    _add_match(blueprint, match)
    _add_feed(blueprint, feed)
    return blueprint


def _add_pix(blueprint: Blueprint, face: PixFace) -> None:
    def cross_references() -> Response:
        asked = _asked()
        form = wanted_form(asked)
        return written(face.answer(asked, current_requester(), the_line("patient-search"), strict=strictly()), form)

    blueprint.add_url_rule("/$ihe-pix", "pix", cross_references, methods=["GET", "POST"])


def _add_match(blueprint: Blueprint, face: MatchFace) -> None:
    @blueprint.post("/$match")
    def match() -> Response:
        form = wanted_form()
        return written(face.answer(sent_resource(), current_requester(), the_request("patient-search")), form)


def _add_feed(blueprint: Blueprint, face: FeedFace) -> None:
    @blueprint.put("")
    def put() -> Response:
        form = wanted_form()
        _require_unconditional()
        pairs = read_pairs(request.query_string)
        fed = face.put(pairs, sent_resource(), current_requester(), the_line("patient-feed"))
        return _told(fed, form, face.base)

    @blueprint.delete("")
    def delete() -> Response:
        _require_unconditional()
        face.delete(read_pairs(request.query_string), current_requester(), the_line("patient-feed"))
        response = Response(status=204)
        response.headers["Cache-Control"] = "no-store"
        return response


def _asked() -> Pairs:
    if request.method == "POST" and request.mimetype != _FORM:
        return read_pairs(request.query_string) + pairs_of_parameters(sent_resource())
    return search_pairs()


def _require_unconditional() -> None:
    # Ignoring a condition would do what the client wanted not to be done.
    if any(name in request.headers for name in ("If-Match", "If-None-Match", "If-Modified-Since", "If-None-Exist")):
        raise UnsupportedParameter("Patients have no versions: a feed's condition is its identifier alone")


def _told(fed: Fed, form: str, base: str) -> Response:
    if prefers(request.headers.get("Prefer"), "return") == "minimal":
        response = Response(status=fed.status)
        response.headers["Cache-Control"] = "no-store"
    else:
        response = written(fed.resource, form, status=fed.status)
    if fed.status == 201:
        response.headers["Location"] = f"{base}/Patient/{fed.person}"
    return response
