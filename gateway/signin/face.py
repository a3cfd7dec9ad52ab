"""What the pages of signing in share: the people, where to go on, and how a sign-in reaches the browser."""

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

from flask import Response, g, redirect, request

from gateway.auth.accounts import StoredAccounts
from gateway.auth.challenges import StoredChallenges
from gateway.auth.guards import Door, signed_in_or_none
from gateway.auth.second_factors import StoredFactors
from gateway.auth.sessions import Begun, StoredSignIns
from gateway.auth.signing_in import Attempt, SigningIn
from gateway.limits import refuse
from gateway.pages.forms import forget_forms
from gateway.rates import Kind
from gateway.rooms import Rooms
from gateway.signin.own_path import own_path

HOME = "/signin/security"
BEGIN = "/signin/security/begin"
"""Where an account that owes a second factor gets its first."""
SECOND_STEP = "/signin/second"
FRESH = timedelta(minutes=10)
"""How long ago somebody may have proved who they are to change how they prove it (ASVS 5.0 7.5.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInFace:
    """What the views of signing in need to answer."""

    rooms: Rooms
    door: Door
    signins: StoredSignIns
    accounts: StoredAccounts
    factors: StoredFactors
    challenges: StoredChallenges
    signing_in: SigningIn
    base_url: str
    provider_name: str | None = None
    """What people call the identity provider; None where there is none."""

    def attempt(self) -> Attempt:
        """The request, as an attempt to prove who one is. Its body is kept nowhere."""
        return Attempt(
            network=request.remote_addr,
            request=f"{request.method} {request.path}",
            request_id=g.get("request_id", ""),
            now=self.rooms.clock(),
        )

    def require_question(self) -> None:
        """One more question may be kept for whoever that is. Raises TooManyRequests."""
        kind = Kind.SIGN_IN_QUESTIONS
        refuse(kind, self.rooms.limits.hit(kind, request.remote_addr or ""))

    def go_on(self, begun: Begun, where: str) -> Response:
        """To `where`, signed in; or to the second step where that is owed, and then there."""
        response = see_other(where if begun.complete else with_next(SECOND_STEP, where))
        self.let_in(begun, response)
        return response

    def provider_url(self, where: str, *, again: bool = False) -> str:
        """Where a sign-in at the identity provider begins."""
        asked = {**({} if where == HOME else {"next": where}), **({"again": "1"} if again else {})}
        return "/signin/provider" + (f"?{urlencode(asked)}" if asked else "")

    def let_in(self, begun: Begun, response: Response) -> None:
        """The browser has the cookie of the sign-in; what it had before, sessions and forms, counts no longer."""
        before = signed_in_or_none()
        if before is not None and before.id != begun.sign_in.id:
            self.signins.end(before.id, self.rooms.clock())
        forget_forms()
        self.door.cookie.put(response, begun.cookie)


def next_path() -> str:
    """Where the person wants to go on, as the form or the address says; never to the steps of signing in."""
    return allowed_next(request.form.get("next") or request.args.get("next"))


def allowed_next(text: str | None) -> str:
    """`text` where somebody may go on there after signing in, else where they see their account."""
    where = own_path(text, HOME)
    return HOME if where.startswith("/sign") and not where.startswith(HOME) else where


def with_next(path: str, where: str) -> str:
    """`path`, which goes on at `where`."""
    return path if where == HOME else f"{path}?{urlencode({'next': where})}"


def see_other(where: str) -> Response:
    """A redirect that is followed by GET and kept nowhere."""
    response = redirect(where, code=303, Response=Response)
    response.headers["Cache-Control"] = "no-store"
    return response  # type: ignore[return-value]  # it is of the class that was asked for
