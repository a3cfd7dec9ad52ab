"""Who may come in by a route: a guard stands before every blueprint, and can be asked which one it is.

The address a request comes from is the one of the connection, or the one that a trusted proxy states (`proxies.py`);
what else claims one is not read, so it can't be used to come from somewhere else (T40).
"""

import ipaddress
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flask import Blueprint, Flask, g, request

from gateway.auth.bearer import BearerAuthenticator
from gateway.auth.break_glass import NO_DECLARATIONS, Declarations, require_standing
from gateway.auth.people import STAFF, Role, SignIn, SignIns
from gateway.auth.session_cookie import SessionCookie
from gateway.environment import Network
from gateway.errors import AccessRefused, FreshSignInNeeded, NotAuthenticated, SecondFactorNeeded, SignInNeeded
from gateway.limits import NO_LIMITS, Limiter, require_within
from gateway.model import Requester
from gateway.rates import Kind

Clock = Callable[[], datetime]
_PARAMETER = "access_token"
_ATTRIBUTE = "gateway_guard"


@dataclass(frozen=True, slots=True)
class Guard:
    """A check that runs before any view of the blueprint (or application) it is called with."""

    name: str
    reason: str
    check: Callable[[], None]

    def __call__(self, scaffold: Blueprint | Flask) -> None:
        """From now on every request of `scaffold` passes `check`, and `guard_of` names this guard."""
        scaffold.before_request(self.check)
        setattr(scaffold, _ATTRIBUTE, self)


def guard_of(scaffold: Blueprint | Flask) -> Guard | None:
    """The guard that stands before `scaffold`; None where nobody put one there."""
    guard = getattr(scaffold, _ATTRIBUTE, None)
    return guard if isinstance(guard, Guard) else None


def _now() -> datetime:
    return datetime.now(UTC)


def requires_token(
    authenticator: BearerAuthenticator,
    clock: Clock = _now,
    declarations: Declarations = NO_DECLARATIONS,
    limiter: Limiter = NO_LIMITS,
) -> Guard:
    """A guard after which `current_requester()` is who the access token names; without one nobody comes in.

    Nor does anybody with a break-glass that doesn't stand, or who has come too often.
    """

    def check() -> None:
        if _PARAMETER in request.args:
            # RFC 6750 §2.3 is not supported: a URL is written to logs and histories.
            raise NotAuthenticated("a token in the URL is not read")
        now = clock()
        requester = authenticator.authenticate(request.headers.getlist("Authorization"), now)
        if request.mimetype == "application/x-www-form-urlencoded":
            request.get_data(cache=True)
            if _PARAMETER in request.form:
                raise NotAuthenticated("a token in the form is not read")
        g.requester = requester
        require_within(limiter, Kind.REQUESTS, requester.caller)
        require_standing(declarations, requester, now)

    return Guard("requires_token", "an access token of this gateway", check)


def current_requester() -> Requester:
    """Who is asking. Raises NotAuthenticated where no guard let anybody in."""
    requester = g.get("requester")
    if not isinstance(requester, Requester):
        raise NotAuthenticated("a token is needed", presented=False)
    return requester


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What tells who has signed in: the sessions, the cookie they stand behind, and the time."""

    signins: SignIns
    cookie: SessionCookie
    clock: Clock = _now


def requires_person(door: Door, *roles: Role, fresh: timedelta | None = None) -> Guard:
    """A guard after which `current_sign_in()` is who has signed in, in one of `roles` where any are named.

    Staff have proved two factors. With `fresh`, they proved who they are no longer ago than that.
    """
    named = ", ".join(roles) or "anybody"
    lately = f", lately ({fresh})" if fresh is not None else ""

    def check() -> None:
        now = door.clock()
        g.sign_in = found = _signed_in(door, now)
        if roles and found.account.roles.isdisjoint(roles):
            raise AccessRefused("the account's role does not reach")
        if fresh is not None and now - found.at > fresh:
            raise FreshSignInNeeded("prove once more who you are")

    return Guard("requires_person", f"signed in as {named}{lately}", check)


def requires_step(door: Door) -> Guard:
    """A guard after which `current_sign_in()` is who has given a password and still owes a second factor."""

    def check() -> None:
        g.sign_in = door.signins.find_step(door.cookie.read(), door.clock())
        g.is_a_step = True
        current_sign_in()

    return Guard("requires_step", "the first step of signing in", check)


def requires_proof(door: Door, fresh: timedelta, has_factor: Callable[[str], bool]) -> Guard:
    """A guard for changing how one signs in: the person has proved lately who they are, by all that they owe.

    Whoever owes a second factor and has none yet (`has_factor`) comes in by the step they stand at: that is where they
    get one. `is_a_step()` says so.
    """

    def check() -> None:
        now, cookie = door.clock(), door.cookie.read()
        step = door.signins.find_step(cookie, now)
        if step is not None and has_factor(step.account.id):
            raise SecondFactorNeeded("a second factor is still to be proved")
        g.is_a_step = step is not None
        g.sign_in = found = step or _signed_in(door, now)
        if now - found.at > fresh:
            raise FreshSignInNeeded("prove once more who you are")

    return Guard("requires_proof", f"signed in within {fresh}", check)


def is_a_step() -> bool:
    """Whether who came in still owes a second factor."""
    return bool(g.get("is_a_step"))


def optional_person(door: Door, reason: str) -> Guard:
    """A guard that lets everybody in and knows who has signed in (`signed_in_or_none()`)."""

    def check() -> None:
        g.sign_in = door.signins.find(door.cookie.read(), door.clock())

    return Guard("optional_person", reason, check)


def _signed_in(door: Door, now: datetime) -> SignIn:
    cookie = door.cookie.read()
    found = door.signins.find(cookie, now)
    if found is None:
        if door.signins.find_step(cookie, now) is not None:
            raise SecondFactorNeeded("a second factor is still to be proved")
        raise SignInNeeded
    if found.account.roles & STAFF and not found.second_factor:
        # They were given the role after they had signed in.
        raise SecondFactorNeeded("staff prove a second factor: sign in again")
    return found


def current_sign_in() -> SignIn:
    """Who has signed in. Raises SignInNeeded where no guard has let anybody in."""
    found = signed_in_or_none()
    if found is None:
        raise SignInNeeded
    return found


def signed_in_or_none() -> SignIn | None:
    """Who has signed in, if a guard has asked and somebody has."""
    found = g.get("sign_in")
    return found if isinstance(found, SignIn) else None


def open_to_anyone(reason: str) -> Guard:
    """A guard that lets everybody in, and says why that is right."""
    return Guard("open_to_anyone", reason, lambda: None)


def only_from(networks: Sequence[Network]) -> Guard:
    """A guard that lets in connections from `networks` alone; one whose address can't be told stays outside."""

    def check() -> None:
        if not any(address in network for address in _addresses(request.remote_addr) for network in networks):
            raise AccessRefused("not from this address")

    return Guard("only_from", "connections from " + (", ".join(map(str, networks)) or "nowhere"), check)


def _addresses(text: str | None) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        address = ipaddress.ip_address((text or "").split("%", 1)[0])
    except ValueError:
        return
    # A socket that listens on IPv6 shows an IPv4 caller as `::ffff:…`.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    yield mapped or address
