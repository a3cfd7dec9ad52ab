"""The part of the house that gives out tokens: to systems, and to apps that people let in."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from gateway.audit.within import AuditWithin
from gateway.auth.app_authorization import AppAuthorization
from gateway.auth.app_grant_store import StoredGrants
from gateway.auth.app_tokens import AppTokenService
from gateway.auth.backend_services import BackendServices
from gateway.auth.bearer import BearerAuthenticator
from gateway.auth.client_assertion import AssertionVerifier
from gateway.auth.client_authentication import ClientAuthenticator
from gateway.auth.client_keys import ClientKeys
from gateway.auth.client_store import UsedAssertions
from gateway.auth.clients import ClientRegistry
from gateway.auth.introspection import Introspection
from gateway.auth.jwks_fetch import JWKSFetcher
from gateway.auth.revoked_tokens import RevokedTokens
from gateway.auth.signing_keys import WatchedKeys
from gateway.auth.standing import People, recent
from gateway.auth.token_ends import TokenEnds
from gateway.config import Settings
from gateway.db.crypto import KeyRing
from gateway.rooms import Rooms


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuth:
    """The authorization server, and what reads its tokens."""

    registry: ClientRegistry
    clients: ClientAuthenticator
    signing: WatchedKeys
    revoked: RevokedTokens
    bearer: BearerAuthenticator
    systems: BackendServices
    grants: StoredGrants
    authorization: AppAuthorization
    apps: AppTokenService
    introspection: Introspection
    ends: TokenEnds


def open_oauth(
    settings: Settings,
    engine: Engine,
    keys: KeyRing,
    registry: ClientRegistry,
    people: People,
    signed_in: Callable[[str, datetime], bool],
    rooms: Rooms,
    audit: AuditWithin,
) -> OAuth:
    """The authorization server of `settings`."""
    signing = WatchedKeys(settings.keys_file, keys)
    revoked = RevokedTokens(engine, keys)
    bearer = BearerAuthenticator(signing, registry, issuer=settings.base_url, revoked=revoked, people=recent(people))
    verifier = AssertionVerifier(
        registry,
        ClientKeys(JWKSFetcher(production=settings.production)),
        UsedAssertions(engine, keys),
        audience=settings.token_url,
    )
    grants = StoredGrants(engine, keys, audit, revoked.forget)
    return OAuth(
        registry=registry,
        clients=ClientAuthenticator(verifier, registry),
        signing=signing,
        revoked=revoked,
        bearer=bearer,
        systems=BackendServices(
            verifier,
            signing,
            audit,
            issuer=settings.base_url,
            declarations=rooms.declarations,
            break_glass_roles=settings.break_glass_roles,
        ),
        grants=grants,
        authorization=AppAuthorization(grants, people, audit, online_lasts=settings.session_longest),
        apps=AppTokenService(
            grants,
            people,
            signing,
            audit,
            issuer=settings.base_url,
            fhir_base=settings.fhir_base,
            signed_in=signed_in,
        ),
        introspection=Introspection(
            bearer,
            audit,
            issuer=settings.base_url,
            fhir_base=settings.fhir_base,
            declarations=rooms.declarations,
        ),
        ends=TokenEnds(grants, bearer, issuer=settings.base_url),
    )
