"""The only place that picks real implementations and puts them together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine, text

from gateway.adapters.fan_out import FanOut
from gateway.adapters.registry import FacilityRegistry
from gateway.adapters.sightings import Sightings
from gateway.audit.log import open_audit_log
from gateway.audit.within import AuditWithin
from gateway.auth import standing
from gateway.auth.client_store import DatabaseClientStore
from gateway.auth.clients import Client, ClientRegistry
from gateway.auth.declarations import StoredDeclarations
from gateway.auth.origins import AppOrigins
from gateway.cache import Cache, open_cache
from gateway.config import Settings
from gateway.consent.belonging import Identity
from gateway.consent.groups import StoredGroups
from gateway.consent.label_rules_file import load_label_rules
from gateway.consent.store import StoredConsents
from gateway.consent_desk import ConsentDesk
from gateway.db.crypto import KeyRing
from gateway.db.key_check import open_keys, require_fitting, require_writable
from gateway.db.session import open_database, reading
from gateway.db.upgrade import pending, upgrade_to_head
from gateway.errors import DependencyUnavailable
from gateway.health import Ping, Queue, Queues
from gateway.identity_desk import IdentityDesk
from gateway.limits import open_limits
from gateway.model import Facility, FacilityID
from gateway.mpi.carried import CARRIED, CARRIED_BY
from gateway.mpi.domain_words import DomainWords
from gateway.mpi.feed import PatientFeed
from gateway.mpi.matching_setting import matching_rule
from gateway.mpi.patient_finder import PatientFinder
from gateway.mpi.questions import PatientQuestions
from gateway.mpi.resolve import PatientIndex
from gateway.mpi.retired import RETIRED_INTO
from gateway.mpi.review import ReviewQueue
from gateway.mpi.source import SourceRecords
from gateway.rooms import Clock, Rooms
from gateway.turnstile import turnstile
from gateway.wiring_audit import AuditReading, open_audit_reading, open_audit_work
from gateway.wiring_oauth import OAuth, open_oauth
from gateway.wiring_people import People, open_people
from gateway.wiring_retrieval import Retrieval, open_retrieval

_PLACES = {"sqlite": 1, "postgresql": 2}
"""Imaging queries that work at a time in one process: SQLite works in the thread itself, PostgreSQL is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Everything a running gateway is made of."""

    rooms: Rooms
    desk: ConsentDesk
    audit: AuditReading
    identity: IdentityDesk
    questions: PatientQuestions | None
    finder: PatientFinder
    keys: KeyRing
    oauth: OAuth
    people: People
    app_origins: AppOrigins
    retrieval: Retrieval
    pings: Mapping[str, Ping]
    queues: Queues
    """What waits for a person."""
    metrics_dir: str | None
    """Where worker processes share their counts; None with one process."""
    start: Callable[[], None]
    """Starts what a serving process does beside its answers."""
    close: Callable[[], None]
    """Ends what the house started: the audit's writer, connections."""


