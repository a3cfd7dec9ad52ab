"""CDS Hooks `patient-consent-consult`: may these actors see this patient's imaging? (LEAP consent decision service)

Malformed questions are 400 `bad_request`, and where the consents can't be read it is 503 `service_unavailable`: never
"no consent".
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, g, request

from gateway.auth.guards import current_requester
from gateway.consent_questions import Consulted, consult, rests_on
from gateway.disclosure import Request
from gateway.errors import AccessRefused, DependencyUnavailable, InvalidQuery
from gateway.fhir.consent_obligations import obligations_of
from gateway.fhir.imaging_face import require_scope
from gateway.fhir.json_in import read_json_object
from gateway.fhir.negotiation import JSON
from gateway.fhir.wire import answer
from gateway.model import Identifier, PatientID, PatientRef, Requester
from gateway.purposes import BREAK_GLASS, code_of
from gateway.rooms import Rooms

SERVICE = "patient-consent-consult"
_INDICATOR = {"CONSENT_PERMIT": "info", "CONSENT_DENY": "critical", "NO_CONSENT": "warning"}


def cds_discovery_blueprint() -> Blueprint:
    """`GET /cds-services`: which services there are (CDS Hooks 2.0 §discovery)."""
    blueprint = Blueprint("cds_discovery", __name__, url_prefix="/cds-services")

    @blueprint.get("")
    def discover() -> Response:
        service = {
            "hook": SERVICE,
            "id": SERVICE,
            "title": "Patient consent consult",
            "description": "Whether a patient's consents let these actors see the patient's imaging, and for what.",
        }
        return answer({"services": [service]}, JSON)

    return blueprint


def cds_blueprint(rooms: Rooms, base: str) -> Blueprint:
    """`POST /cds-services/patient-consent-consult`, for clients that may search Consents."""
    blueprint = Blueprint("cds", __name__, url_prefix="/cds-services")

    @blueprint.post(f"/{SERVICE}")
    def consult_consents() -> Response:
        try:
            return answer({"cards": [_card(_consulted(rooms), base)]}, JSON)
        except AccessRefused:
            raise
        except DependencyUnavailable:
            return answer({"error": "service_unavailable"}, JSON, status=503)
        except InvalidQuery:
            return answer({"error": "bad_request"}, JSON, status=400)

    return blueprint


def _consulted(rooms: Rooms) -> Consulted:
    requester = current_requester()
    require_scope(requester, "s", "Consent")
    asked = read_json_object(request.get_data())
    context = asked.get("context")
    if asked.get("hook") != SERVICE or not isinstance(context, dict):
        raise InvalidQuery
    patients, actors = _identifiers(context, "patientId"), _identifiers(context, "actor")
    line = Request(kind="consent-search", raw=f"POST {request.path}", id=g.request_id, network=request.remote_addr)
    about = _as(requester, actors, context.get("purposeOfUse"))
    if len(patients) != 1:
        raise InvalidQuery
    return consult(_patient(patients[0]), about, rooms, line)


def _identifiers(context: Mapping[str, Any], name: str) -> list[Identifier]:
    stated = context.get(name)
    if not isinstance(stated, list) or not stated:
        raise InvalidQuery
    found = []
    for one in stated:
        if not isinstance(one, dict) or not isinstance(one.get("value"), str) or not one["value"]:
            raise InvalidQuery
        if not isinstance(system := one.get("system", ""), str):
            raise InvalidQuery
        found.append(Identifier(system, one["value"]))
    return found


def _patient(identifier: Identifier) -> PatientRef:
    if identifier.system:
        return PatientRef(identifier=identifier)
    return PatientRef(id=PatientID(identifier.value.removeprefix("Patient/")))


def _as(requester: Requester, actors: list[Identifier], purpose: object) -> Requester:
    """The actor that is asked about, for the purpose stated or the caller's own. A break-glass is never asked about."""
    if len(actors) != 1:
        raise InvalidQuery
    (actor,) = actors
    name = f"{actor.system}|{actor.value}" if actor.system else actor.value
    purposes = requester.purposes
    if purpose is not None:
        code = code_of(purpose) if isinstance(purpose, str) else None
        if code is None or code == BREAK_GLASS:
            raise InvalidQuery
        purposes = (code,)
    kind, _, id_ = name.partition("/")
    if kind == "Organization" and id_:
        return replace(requester, purposes=purposes, organization=id_, subject_id=None)
    return replace(requester, purposes=purposes, organization=name, subject_id=name)


def _card(consulted: Consulted, base: str) -> dict[str, Any]:
    references = rests_on(consulted.decisions)
    if consulted.permitted:
        summary = "CONSENT_PERMIT" if references else "NO_CONSENT"
    else:
        summary = "CONSENT_DENY" if references else "NO_CONSENT"
    return {
        "summary": summary,
        "detail": "What the patient's consents say of this actor and purpose.",
        "indicator": _INDICATOR[summary],
        "source": {"label": "Imaging exchange gateway", "url": base},
        "extension": {
            "decision": summary,
            "permitted": bool(consulted.permitted),
            "obligations": obligations_of(consulted),
            "basedOn": [{"reference": f"{base}/{reference}"} for reference in references],
        },
    }
