"""Signing in at the identity provider: away, and back. What comes back counts once, in the browser that went away."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, Response, request

from gateway.auth.guards import signed_in_or_none
from gateway.auth.identity_provider import IdentityProvider, ProviderRefused, Question, asked_again_since
from gateway.auth.people import SignIn
from gateway.auth.session_cookie import SessionCookie, cookie_for
from gateway.auth.vouched import VouchedAccounts
from gateway.pages.errors import html_errors
from gateway.signin.doors import sign_in_page
from gateway.signin.face import FRESH, HOME, SignInFace, next_path, see_other

AWAY_FOR = timedelta(minutes=10)
_REFUSED = "The sign-in elsewhere did not lead to an account here. Try once more, or ask whoever looks after accounts."
_LONGEST = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderFace:
    """What the views need beside the sign-in's own."""

    face: SignInFace
    provider: IdentityProvider
    accounts: VouchedAccounts

    @property
    def cookie(self) -> SessionCookie:
        """What ties an answer to the browser that asked."""
        return cookie_for(self.face.base_url, "gateway-provider")


def provider_blueprint(one: ProviderFace) -> Blueprint:
    """`/signin/provider`: away to the identity provider and back (guard `optional_person`)."""
    blueprint = Blueprint("signin_provider", __name__)

    @blueprint.get("/signin/provider", provide_automatic_options=False)
    def away() -> Response:
        return _away(one, again=request.args.get("again") == "1")

    @blueprint.get("/signin/provider/return", provide_automatic_options=False)
    def back() -> Response:
        return _back(one)

    html_errors(blueprint, one.face.rooms)
    return blueprint


def _away(one: ProviderFace, *, again: bool) -> Response:
    face, now = one.face, one.face.rooms.clock()
    face.require_question()
    state, nonce, verifier, browser = (secrets.token_urlsafe(32) for _ in range(4))
    question = one.provider.ask(state, nonce, verifier, again=again)
    session = signed_in_or_none()
    content = {
        "nonce": question.nonce,
        "verifier": question.verifier,
        "next": next_path(),
        "again": session.id if again and session else None,
        "prompted": again,
        "asked_at": now.timestamp(),
    }
    face.challenges.ask("provider", state, browser, now=now, until=now + AWAY_FOR, content=content)
    response = see_other(question.url)
    one.cookie.put(response, browser)
    return response


def _back(one: ProviderFace) -> Response:
    face, attempt = one.face, one.face.attempt()
    answer = {name: value for name, value in request.args.items() if len(value) <= _LONGEST}
    where = HOME
    try:
        asked = face.challenges.take("provider", answer.get("state", ""), one.cookie.read(), now=attempt.now)
        if asked is None:
            raise ProviderRefused("the answer is to no question of this browser")
        where = asked.content["next"]
        response = _signed_in(one, answer, asked.content, signed_in_or_none())
    except ProviderRefused as exc:
        face.signing_in.refuse_provider(exc.reason, attempt)
        response = sign_in_page(face, where, problem=_REFUSED, status=401)
    one.cookie.remove(response)
    return response


def _signed_in(
    one: ProviderFace, answer: Mapping[str, str], content: Mapping[str, Any], session: SignIn | None
) -> Response:
    face, attempt = one.face, one.face.attempt()
    question = Question(url="", nonce=content["nonce"], verifier=content["verifier"])
    vouched = one.provider.answered(answer, question, attempt.now)
    account = one.accounts.account_of(vouched, attempt.network, attempt.now)
    if content["again"] is not None:
        began = datetime.fromtimestamp(float(content["asked_at"]), attempt.now.tzinfo)
        if not asked_again_since(vouched, began):
            raise ProviderRefused("the provider did not ask for a new proof")
        if session is None or session.id != content["again"] or session.account.id != account.id:
            raise ProviderRefused("another person came back than went away")
    # A provider that doesn't say when it asked is taken to remember somebody of long ago.
    proved_at = datetime.fromtimestamp(vouched.authenticated_at or 0, attempt.now.tzinfo)
    stale = attempt.now - proved_at > FRESH
    if stale and "mfa" not in vouched.methods and face.signing_in.must_enrol(account):
        # Their first second factor is set up by whoever sits there now: that must be them.
        if content["prompted"]:
            raise ProviderRefused("the provider did not ask for a new proof")
        return see_other(face.provider_url(content["next"], again=True))
    begun = face.signing_in.by_provider(account, vouched.methods, attempt, proved_at=proved_at, replaces=session)
    return face.go_on(begun, content["next"])