def build_house(settings: Settings, clock: Clock = lambda: datetime.now(UTC)) -> House:
    """The real house of `settings`, by the time of `clock`.

    Raises ConfigurationError, and DependencyUnavailable where the database is away.
    """
    engine = open_database(settings.database_url, threads=settings.threads, serving=True)
    turnstile.open(_PLACES[engine.dialect.name])
    if not settings.production:
        upgrade_to_head(engine)
    keys = open_keys(settings.keys_file, engine, may_create=not settings.production)
    registry = FacilityRegistry(engine, keys)
    audit = open_audit_log(engine, keys)
    cache = open_cache(settings.redis_url, keys)
    limits = open_limits(settings.redis_url, keys, settings.rate_limits)
    client_store = DatabaseClientStore(engine)
    clients = ClientRegistry(client_store)
    matching = matching_rule(settings)
    index = PatientIndex(engine, keys)
    identity = Identity(retired=RETIRED_INTO, carried=CARRIED_BY, known=CARRIED)
    declarations = StoredDeclarations(engine, keys, lasts=settings.break_glass)
    consents = StoredConsents(engine, keys, settings.consent_policy, identity)
    rooms = Rooms(
        mpi=index,
        records=index,
        consents=consents,
        facilities=FanOut(registry),
        sightings=Sightings(engine, keys),
        audit=audit,
        clock=clock,
        labels=load_label_rules(settings),
        declarations=declarations,
        limits=limits,
    )
    people = open_people(settings, engine, keys, audit, rooms.clock, index.resolve, limits)
    behind_tokens = standing.People(
        accounts=standing.AccountsToday(people.accounts, index.resolve), delegations=people.delegations
    )
    oauth = open_oauth(settings, engine, keys, clients, behind_tokens, people.signins.any_open, rooms, audit)
    retrieval = open_retrieval(settings, engine, keys, rooms, cache, oauth.signing, oauth.bearer, oauth.revoked)

    audit_work = open_audit_work(settings, engine, keys, audit, rooms.clock)

    def close() -> None:
        audit_work.close()
        retrieval.tally.close()
        audit.close()
        limits.close()
        engine.dispose()

    return House(
        rooms=rooms,
        desk=ConsentDesk(
            consents=consents,
            groups=StoredGroups(engine, keys),
            mpi=index,
            facilities=registry.all,
            find_study=rooms.sightings.find,
            keys=keys,
            base=settings.fhir_base,
            policies=settings.consent_policy_uris,
        ),
        audit=open_audit_reading(settings, engine, keys, audit, rooms.clock, registry.all),
        questions=PatientQuestions(engine, keys, matching) if matching else None,
        finder=PatientFinder(engine, keys),
        identity=open_identity_desk(
            settings, engine, keys, audit, registry.all, lambda id_: _facility_of(clients.find(id_))
        ),
        keys=keys,
        app_origins=AppOrigins(client_store.list_all, settings.cors_origins),
        people=people,
        oauth=oauth,
        retrieval=retrieval,
        pings=_pings(engine, cache, keys),
        queues=lambda: _queues(ReviewQueue(engine, keys), datetime.now(UTC)),
        metrics_dir=str(settings.data_dir / "metrics") if settings.workers > 1 else None,
        start=audit_work.start,
        close=close,
    )


def open_identity_desk(
    settings: Settings,
    engine: Engine,
    keys: KeyRing,
    audit: AuditWithin,
    facilities: Callable[[], Sequence[Facility]],
    facility_of: Callable[[str], FacilityID | None],
) -> IdentityDesk:
    """The way in for the feeds of facilities, by the settings' rules. Raises ConfigurationError."""
    strong = settings.strong_identifier_systems
    matching = matching_rule(settings)

    def feed(who: str) -> tuple[PatientFeed, DomainWords]:
        patients = PatientFeed(engine, keys, audit, strong_systems=strong, who=who, matching=matching)
        return patients, DomainWords(engine, keys, patients, strong_systems=strong, who=who)

    return IdentityDesk(
        facilities=facilities,
        facility_of=facility_of,
        feed=feed,
        records=SourceRecords(engine, keys),
        audit=audit,
        strong_systems=strong,
    )


def _facility_of(client: Client | None) -> FacilityID | None:
    return client.facility if client else None


def _queues(review: ReviewQueue, now: datetime) -> list[Queue]:
    waiting = review.waiting()
    return [
        Queue(kind=one.kind, waiting=one.tasks, oldest_s=max(0.0, (now - one.since).total_seconds())) for one in waiting
    ]


def _pings(engine: Engine, cache: Cache, keys: KeyRing) -> Mapping[str, Ping]:
    return {
        "database": lambda: _ping_database(engine),
        "cache": cache.ping,
        "keys": lambda: require_fitting(engine, keys),
    }


def _ping_database(engine: Engine) -> None:
    with reading(engine) as connection:
        connection.execute(text("SELECT 1"))
    if engine.dialect.name == "sqlite":
        require_writable(engine)
    if pending(engine):
        raise DependencyUnavailable("the schema is behind")
