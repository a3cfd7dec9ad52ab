"""The pages by which people sign in and out: login and password, the second step, once more, and goodbye."""

from flask import Blueprint, Response, request

from gateway.auth.guards import current_sign_in, signed_in_or_none
from gateway.auth.people import SignIn
from gateway.pages.errors import html_errors
from gateway.pages.forms import forget_forms, protect_forms
from gateway.pages.shell import render
from gateway.signin.face import BEGIN, HOME, SignInFace, next_path, see_other, with_next

_MOST_LOGIN = 200
"""Characters that the field of the login takes, and shows again."""
_WRONG = "Login and password don't go together. Check both, and try once more."
_WRONG_CODE = "That code isn't right, or has been used. Wait for the next one."


def sign_in_blueprint(face: SignInFace) -> Blueprint:
    """`/signin`: open to anyone; it knows who has signed in already (guard `optional_person`)."""
    blueprint = Blueprint("signin", __name__)
    protect_forms(blueprint, face.base_url)

    @blueprint.get("/signin", provide_automatic_options=False)
    def page() -> Response:
        where = next_path()
        if signed_in_or_none() is not None and where != HOME:
            return see_other(where)
        return sign_in_page(face, where)

    @blueprint.post("/signin", provide_automatic_options=False)
    def sign_in() -> Response:
        where = next_path()
        login, password = request.form.get("login", "").strip(), request.form.get("password", "")
        errors = {
            **({} if login else {"login": "Enter your login."}),
            **({} if password else {"password": "Enter your password."}),
        }
        if errors:
            return sign_in_page(face, where, login=login, errors=errors, status=422)
        begun = face.signing_in.by_password(login, password, face.attempt())
        if begun is None:
            return sign_in_page(face, where, login=login, problem=_WRONG, status=401)
        return face.go_on(begun, where)

    @blueprint.get("/signed-out", provide_automatic_options=False)
    def signed_out() -> Response:
        return render("signed_out.html")

    html_errors(blueprint, face.rooms)
    return blueprint


def step_blueprint(face: SignInFace) -> Blueprint:
    """`/signin/second`: for who has given a password and owes a second factor (guard `requires_step`)."""
    blueprint = Blueprint("signin_step", __name__)
    protect_forms(blueprint, face.base_url)

    @blueprint.get("/signin/second", provide_automatic_options=False)
    def page() -> Response:
        step, where = current_sign_in(), next_path()
        if not face.factors.has_any(step.account.id):
            return see_other(with_next(BEGIN, where))
        return _second_page(face, step, where)

    @blueprint.post("/signin/second", provide_automatic_options=False)
    def second() -> Response:
        step, where = current_sign_in(), next_path()
        code = request.form.get("code", "").strip()
        if not code:
            return _second_page(face, step, where, errors={"code": "Enter the code."}, status=422)
        begun = face.signing_in.by_code(step, code, face.attempt())
        if begun is None:
            return _second_page(face, step, where, errors={"code": _WRONG_CODE}, status=401)
        return face.go_on(begun, where)

    html_errors(blueprint, face.rooms)
    return blueprint


def again_blueprint(face: SignInFace) -> Blueprint:
    """`/signin/again` and `/signout`: for who has signed in (guard `requires_person`)."""
    blueprint = Blueprint("signin_again", __name__)
    protect_forms(blueprint, face.base_url)

    @blueprint.get("/signin/again", provide_automatic_options=False)
    def page() -> Response:
        return _again_page(face, next_path())

    @blueprint.post("/signin/again", provide_automatic_options=False)
    def again() -> Response:
        session, where = current_sign_in(), next_path()
        password = request.form.get("password", "")
        if not password:
            return _again_page(face, where, errors={"password": "Enter your password."}, status=422)
        begun = face.signing_in.by_password(session.account.login, password, face.attempt(), again=session)
        if begun is None:
            errors = {"password": "That is not your password."}
            return _again_page(face, where, errors=errors, status=401)
        return face.go_on(begun, where)

    html_errors(blueprint, face.rooms)
    return blueprint


def sign_out_blueprint(face: SignInFace) -> Blueprint:
    """`/signout`: whoever has signed in, or stands at a step of it, has no session any more (`open_to_anyone`)."""
    blueprint = Blueprint("signout", __name__)
    protect_forms(blueprint, face.base_url)

    @blueprint.post("/signout", provide_automatic_options=False)
    def sign_out() -> Response:
        attempt, cookie = face.attempt(), face.door.cookie.read()
        for found in (face.door.signins.find(cookie, attempt.now), face.door.signins.find_step(cookie, attempt.now)):
            if found is not None:
                face.signing_in.sign_out(found, attempt)
        response = see_other("/signed-out")
        forget_forms()
        face.door.cookie.remove(response)
        response.headers["Clear-Site-Data"] = '"cache"'
        return response

    html_errors(blueprint, face.rooms)
    return blueprint


def sign_in_page(
    face: SignInFace,
    where: str,
    *,
    login: str = "",
    errors: dict[str, str] | None = None,
    problem: str = "",
    status: int = 200,
) -> Response:
    """The sign-in page, with what is wrong by field, or as a whole."""
    return render(
        "sign_in.html",
        status=status,
        scripts=True,
        next=where,
        login=login[:_MOST_LOGIN],
        most_login=_MOST_LOGIN,
        errors=errors or {},
        problem=problem,
        provider=face.provider_name,
        provider_url=face.provider_url(where),
    )


def _second_page(
    face: SignInFace, step: SignIn, where: str, *, errors: dict[str, str] | None = None, status: int = 200
) -> Response:
    kinds = {factor.kind for factor in face.factors.of(step.account.id)}
    return render("second.html", status=status, scripts=True, next=where, kinds=kinds, errors=errors or {})


def _again_page(face: SignInFace, where: str, *, errors: dict[str, str] | None = None, status: int = 200) -> Response:
    return render(
        "again.html",
        status=status,
        scripts=True,
        next=where,
        errors=errors or {},
        provider=face.provider_name,
        provider_url=face.provider_url(where, again=True),
    )
