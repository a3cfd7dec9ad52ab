"""The authorization server's routes, each behind its guard."""

from collections.abc import Callable

from flask import Blueprint, Flask

from gateway.auth.guards import Guard, open_to_anyone, optional_person, requires_person
from gateway.config import Settings
from gateway.oauth.app_grants import authorization_code, refresh_token
from gateway.oauth.authorize import AuthorizeFace, authorize_blueprint, decision_blueprint
from gateway.oauth.connected_apps import connected_apps_blueprint
from gateway.oauth.limited import limit_failures
from gateway.oauth.metadata import metadata_blueprint
from gateway.oauth.patient_name import PatientNames
from gateway.oauth.token import client_credentials, token_blueprint
from gateway.oauth.token_exchange import GRANT_TYPE, token_exchange
from gateway.oauth.token_status import introspection_blueprint, revocation_blueprint
from gateway.wiring import House

Serve = Callable[[Flask, Blueprint, Guard], None]


def serve_oauth(app: Flask, settings: Settings, house: House, serve: Serve) -> None:
    """Systems and apps get tokens, ask about them and end them; people decide about apps."""
    oauth, clock, limits = house.oauth, house.rooms.clock, house.rooms.limits
    serve(app, metadata_blueprint(settings, oauth.signing), open_to_anyone("RFC 8414, SMART §conformance: discovery"))
    grants = {
        "client_credentials": client_credentials(oauth.systems),
        "authorization_code": authorization_code(oauth.clients, oauth.apps),
        "refresh_token": refresh_token(oauth.clients, oauth.apps),
        GRANT_TYPE: token_exchange(oauth.clients, house.retrieval.exchange),
    }
    proves_itself = open_to_anyone("the client proves itself in the request (RFC 6749 §2.3, RFC 7523)")
    serve(app, limit_failures(token_blueprint(grants, clock), limits), proves_itself)
    asked = introspection_blueprint(oauth.clients, oauth.introspection, house.retrieval.introspection, clock)
    serve(app, limit_failures(asked, limits), proves_itself)
    serve(app, limit_failures(revocation_blueprint(oauth.clients, oauth.ends, clock), limits), proves_itself)
    face = AuthorizeFace(
        authorization=oauth.authorization,
        clients=oauth.registry,
        rooms=house.rooms,
        keys=house.keys,
        base_url=settings.base_url,
        fhir_base=settings.fhir_base,
        online=settings.session_longest,
        name_of=PatientNames(house.rooms),
    )
    door = house.people.door
    serve(app, authorize_blueprint(face), optional_person(door, "an app may send anybody here (RFC 6749 §4.1.1)"))
    serve(app, decision_blueprint(face), requires_person(door))
    serve(app, connected_apps_blueprint(face), requires_person(door))
