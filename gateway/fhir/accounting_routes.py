"""`Patient/{id}/$accounting`: what left the exchange about a patient, as JSON, CSV or PDF.

For the patient, whose token is bound to them, and for who may read the audit. That it was asked for is in the audit
before it is told.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import orjson
from flask import Blueprint, Response, request
from werkzeug.datastructures import MultiDict

from gateway.accounting_desk import AccountingDesk
from gateway.audit.accounting import YEARS, Kind, span_of
from gateway.audit.accounting_pdf import as_pdf
from gateway.audit.accounting_table import as_csv, as_json
from gateway.audit_desk import AuditDesk
from gateway.auth.guards import current_requester
from gateway.disclosure import Request
from gateway.errors import InvalidQuery, MethodNotAllowed, NotAcceptable, NotFound
from gateway.fhir.imaging_face import require_scope
from gateway.fhir.routes import EVERY_METHOD, PREFIX
from gateway.fhir.wire import the_line
from gateway.model import PatientID, PatientRef, Requester
from gateway.rooms import Rooms
from gateway.search import require_bound_patient
from gateway.search_dates import parse_date_bound

Form = Literal["json", "csv", "pdf"]
TYPES: Mapping[Form, str] = {"json": "application/json", "csv": "text/csv; charset=utf-8", "pdf": "application/pdf"}
_BY_ACCEPT: Mapping[str, Form] = {
    "application/json": "json",
    "application/fhir+json": "json",
    "text/csv": "csv",
    "application/pdf": "pdf",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountingFace:
    """What the view needs."""

    rooms: Rooms
    desk: AccountingDesk
    audit: AuditDesk

    def account(
        self, id_: str, stated: Mapping[str, str], form: Form, requester: Requester, asked: Request
    ) -> tuple[str | bytes, str]:
        """The accounting in that form, and the patient's id of today. Raises NotFound where nobody has that id."""
        require_scope(requester, "s", "AuditEvent")
        return self.answer(PatientRef(id=PatientID(id_)), stated, form, requester, asked)

    def answer(
        self, ref: PatientRef, stated: Mapping[str, str], form: Form, requester: Requester, asked: Request
    ) -> tuple[str | bytes, str]:
        """As `account`, to somebody who is known to be an auditor, or the patient."""
        found = self.rooms.mpi.resolve(ref)
        require_bound_patient(requester, ref, found, self.rooms)
        if found is None:
            self.audit.note("accounting", requester, asked, None)
            raise NotFound
        kind, since, until = _kind(stated), _moment(stated, "start"), _moment(stated, "end")
        now = self.rooms.clock()
        span_of(kind, now, since, until)
        details = [("kind", kind), ("start", str(since or "")), ("end", str(until or "")), ("format", form)]
        self.audit.note("accounting", requester, asked, found.id, details=details)
        others = sorted(self.audit.ids_of(found.id) - {found.id})
        told = self.desk.account([found.id, *others], kind, now, since=since, until=until)
        if form == "json":
            return orjson.dumps(as_json(told)), found.id
        return (as_csv(told) if form == "csv" else as_pdf(told)), found.id


def accounting_blueprint(face: AccountingFace) -> Blueprint:
    """The one operation."""
    blueprint = Blueprint("accounting", __name__, url_prefix=f"{PREFIX}/Patient/<id_>/$accounting")

    @blueprint.get("")
    def account(id_: str) -> Response:
        stated = once(request.args, "kind", "start", "end", "_format")
        form = _wanted()
        asked = the_line("accounting")
        body, patient = face.account(id_, stated, form, current_requester(), asked)
        return told(body, patient, form)

    @blueprint.route("", methods=[method for method in EVERY_METHOD if method != "GET"])
    def refuse(id_: str) -> Response:
        raise MethodNotAllowed(["GET"])

    return blueprint


def told(body: str | bytes, patient: str, form: Form) -> Response:
    """An accounting on its way; nobody may store it, and a browser saves what it can't show."""
    response = Response(body, content_type=TYPES[form])
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    if form != "json":
        response.headers["Content-Disposition"] = f'attachment; filename="disclosures-{patient}.{form}"'
    return response


def once(stated: MultiDict[str, str], *names: str) -> Mapping[str, str]:
    """What is stated under each of `names`. Raises InvalidQuery where it is stated twice: neither is to be ignored."""
    for name in names:
        if len(stated.getlist(name)) > 1:
            raise InvalidQuery(f"{name} is given once")
    return {name: stated[name] for name in names if name in stated}


def _wanted() -> Form:
    stated = request.args.get("_format", "")
    if stated:
        for form, type_ in TYPES.items():
            if stated in (form, type_.partition(";")[0]):
                return form
        raise NotAcceptable("an accounting comes as json, csv or pdf")
    if not request.accept_mimetypes:
        return "json"
    best = request.accept_mimetypes.best_match(list(_BY_ACCEPT))
    if best is None:
        raise NotAcceptable("an accounting comes as application/json, text/csv or application/pdf")
    return _BY_ACCEPT[best]


def _kind(stated: Mapping[str, str]) -> Kind:
    for kind in YEARS:
        if stated.get("kind", "hipaa") == kind:
            return kind
    raise InvalidQuery("kind is one of " + ", ".join(YEARS))


def _moment(stated: Mapping[str, str], name: str) -> datetime | None:
    """The beginning of a date for `start`, its end for `end`."""
    text = stated.get(name)
    if not text:
        return None
    bound = parse_date_bound(text.replace(" ", "+"), name)
    if bound.prefix != "eq":
        raise InvalidQuery(f"{name} is a date without a prefix")
    return bound.moment.start if name == "start" else bound.moment.end
