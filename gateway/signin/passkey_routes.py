"""What the pages' script asks and answers about passkeys, in JSON: making one, signing in with one, the second step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from flask import Blueprint, Response, request

from gateway.auth.guards import current_sign_in, signed_in_or_none
from gateway.auth.passkeys import PasskeyRefused, Passkeys, Use
from gateway.auth.people import Account, SignIn
from gateway.auth.sessions import Begun
from gateway.errors import InvalidQuery, PayloadTooLarge
from gateway.pages.errors import html_errors
from gateway.pages.forms import protect_forms
from gateway.signin.face import HOME, SignInFace, allowed_next
from gateway.signin.security_pages import codes_page, end_others, proved_with, record_of
from gateway.strict_json import UnreadableJSON, read_strict_json

_MOST_BYTES = 64_000
_MOST_NAME = 60


@dataclass(frozen=True, slots=True)
class _Answer:
    credential: Mapping[str, Any]
    where: str
    name: str


def passkey_sign_in_blueprint(face: SignInFace, passkeys: Passkeys) -> Blueprint:
    """`/signin/passkey…`: a passkey instead of a password; also once more (guard `optional_person`)."""
    blueprint = Blueprint("signin_passkey", __name__)
    protect_forms(blueprint, face.base_url)

    @blueprint.post("/signin/passkey/options", provide_automatic_options=False)
    def options() -> Response:
        face.signing_in.require_attempt(None, face.attempt())
        face.require_question()
        return _json(passkeys.ask_to_sign_in("sign-in", face.rooms.clock()))

    @blueprint.post("/signin/passkey", provide_automatic_options=False)
    def sign_in() -> Response:
        answer, session = _answer(), signed_in_or_none()
        account = _proved(face, passkeys, "sign-in", answer)
        again = session is not None and session.account.id == account.id
        if not again and not face.accounts.has_password(account):
            # Whoever is no longer let in by their organisation must not come in by what they left here.
            face.signing_in.refuse_passkey(account, face.attempt())
            raise PasskeyRefused("the account signs in at the identity provider first")
        return _let_in(face, face.signing_in.by_passkey(account, face.attempt(), replaces=session), answer)

    html_errors(blueprint, face.rooms)
    return blueprint


def passkey_step_blueprint(face: SignInFace, passkeys: Passkeys) -> Blueprint:
    """`/signin/second/passkey…`: the passkey as the second step (guard `requires_step`)."""
    blueprint = Blueprint("signin_passkey_step", __name__)
    protect_forms(blueprint, face.base_url)

    @blueprint.post("/signin/second/passkey/options", provide_automatic_options=False)
    def options() -> Response:
        step = current_sign_in()
        face.signing_in.require_attempt(step.account, face.attempt())
        now = face.rooms.clock()
        return _json(passkeys.ask_to_sign_in("second", now, step=step.id, account=step.account))

    @blueprint.post("/signin/second/passkey", provide_automatic_options=False)
    def second() -> Response:
        answer, step = _answer(), current_sign_in()
        _proved(face, passkeys, "second", answer, step)
        return _let_in(face, face.signing_in.by_passkey(step.account, face.attempt(), replaces=step), answer)

    html_errors(blueprint, face.rooms)
    return blueprint


def passkey_register_blueprint(face: SignInFace, passkeys: Passkeys) -> Blueprint:
    """`/signin/security/passkey…`: making one (guard `requires_proof`)."""
    blueprint = Blueprint("signin_passkey_register", __name__)
    protect_forms(blueprint, face.base_url)

    @blueprint.post("/signin/security/passkey/options", provide_automatic_options=False)
    def options() -> Response:
        session = current_sign_in()
        return _json(passkeys.ask_to_register(session.account, session.id, face.rooms.clock()))

    @blueprint.post("/signin/security/passkey", provide_automatic_options=False)
    def register() -> Response:
        return _register(face, passkeys, _answer())

    html_errors(blueprint, face.rooms)
    return blueprint


def _register(face: SignInFace, passkeys: Passkeys, answer: _Answer) -> Response:
    session, now = current_sign_in(), face.rooms.clock()
    account = session.account
    made = passkeys.registered(account, session.id, answer.credential, now)
    first = not face.factors.has_any(account.id)
    record = record_of(face, "second factor added", [("kind", "passkey")])
    face.factors.add_passkey(account.id, made, name=answer.name or "Passkey", record=record, now=now)
    begun = proved_with(face, "hwk")
    end_others(face, account, begun)
    # The first one comes with recovery codes, which are shown on a page of their own.
    response = codes_page(face, answer.where) if first else _json({"next": answer.where})
    if begun is not None:
        face.let_in(begun, response)
    return response


def _proved(face: SignInFace, passkeys: Passkeys, use: Use, answer: _Answer, step: SignIn | None = None) -> Account:
    """Whose passkey it is. A failure is counted and audited. Raises PasskeyRefused, TooManyRequests."""
    attempt = face.attempt()
    face.signing_in.require_attempt(step.account if step else None, attempt)
    account = None
    try:
        passkey = passkeys.proved(use, answer.credential, attempt.now, step=step.id if step else "")
        account = face.accounts.find(passkey.account_id)
        if account is None or not account.enabled or (step is not None and step.account.id != account.id):
            raise PasskeyRefused("the passkey is of no account that is open")
    except PasskeyRefused:
        face.signing_in.refuse_passkey(step.account if step else account, attempt)
        raise
    return account


def _let_in(face: SignInFace, begun: Begun, answer: _Answer) -> Response:
    response = _json({"next": answer.where})
    face.let_in(begun, response)
    return response


def _answer() -> _Answer:
    if (request.content_length or 0) > _MOST_BYTES:
        raise PayloadTooLarge("that is no answer of a passkey")
    try:
        body = read_strict_json(request.get_data())
    except UnreadableJSON as exc:
        raise InvalidQuery("that is no answer of a passkey") from exc
    if not isinstance(body, dict) or not isinstance(body.get("credential"), dict):
        raise InvalidQuery("that is no answer of a passkey")
    where, name = body.get("next"), body.get("name")
    return _Answer(
        credential=body["credential"],
        where=allowed_next(where) if isinstance(where, str) else HOME,
        name=name.strip()[:_MOST_NAME] if isinstance(name, str) and name.isprintable() else "",
    )


def _json(value: Mapping[str, Any]) -> Response:
    response = Response(orjson.dumps(value), mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
