"""How the parts that read the audit, and those that follow it, are put together."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

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
from gateway.errors import ConfigurationError
from gateway.model import Facility
from gateway.mpi.stays import find_shared, find_stays_elsewhere
from gateway.rooms import Clock
from gateway.watch.alerts import Alerts
from gateway.watch.atna import Feed
from gateway.watch.channels import channels_of
from gateway.watch.follow import Follower, Following
from gateway.watch.notices import Courier, Notices
from gateway.watch.rules import Thresholds
from gateway.watch.term_index import TermIndex, TermIndexer
from gateway.watch.watcher import RESTING, Watcher


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
    return AuditReading(desk=desk, accounting=open_accounting(engine, audit, facilities))


def open_accounting(
    engine: Engine, audit: StoredAuditLog, facilities: Callable[[], Sequence[Facility]]
) -> AccountingDesk:
    """Where disclosures are accounted for."""
    return AccountingDesk(
        audit=audit,
        facilities=facilities,
        elsewhere=partial(find_stays_elsewhere, engine),
        shared=partial(find_shared, engine),
    )


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


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditWork:
    """What a serving process does with the audit beside its answers."""

    keeper: LogKeeper
    watcher: Watcher

    def start(self) -> None:
        """It is done from now on."""
        self.keeper.start()
        self.watcher.start()

    def close(self) -> None:
        """Nothing of it is under way any more."""
        self.watcher.close()
        self.keeper.close()


def open_audit_work(
    settings: Settings, engine: Engine, keys: KeyRing, audit: StoredAuditLog, clock: Clock
) -> AuditWork:
    """All of it."""
    return AuditWork(
        keeper=open_log_keeper(settings, engine, keys, audit, clock),
        watcher=open_watcher(settings, engine, keys, audit, clock),
    )


def open_watcher(
    settings: Settings, engine: Engine, keys: KeyRing, audit: StoredAuditLog, clock: Clock, *, resting: float = RESTING
) -> Watcher:
    """The index, alerts, notices, and the feed where there is one. Raises ConfigurationError."""
    records = Records(engine, keys)
    channels = channels_of(
        webhook=settings.alert_webhook,
        secret=settings.alert_webhook_secret,
        smtp=settings.alert_smtp,
        mail_from=settings.alert_mail_from,
        mail_to=settings.alert_mail_to,
    )
    notices = Notices(engine, keys)
    thresholds = Thresholds(not_found=settings.alert_not_found, patients=settings.alert_patients)
    followers: list[Follower] = [
        TermIndexer(keys),
        Alerts(records, notices, audit, [channel.name for channel in channels], thresholds),
    ]
    if (feed := open_feed(settings)) is not None:
        followers.append(feed)
    return Watcher(
        Following(engine=engine, records=records, holder=uuid.uuid4().hex, clock=clock),
        followers,
        Courier(notices, channels, clock),
        resting=resting,
    )


def open_feed(settings: Settings) -> Feed | None:
    """What sends events to an audit record repository, where there is one. Raises ConfigurationError."""
    if not settings.atna_syslog:
        return None
    try:
        return Feed(
            settings.atna_syslog,
            settings.base_url,
            ca=settings.atna_ca_file,
            cert=settings.atna_cert_file,
            key=settings.atna_key_file,
        )
    except (OSError, ValueError) as exc:
        raise ConfigurationError(["GATEWAY_ATNA_CA_FILE, _CERT_FILE and _KEY_FILE must be PEM files that fit"]) from exc
