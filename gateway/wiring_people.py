"""The part of the house that people come in by: their accounts, sessions and the door of every page."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

import orjson
from joserfc.errors import JoseError
from joserfc.jwk import import_key
from sqlalchemy import Engine

from gateway.audit.within import AuditWithin
from gateway.auth.accounts import StoredAccounts
from gateway.auth.challenges import StoredChallenges
from gateway.auth.delegation_store import Resolve, StoredDelegations
from gateway.auth.guards import Clock, Door
from gateway.auth.identity_provider import IdentityProvider, Provider
from gateway.auth.limited_attempts import LimitedAttempts
from gateway.auth.second_factors import StoredFactors
from gateway.auth.session_cookie import cookie_for
from gateway.auth.sessions import StoredSignIns
from gateway.auth.signing_in import SigningIn
from gateway.auth.vouched import VouchedAccounts
from gateway.config import Settings
from gateway.db.crypto import KeyRing
from gateway.errors import ConfigurationError
from gateway.limits import Limiter
from gateway.provider_settings import ProviderSettings


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
    provider: IdentityProvider | None
    vouched: VouchedAccounts


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
        delegations=StoredDelegations(
            engine, keys, audit, resolve, age=settings.age_of_majority, zone=ZoneInfo(settings.time_zone)
        ),
        provider=None if settings.provider is None else _provider(settings.provider, settings.base_url),
        vouched=VouchedAccounts(accounts, resolve),
    )


def _provider(stated: ProviderSettings, base_url: str) -> IdentityProvider:
    try:
        key = None if stated.key_file is None else orjson.loads(stated.key_file.read_bytes())
        if key is not None:
            import_key(key)
    except (OSError, ValueError, TypeError, JoseError) as exc:
        raise ConfigurationError([f"GATEWAY_OIDC_KEY_FILE: {stated.key_file} can't be read as a JWK"]) from exc
    return IdentityProvider(
        Provider(
            issuer=stated.issuer,
            client_id=stated.client_id,
            redirect_uri=base_url + "/signin/provider/return",
            scopes=stated.scopes,
            client_secret=stated.client_secret or None,
            private_key=key,
            roles_claim=stated.roles_claim or None,
            patient_claim=stated.patient_claim or None,
            second_factor_acr=stated.second_factor_acr,
        )
    )
