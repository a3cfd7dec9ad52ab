"""The routes of the FHIR R4 API. A view parses, calls one use-case, and writes the answer down."""

from flask import Blueprint, Response, g, request

from gateway.auth.guards import current_requester
from gateway.config import Settings
from gateway.db.crypto import KeyRing
from gateway.deadline import Deadline
from gateway.errors import MethodNotAllowed, NotFound, UnsupportedParameter
from gateway.fhir.capability import capability_statement
from gateway.fhir.directory_face import read_directory, search_directory
from gateway.fhir.imaging_face import ImagingFace
from gateway.fhir.search_params import DirectoryType
from gateway.fhir.wire import answer, require_acceptable, search_pairs, strictly, the_request
from gateway.rooms import Rooms
from gateway.turnstile import turnstile

PREFIX = "/fhir/r4"
TYPES = ("ImagingStudy", "Patient", "Endpoint", "Organization")
"""Types that are read and searched only; Patient and Consent have routes of their own."""
EVERY_METHOD = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def capability_blueprint(settings: Settings) -> Blueprint:
    """`GET [base]/metadata`."""
    blueprint = Blueprint("capability", __name__, url_prefix=PREFIX)
    statement = capability_statement(base=settings.fhir_base, token_url=settings.token_url)

    @blueprint.get("/metadata")
    def metadata() -> Response:
        return answer(statement, require_acceptable())

    return blueprint


def fhir_blueprint(rooms: Rooms, settings: Settings, keys: KeyRing) -> Blueprint:
    """Search and read of everything the gateway has, and clear refusals of everything else."""
    blueprint = Blueprint("fhir", __name__, url_prefix=PREFIX)
    _add_imaging(blueprint, ImagingFace(rooms=rooms, keys=keys, base=settings.fhir_base), settings)
    _add_directory(blueprint, "Endpoint", rooms, settings.fhir_base)
    _add_directory(blueprint, "Organization", rooms, settings.fhir_base)
    _add_refusals(blueprint)
    return blueprint


def _add_imaging(blueprint: Blueprint, face: ImagingFace, settings: Settings) -> None:
    @blueprint.get("/ImagingStudy")
    @blueprint.post("/ImagingStudy/_search")
    def search_imaging() -> Response:
        deadline = Deadline.after(settings.deadline)
        form = require_acceptable()
        asked = the_request("imaging-search")
        pairs = search_pairs()
        with turnstile.inside(deadline.remaining()):
            bundle, pretty = face.search(pairs, current_requester(), deadline, asked, strict=strictly())
            return answer(bundle, form, pretty=pretty)

    @blueprint.get("/ImagingStudy/<id_>")
    def read_imaging(id_: str) -> Response:
        deadline = Deadline.after(settings.deadline)
        form = require_acceptable()
        with turnstile.inside(deadline.remaining()):
            return answer(face.read(id_, current_requester(), deadline, the_request("imaging-read")), form)


def _add_directory(blueprint: Blueprint, kind: DirectoryType, rooms: Rooms, base: str) -> None:
    def search() -> Response:
        form = require_acceptable()
        pairs, now = search_pairs(), rooms.clock()
        bundle, pretty = search_directory(
            pairs, kind, rooms, base, g.request_id, now, requester=current_requester(), strict=strictly()
        )
        return answer(bundle, form, pretty=pretty)

    def read(id_: str) -> Response:
        return answer(read_directory(kind, id_, rooms, current_requester()), require_acceptable())

    blueprint.add_url_rule(f"/{kind}", f"search_{kind}", search, methods=["GET"])
    blueprint.add_url_rule(f"/{kind}/_search", f"post_search_{kind}", search, methods=["POST"])
    blueprint.add_url_rule(f"/{kind}/<id_>", f"read_{kind}", read, methods=["GET"])


def _add_refusals(blueprint: Blueprint) -> None:
    @blueprint.route("", methods=EVERY_METHOD, strict_slashes=False)
    @blueprint.route("/", methods=EVERY_METHOD)
    def whole_system() -> Response:
        if request.method == "POST":
            raise UnsupportedParameter("batch and transaction Bundles are not supported: send one request at a time")
        raise NotFound

    @blueprint.route("/<path:rest>", methods=EVERY_METHOD)
    def anything_else(rest: str) -> Response:
        parts = rest.split("/")
        if parts[0] in TYPES and len(parts) <= 2:
            raise MethodNotAllowed(["POST"] if parts[1:] == ["_search"] else ["GET"])
        raise NotFound
