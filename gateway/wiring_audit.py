"""How the parts that read the audit, and those that follow it, are put together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from gateway.accounting_desk import AccountingDesk
from gateway.audit.checkpoint import origin_of
from gateway.audit.checkpoints import Checkpoints
from gateway.audit.delivery import Delivery
from gateway.audit.destinations import destinations
from gateway.audit.log import StoredAuditLog
from gateway.audit.log_keeper import LogKeeper
from gateway.audit.places import Records
from gateway.audit.sequence import Sequencer
from gateway.audit_desk import AuditDesk
from gateway.config import Settings
from gateway.db.crypto import KeyRing
from gateway.model import Facility
from gateway.rooms import Clock
from gateway.watch.term_index import TermIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReading:
    """Where the audit is read."""

    desk: AuditDesk
    accounting: AccountingDesk


def open_audit_reading(
    settings: Settings,
    engine: Engine,
    keys: KeyRing,
    audit: StoredAuditLog,
    clock: Clock,
    facilities: Callable[[], Sequence[Facility]],
) -> AuditReading:
    """Both ways of reading it."""
    desk = AuditDesk(
        engine=engine,
        records=Records(engine, keys),
        index=TermIndex(engine, keys),
        audit=audit,
        clock=clock,
        base_url=settings.base_url,
    )
    return AuditReading(desk=desk, accounting=AccountingDesk(audit=audit, facilities=facilities))


def open_log_keeper(
    settings: Settings, engine: Engine, keys: KeyRing, audit: StoredAuditLog, clock: Clock
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
