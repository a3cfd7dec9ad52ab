"""The part of the house that people come in by: their accounts, sessions and the door of every page."""

from dataclasses import dataclass

from sqlalchemy import Engine

from gateway.audit.within import AuditWithin
from gateway.auth.accounts import StoredAccounts
from gateway.auth.guards import Clock, Door
from gateway.auth.session_cookie import cookie_for
from gateway.auth.sessions import StoredSignIns
from gateway.config import Settings
from gateway.db.crypto import KeyRing


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """What the pages need of those who sign in."""

    door: Door
    """Who has signed in: what guards are made with."""
    signins: StoredSignIns
    accounts: StoredAccounts


def open_people(settings: Settings, engine: Engine, keys: KeyRing, audit: AuditWithin, clock: Clock) -> People:
    """The people of `settings`."""
    signins = StoredSignIns(engine, keys, idle=settings.session_idle, longest=settings.session_longest)
    return People(
        door=Door(signins=signins, cookie=cookie_for(settings.base_url), clock=clock),
        signins=signins,
        accounts=StoredAccounts(engine, keys, audit),
    )
