"""What is served, and who gets in: one screen."""

from flask import Blueprint, Flask
from werkzeug.exceptions import HTTPException

from gateway.app_audit import serve_audit
from gateway.app_oauth import serve_oauth
from gateway.app_pages import serve_pages
from gateway.app_viewing import FOR_VIEWERS, serve_viewing
from gateway.auth.guards import Guard, only_from, open_to_anyone, requires_token
from gateway.config import Settings
from gateway.cors import Origins, share_with_origins
from gateway.errors import GatewayError
from gateway.fhir.cds import cds_blueprint, cds_discovery_blueprint
from gateway.fhir.consent_face import ConsentFace
from gateway.fhir.consent_routes import consent_blueprint
from gateway.fhir.errors import answer_error, answer_http_error, answer_unexpected
from gateway.fhir.identity_routes import identity_blueprint
from gateway.fhir.match import MatchFace
from gateway.fhir.patient_face import PatientFace
from gateway.fhir.patient_feed import FeedFace
from gateway.fhir.patient_routes import patient_blueprint
from gateway.fhir.pix import PixFace
from gateway.fhir.routes import capability_blueprint, fhir_blueprint
from gateway.health import liveness, metrics_page, readiness
from gateway.proxies import believe_proxies
from gateway.request_log import log_requests
from gateway.retrieval.gate import gate_blueprint
from gateway.retrieval.orthanc import orthanc_blueprint
from gateway.wiring import House, build_house

MOST_BODY_BYTES = 1_000_000


def create_app(settings: Settings, house: House | None = None) -> Flask:
    """The application, every blueprint behind its guard. `house` is built from the settings unless it is given."""
    house = house or build_house(settings)
    app = Flask("gateway", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MOST_BODY_BYTES
    app.config["MAX_FORM_MEMORY_SIZE"] = MOST_BODY_BYTES
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # a method that no route names is refused, preflights included
    # A path is what it says: werkzeug would redirect one that is nearly right, to the host that the caller names.
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    app.url_map.redirect_defaults = False
    app.extensions.update({"gateway.guards": {}, "gateway.start": house.start, "gateway.close": house.close})

    serve_pages(app, settings, house, serve)
    with_token = requires_token(house.oauth.bearer, house.rooms.clock, house.rooms.declarations, house.rooms.limits)
    serve(app, fhir_blueprint(house.rooms, settings, house.keys), with_token)
    face = ConsentFace(rooms=house.rooms, desk=house.desk, keys=house.keys, base=settings.fhir_base)
    serve(app, consent_blueprint(face), with_token)
    serve(app, cds_discovery_blueprint(), open_to_anyone("CDS Hooks: discovery"))
    serve(app, cds_blueprint(house.rooms, settings.fhir_base), with_token)
    patient = PatientFace(
        rooms=house.rooms,
        finder=house.finder,
        keys=house.keys,
        base=settings.fhir_base,
        strong_systems=settings.strong_identifier_systems,
    )
    serve(app, patient_blueprint(patient), with_token)
    pix = PixFace(rooms=house.rooms, desk=house.identity, base=settings.fhir_base)
    feed = FeedFace(rooms=house.rooms, desk=house.identity, base=settings.fhir_base)
    match = MatchFace(rooms=house.rooms, questions=house.questions, base=settings.fhir_base)
    serve(app, identity_blueprint(pix, feed, match), with_token)
    serve_audit(app, settings, house, with_token, serve)
    serve(app, capability_blueprint(settings), open_to_anyone("what the server can do is public (FHIR R4 §3.1.1.9)"))
    serve_oauth(app, settings, house, serve)
    retrieval = house.retrieval
    serve(app, gate_blueprint(retrieval.counter, retrieval.callers, house.rooms.clock), retrieval.guard)
    serve(
        app,
        orthanc_blueprint(retrieval.counter, retrieval.callers, retrieval.parts, house.rooms.clock),
        retrieval.guard,
    )
    viewer = serve_viewing(app, settings, house, serve)
    serve(app, liveness(), open_to_anyone("no patient data"))
    serve(app, readiness(house.pings), open_to_anyone("no patient data"))
    serve(app, metrics_page(house.metrics_dir, house.queues), only_from(settings.metrics_allow))

    app.register_error_handler(GatewayError, answer_error(house.rooms))
    app.register_error_handler(HTTPException, answer_http_error)
    app.register_error_handler(Exception, answer_unexpected)
    log_requests(app)
    believe_proxies(app, settings.trusted_proxies)
    share_with_origins(app, Origins(apps=house.app_origins, viewers=viewer, for_viewers=FOR_VIEWERS))
    return app


def serve(app: Flask, blueprint: Blueprint, guard: Guard) -> None:
    """Register `blueprint` behind `guard`, and remember that it stands behind one."""
    guard(blueprint)
    app.extensions["gateway.guards"][blueprint.name] = guard
    app.register_blueprint(blueprint)
