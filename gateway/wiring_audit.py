"""How the parts that read the audit, and those that follow it, are put together."""

from sqlalchemy import Engine

from gateway.audit.checkpoint import origin_of
from gateway.audit.checkpoints import Checkpoints
from gateway.audit.delivery import Delivery
from gateway.audit.destinations import destinations
from gateway.audit.log_keeper import LogKeeper
from gateway.audit.places import Records
from gateway.audit.record import AuditLog
from gateway.audit.sequence import Sequencer
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


def open_log_keeper(
    settings: Settings, engine: Engine, keys: KeyRing, audit: AuditLog, clock: Clock
) -> LogKeeper:
    """What orders and signs the audit's log, and takes its checkpoints outside, once it is started."""
    origin = origin_of(settings.base_url)
    checkpoints = Checkpoints(engine, keys, origin)
    places = destinations(
        folder=settings.audit_checkpoint_dir,
        urls=settings.audit_checkpoint_urls,
        syslog=settings.audit_checkpoint_syslog,
        origin=origin,
        checkpoints=checkpoints,
    )
    return LogKeeper(
        Sequencer(engine, keys),
        checkpoints,
        Delivery(engine, checkpoints, audit, places, clock),
        audit,
        clock,
        every_records=settings.audit_checkpoint_records,
        every=settings.audit_checkpoint_every,
    )
