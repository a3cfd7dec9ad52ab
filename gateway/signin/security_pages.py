"""The pages on which somebody sees and changes how they prove who they are: authenticator, recovery codes, password.

What changes needs a proof of the last minutes (guard `requires_proof`, T148), and ends the account's other sessions.
"""

from collections.abc import Sequence

import segno
from flask import Blueprint, Response, request

from gateway.audit.record import AuditRecord
from gateway.auth import passwords, totp
from gateway.auth.guards import current_sign_in, is_a_step
from gateway.auth.people import STAFF, Account
from gateway.auth.people_audit import people_record, who_signed_in
from gateway.auth.sessions import STEP_LASTS, Begun
from gateway.errors import Conflict, InvalidQuery
from gateway.pages.errors import html_errors
from gateway.pages.forms import protect_forms
from gateway.pages.shell import render
from gateway.signin.face import HOME, SignInFace, next_path, see_other, with_next

_ISSUER = "Imaging exchange"
_MOST_NAME = 60


def security_blueprint(face: SignInFace) -> Blueprint:
    """`/signin/security`: what one's account has (guard `requires_person`)."""
    blueprint = Blueprint("signin_security", __name__)

    @blueprint.get("/signin/security", provide_automatic_options=False)
    def page() -> Response:
        account = current_sign_in().account
        factors = face.factors.of(account.id)
        return render(
            "security.html",
            account=account,
            factors=[factor for factor in factors if factor.kind != "recovery"],
            codes_left=sum(factor.kind == "recovery" for factor in factors),
            must=bool(account.roles & STAFF),
            has_password=face.accounts.has_password(account),
        )

    html_errors(blueprint, face.rooms)
    return blueprint


def change_blueprint(face: SignInFace) -> Blueprint:
    """`/signin/security/…`: changing it (guard `requires_proof`)."""
    blueprint = Blueprint("signin_change", __name__)
    protect_forms(blueprint, face.base_url)

    @blueprint.get("/signin/security/begin", provide_automatic_options=False)
    def begin() -> Response:
        return render("begin.html", scripts=True, next=next_path(), account=current_sign_in().account)

    @blueprint.get("/signin/security/app", provide_automatic_options=False)
    def app_page() -> Response:
        return _app_page(face, next_path())

    @blueprint.post("/signin/security/app", provide_automatic_options=False)
    def add_app() -> Response:
        return _add_app(face, next_path())

    @blueprint.post("/signin/security/codes", provide_automatic_options=False)
    def codes() -> Response:
        if is_a_step():
            raise InvalidQuery("recovery codes come with the first second factor")
        return codes_page(face, next_path())

    @blueprint.post("/signin/security/remove", provide_automatic_options=False)
    def remove() -> Response:
        return _remove(face, request.form.get("id", ""))

    @blueprint.get("/signin/security/password", provide_automatic_options=False)
    def password_page() -> Response:
        return render("password.html", account=current_sign_in().account, errors={})

    @blueprint.post("/signin/security/password", provide_automatic_options=False)
    def set_password() -> Response:
        return _set_password(face)

    html_errors(blueprint, face.rooms)
    return blueprint


def _remove(face: SignInFace, id_: str) -> Response:
    account = current_sign_in().account
    kept = [one for one in face.factors.of(account.id) if one.kind != "recovery" and one.id != id_]
    if is_a_step() or (account.roles & STAFF and not kept):
        raise Conflict("staff keep one second factor: add another first")
    face.factors.remove(account.id, id_, record_of(face, "second factor removed"), face.rooms.clock())
    end_others(face, account)
    return see_other(HOME)


def _set_password(face: SignInFace) -> Response:
    session = current_sign_in()
    account, new = session.account, request.form.get("new", "")
    if is_a_step():
        raise InvalidQuery("sign in to the end first")
    if not face.accounts.has_password(account):
        raise Conflict("the account signs in elsewhere; an administrator's link gives it a password")
    errors = new_password_errors(account, new, request.form.get("repeated", ""))
    if errors:
        return render("password.html", status=422, account=account, errors=errors)
    record = record_of(face, "password changed")
    hashed = passwords.hash_of(new)
    face.accounts.set_password(account.id, hashed, lambda _: record, face.rooms.clock(), keeps=session.id)
    return see_other(HOME)


