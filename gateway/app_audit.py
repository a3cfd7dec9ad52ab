"""The routes by which the audit is read."""

from collections.abc import Callable

from flask import Blueprint, Flask

from gateway.auth.guards import Guard, requires_person
from gateway.auth.people import Role
from gateway.config import Settings
from gateway.fhir.accounting_routes import AccountingFace, accounting_blueprint
from gateway.fhir.audit_face import AuditFace
from gateway.fhir.audit_pages import AuditPages, audit_pages_blueprint
from gateway.fhir.audit_routes import audit_blueprint
from gateway.wiring import House


def serve_audit(
    app: Flask, settings: Settings, house: House, guard: Guard, serve: Callable[[Flask, Blueprint, Guard], None]
) -> None:
    """AuditEvent and the accounting of disclosures, for programs; both for auditors and privacy officers."""
    face = AuditFace(rooms=house.rooms, desk=house.audit.desk, keys=house.keys, base=settings.fhir_base)
    serve(app, audit_blueprint(face), guard)
    accounting = AccountingFace(rooms=house.rooms, desk=house.audit.accounting, audit=house.audit.desk)
    serve(app, accounting_blueprint(accounting), guard)
    pages = AuditPages(face=face, accounting=accounting, base_url=settings.base_url)
    readers = requires_person(house.people.door, Role.AUDITOR, Role.PRIVACY_OFFICER)
    serve(app, audit_pages_blueprint(pages), readers)
