"""The part of the house that people come in by: their accounts, sessions and the door of every page."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from gateway.audit.within import AuditWithin
from gateway.auth.accounts import StoredAccounts
from gateway.auth.challenges import StoredChallenges
from gateway.auth.delegation_store import Resolve, StoredDelegations
from gateway.auth.guards import Clock, Door
from gateway.auth.limited_attempts import LimitedAttempts
from gateway.auth.second_factors import StoredFactors
from gateway.auth.session_cookie import cookie_for
from gateway.auth.sessions import StoredSignIns
from gateway.auth.signing_in import SigningIn
from gateway.config import Settings
from gateway.db.crypto import KeyRing
from gateway.limits import Limiter


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """What the pages need of those who sign in."""

    door: Door
    """Who has signed in: what guards are made with."""
    signins: StoredSignIns
    accounts: StoredAccounts
    factors: StoredFactors
    challenges: StoredChallenges
    signing_in: SigningIn
    delegations: StoredDelegations


def open_people(
    settings: Settings,
    engine: Engine,
    keys: KeyRing,
    audit: AuditWithin,
    clock: Clock,
    resolve: Resolve,
    limiter: Limiter,
) -> People:
    """The people of `settings`."""
    signins = StoredSignIns(engine, keys, idle=settings.session_idle, longest=settings.session_longest)
    accounts = StoredAccounts(engine, keys, audit)
    factors = StoredFactors(engine, keys, audit)
    return People(
        door=Door(signins=signins, cookie=cookie_for(settings.base_url), clock=clock),
        signins=signins,
        accounts=accounts,
        factors=factors,
        challenges=StoredChallenges(engine, keys),
        signing_in=SigningIn(accounts, signins, factors, audit, LimitedAttempts(limiter)),
        delegations=open_delegations(settings, engine, keys, audit, resolve),
    )


def open_delegations(
    settings: Settings, engine: Engine, keys: KeyRing, audit: AuditWithin, resolve: Resolve
) -> StoredDelegations:
    """The delegations, by the settings' age of majority and time zone."""
    zone = ZoneInfo(settings.time_zone)
    return StoredDelegations(engine, keys, audit, resolve, age=settings.age_of_majority, zone=zone)