def new_password_errors(account: Account, new: str, repeated: str) -> dict[str, str]:
    """What is wrong with a new password, by field."""
    problem = passwords.problem_with(new, login=account.login, name=account.name)
    if problem is not None:
        return {"new": problem}
    return {} if new == repeated else {"repeated": "The two are not the same."}


def record_of(face: SignInFace, reason: str, details: Sequence[tuple[str, str]] = ()) -> AuditRecord:
    """What whoever has signed in did to their own account, for the audit."""
    attempt = face.attempt()
    return people_record(
        "account-change",
        who_signed_in(current_sign_in(), attempt.network),
        attempt.now,
        reason,
        request=attempt.request,
        request_id=attempt.request_id,
        details=details,
    )


def end_others(face: SignInFace, account: Account, begun: Begun | None = None) -> None:
    """The account's other sessions are over: whoever holds one may not be its owner."""
    kept = begun.sign_in.id if begun else current_sign_in().id
    face.signins.end_all(account.id, face.rooms.clock(), but=kept)


def proved_with(face: SignInFace, how: str) -> Begun | None:
    """The session that goes on now that a second factor was set up and proved; None where the old one does."""
    session = current_sign_in()
    if session.second_factor and not is_a_step():
        return None
    return face.signing_in.by_enrolling(session, how, face.attempt())


def _app_page(face: SignInFace, where: str, errors: dict[str, str] | None = None) -> Response:
    session, now = current_sign_in(), face.rooms.clock()
    asked = face.challenges.find("totp", session.id, now=now)
    secret = asked.content["secret"] if asked else totp.new_secret()
    if asked is None:
        face.challenges.ask(
            "totp",
            session.id,
            now=now,
            until=now + STEP_LASTS,
            account_id=session.account.id,
            content={"secret": secret},
        )
    code = segno.make(totp.uri_of(secret, session.account.login, _ISSUER), error="m")
    return render(
        "app.html",
        status=422 if errors else 200,
        next=where,
        picture=code.svg_data_uri(scale=4, border=2),
        secret=" ".join(secret[i : i + 4] for i in range(0, len(secret), 4)),
        errors=errors or {},
    )


def _add_app(face: SignInFace, where: str) -> Response:
    session, now = current_sign_in(), face.rooms.clock()
    asked = face.challenges.find("totp", session.id, now=now)
    if asked is None:
        return see_other(with_next("/signin/security/app", where))
    secret = asked.content["secret"]
    step = totp.step_of(secret, request.form.get("code", ""), now)
    if step is None:
        return _app_page(face, where, {"code": "That isn't the code the app shows now. Check the clock of your phone."})
    face.challenges.take("totp", session.id, now=now)
    first = not face.factors.has_any(session.account.id)
    name = request.form.get("name", "").strip()[:_MOST_NAME] or "Authenticator app"
    record = record_of(face, "second factor added", [("kind", "totp")])
    face.factors.add_totp(session.account.id, secret, name=name, used_step=step, record=record, now=now)
    return after_adding(face, where, "otp", first=first)


def after_adding(face: SignInFace, where: str, how: str, *, first: bool) -> Response:
    """On from a new second factor: with recovery codes where it is the first one."""
    account = current_sign_in().account
    begun = proved_with(face, how)
    end_others(face, account, begun)
    response = codes_page(face, where) if first else see_other(where)
    if begun is not None:
        face.let_in(begun, response)
    return response


def codes_page(face: SignInFace, where: str) -> Response:
    """New recovery codes, shown this once."""
    account = current_sign_in().account
    record = record_of(face, "recovery codes made")
    codes = face.factors.new_recovery_codes(account.id, record, face.rooms.clock())
    return render("codes.html", codes=codes, next=where)
