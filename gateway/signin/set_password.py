"""The page behind a link that an administrator gave somebody: whoever has it sets the account's password, once."""

from flask import Blueprint, Response, request

from gateway.auth import passwords
from gateway.auth.people import Account
from gateway.auth.people_audit import people_record, who_is
from gateway.errors import NotFound
from gateway.pages.errors import html_errors
from gateway.pages.forms import forget_forms, protect_forms
from gateway.pages.shell import render
from gateway.signin.face import SignInFace, see_other
from gateway.signin.security_pages import new_password_errors

PATH = "/signin/set-password"


def set_password_blueprint(face: SignInFace) -> Blueprint:
    """`/signin/set-password/…`: the link is the proof (guard `open_to_anyone`)."""
    blueprint = Blueprint("signin_set_password", __name__)
    protect_forms(blueprint, face.base_url)

    @blueprint.get(f"{PATH}/<word>", provide_automatic_options=False)
    def page(word: str) -> Response:
        return _page(word, _account_of(face, word), {})

    @blueprint.post(f"{PATH}/<word>", provide_automatic_options=False)
    def set_password(word: str) -> Response:
        account, new = _account_of(face, word), request.form.get("new", "")
        errors = new_password_errors(account, new, request.form.get("repeated", ""))
        if errors:
            return _page(word, account, errors, status=422)
        attempt = face.attempt()
        if face.challenges.take("password", word, now=attempt.now) is None:
            raise NotFound  # somebody was quicker
        record = people_record(
            "account-change",
            who_is(account, network=attempt.network),
            attempt.now,
            "password set by a link",
            request=f"POST {PATH}",  # without the word that opens it
            request_id=attempt.request_id,
        )
        face.accounts.set_password(account.id, passwords.hash_of(new), lambda _: record, attempt.now)
        face.challenges.forget("password", account.id)  # older links
        forget_forms()
        return see_other("/signin")

    html_errors(blueprint, face.rooms)
    return blueprint


def _account_of(face: SignInFace, word: str) -> Account:
    asked = face.challenges.find("password", word, now=face.rooms.clock())
    found = face.accounts.find(asked.account_id) if asked and asked.account_id else None
    if found is None or not found.enabled:
        raise NotFound
    return found


def _page(word: str, account: Account, errors: dict[str, str], *, status: int = 200) -> Response:
    return render("password.html", status=status, account=account, errors=errors, link=f"{PATH}/{word}")
