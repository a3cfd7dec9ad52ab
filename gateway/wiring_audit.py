"""How the parts that read the audit, and those that follow it, are put together."""

from sqlalchemy import Engine

from gateway.audit.places import Records
from gateway.audit.record import AuditLog
from gateway.audit_desk import AuditDesk
from gateway.config import Settings
from gateway.db.crypto import KeyRing
from gateway.rooms import Clock
from gateway.watch.term_index import TermIndex


def open_audit_desk(settings: Settings, engine: Engine, keys: KeyRing, audit: AuditLog, clock: Clock) -> AuditDesk:
    """Where the audit is read."""
    return AuditDesk(
        engine=engine,
        records=Records(engine, keys),
        index=TermIndex(engine, keys),
        audit=audit,
        clock=clock,
        base_url=settings.base_url,
    )
