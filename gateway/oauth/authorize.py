"""`/oauth/authorize`: a person is asked whether an app may come in, and the app is told (SMART App Launch 2.2).

An app is answered at its registered address or not at all; what can't be answered there is told to the person (T24).
The question is put to who has signed in, and only their own answer counts: what was asked goes into the form sealed for
their session, beside the form's token.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode

import orjson
from flask import Blueprint, Response, g, redirect, request

from gateway.auth.app_authorization import OFFLINE_LASTS, AppAuthorization
from gateway.auth.authorization_request import (
    PARAMETERS,
    AnswerTo,
    AuthorizationRefused,
    AuthorizationRequest,
    read_authorization,
)
from gateway.auth.call import Call
from gateway.auth.capacities import Choice
from gateway.auth.clients import ClientRegistry
from gateway.auth.guards import current_sign_in, signed_in_or_none
from gateway.auth.people import STAFF, SignIn
from gateway.db.crypto import KeyRing
from gateway.errors import (
    AccessRefused,
    Conflict,
    DependencyUnavailable,
    InvalidQuery,
    SecondFactorNeeded,
    SignInNeeded,
)
from gateway.model import PatientID
from gateway.oauth.scope_words import Row, kept_of, rows_of
from gateway.pages.errors import SIGN_IN_AGAIN, html_errors
from gateway.pages.forms import protect_forms
from gateway.pages.shell import render
from gateway.rooms import Rooms
from gateway.web_origin import origin_of

PATH = "/oauth/authorize"
DECISION = PATH + "/decision"
_FORM = "authorization_request"
_FORM_LASTS_S = 15 * 60
_MOST_BYTES = 16 * 1024
_SHORT_MAX_AGE_S = 120
"""A `max_age` below this is met by having just signed in again; it can't be met by the time the person is back."""

NameOf = Callable[[PatientID], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizeFace:
    """What the pages need."""

    authorization: AppAuthorization
    clients: ClientRegistry
    rooms: Rooms
    keys: KeyRing
    base_url: str
    fhir_base: str
    online: timedelta
    """How long `online_access` lasts."""
    name_of: NameOf
    """The name of a person of the index, for who acts for several."""
    offline_days: int = OFFLINE_LASTS.days

    @property
    def online_hours(self) -> int:
        """`online`, as people are told."""
        return max(1, round(self.online.total_seconds() / 3600))


def authorize_blueprint(face: AuthorizeFace) -> Blueprint:
    """The question. Its guard is `optional_person`: nobody has to be signed in to be sent to the sign-in."""
    blueprint = Blueprint("oauth_authorize", __name__)
    html_errors(blueprint, face.rooms)

    @blueprint.get(PATH, provide_automatic_options=False)
    def ask() -> Response:
        if len(request.query_string) > _MOST_BYTES:
            raise InvalidQuery("the request is too long")
        pairs = _pairs(request.query_string)
        try:
            asked = read_authorization(pairs, face.clients, fhir_base=face.fhir_base)
            return _put_before_person(face, asked, pairs)
        except AuthorizationRefused as exc:
            return _answer(face, exc.to, {"error": exc.error, "error_description": exc.words})
        except DependencyUnavailable:
            # Told to the person: it passes, and trying again here is better than an app that gave up.
            raise

    @blueprint.post(PATH, provide_automatic_options=False)
    def ask_by_form() -> Response:
        # SMART's `authorize-post`. A form of another site comes without our cookie, so it is asked again by GET.
        request.max_content_length = _MOST_BYTES
        pairs = [(name, value) for name, value in _pairs(request.get_data(cache=False)) if name in PARAMETERS]
        return _away(f"{PATH}?{urlencode(pairs)}")

    return blueprint


def decision_blueprint(face: AuthorizeFace) -> Blueprint:
    """The answer of who was asked. Its guard is `requires_person`, and the form must be ours."""
    blueprint = Blueprint("oauth_decision", __name__)
    html_errors(blueprint, face.rooms)
    protect_forms(blueprint, face.base_url)

    @blueprint.post(DECISION, provide_automatic_options=False)
    def decide() -> Response:
        sign_in, now = current_sign_in(), face.rooms.clock()
        pairs = _unsealed(face, request.form.get("request", ""), sign_in)
        try:
            asked = read_authorization(pairs, face.clients, fhir_base=face.fhir_base)
        except AuthorizationRefused as exc:
            raise Conflict("the app's registration has changed") from exc
        if request.form.get("decision") != "allow":
            face.authorization.refuse(asked, sign_in, "the person said no", call_of_request(), now)
            return _answer(face, asked.to, {"error": "access_denied"})
        chosen = [
            one for one in face.authorization.choices(sign_in.account, asked, now) if one.key == request.form.get("as")
        ]
        if not chosen:
            raise AccessRefused("that can't be chosen")
        kept = kept_of(_rows(face, asked.scopes), request.form.getlist("allow"))
        try:
            code = face.authorization.allow(asked, chosen[0], kept, sign_in, call_of_request(), now)
        except AccessRefused as exc:
            face.authorization.refuse(asked, sign_in, exc.reason, call_of_request(), now)
            return _answer(face, asked.to, {"error": "access_denied"})
        return _answer(face, asked.to, {"code": code})

    return blueprint


def _put_before_person(face: AuthorizeFace, asked: AuthorizationRequest, pairs: Sequence[tuple[str, str]]) -> Response:
    now, sign_in = face.rooms.clock(), signed_in_or_none()
    silent = "none" in asked.prompt
    if sign_in is None:
        if silent:
            raise AuthorizationRefused("login_required", "nobody is signed in", asked.to)
        raise SignInNeeded
    if sign_in.account.roles & STAFF and not sign_in.second_factor:
        if silent:
            raise AuthorizationRefused("login_required", "a second factor is still to be proved", asked.to)
        raise SecondFactorNeeded("staff prove a second factor")
    too_old = asked.max_age is not None and (now - sign_in.at).total_seconds() > asked.max_age
    if too_old or "login" in asked.prompt:
        if silent:
            raise AuthorizationRefused("login_required", "the sign-in is older than max_age", asked.to)
        return _away(f"{SIGN_IN_AGAIN}?{urlencode({'next': _once_signed_in(asked, pairs)})}")
    if silent:
        raise AuthorizationRefused("consent_required", "the person has to be asked", asked.to)
    offered = face.authorization.choices(sign_in.account, asked, now)
    if not offered:
        face.authorization.refuse(
            asked, sign_in, "the account may not do anything that was asked for", call_of_request(), now
        )
    return _page(face, asked, offered, pairs, sign_in)


def _once_signed_in(asked: AuthorizationRequest, pairs: Sequence[tuple[str, str]]) -> str:
    """The same question, without asking for what has then just been done."""
    left_out = {"prompt"}
    if asked.max_age is not None and asked.max_age < _SHORT_MAX_AGE_S:
        left_out.add("max_age")
    return (
        f"{PATH}?{urlencode([(name, value) for name, value in pairs if name in PARAMETERS and name not in left_out])}"
    )


def _page(
    face: AuthorizeFace,
    asked: AuthorizationRequest,
    offered: Sequence[Choice],
    pairs: Sequence[tuple[str, str]],
    sign_in: SignIn,
) -> Response:
    counting = {text for one in offered for text in one.scopes}
    scopes = tuple(text for text in asked.scopes if text in counting)
    rows = [
        (number, row.words) for number, row in enumerate(_rows(face, asked.scopes)) if set(row.scopes) <= set(scopes)
    ]
    return render(
        "authorize.html",
        form_targets=[_form_target(origin_of(asked.to.redirect_uri))],
        app=asked.client.name,
        organization=_organization(face, asked.client.organization),
        place=origin_of(asked.to.redirect_uri),
        choices=[(one.key, _words_of(one, face.name_of)) for one in offered],
        rows=rows,
        sealed=_sealed(face, pairs, sign_in),
        action=DECISION,
    )


def _organization(face: AuthorizeFace, organization: str) -> str:
    """What people call it: the name of a facility, where it is one."""
    return next((one.name for one in face.rooms.facilities.all() if one.id == organization), organization)


def _form_target(origin: str | None) -> str:
    """Where the page's form may lead to (CSP `form-action`), which has no words for an IPv6 address."""
    if origin is None:
        return "'self'"
    return origin.partition("//")[0] if "[" in origin else origin


def _words_of(one: Choice, name_of: NameOf) -> str:
    if one.capacity == "patient":
        return "Myself: my own imaging"
    if one.capacity == "clinician":
        return "My patients, as my work allows"
    return f"{name_of(one.patient) if one.patient else ''}, for whom I act"


def _rows(face: AuthorizeFace, scopes: Sequence[str]) -> list[Row]:
    return rows_of(scopes, offline_days=face.offline_days, online_hours=face.online_hours)


def _sealed(face: AuthorizeFace, pairs: Sequence[tuple[str, str]], sign_in: SignIn) -> str:
    content = {"at": int(face.rooms.clock().timestamp()), "asked": [pair for pair in pairs if pair[0] in PARAMETERS]}
    return urlsafe_b64encode(face.keys.seal(_FORM, sign_in.id, orjson.dumps(content))).decode()


def _unsealed(face: AuthorizeFace, text: str, sign_in: SignIn) -> list[tuple[str, str]]:
    """What the form was about. Raises Conflict where it is not one that this session was shown lately."""
    try:
        content = orjson.loads(face.keys.open(_FORM, sign_in.id, urlsafe_b64decode(text.encode())))
    except (DependencyUnavailable, ValueError) as exc:
        raise Conflict("the form is of another session") from exc
    if face.rooms.clock().timestamp() - content["at"] > _FORM_LASTS_S:
        raise Conflict("the form has grown old")
    return [(name, value) for name, value in content["asked"]]


def _pairs(raw: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(raw.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=64)
    except ValueError as exc:
        raise InvalidQuery("the parameters can't be read") from exc


def _answer(face: AuthorizeFace, to: AnswerTo, parameters: Mapping[str, str]) -> Response:
    """The browser takes `parameters` to the app, with its `state` and who we are (RFC 9207)."""
    state = {} if to.state is None else {"state": to.state}
    added = urlencode({**parameters, **state, "iss": face.base_url})
    return _away(f"{to.redirect_uri}{'&' if '?' in to.redirect_uri else '?'}{added}")


def _away(where: str) -> Response:
    response: Response = redirect(where, code=303, Response=Response)  # type: ignore[assignment]
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def call_of_request() -> Call:
    """The request under way, as the audit keeps it."""
    return Call(
        request=f"{request.method} {request.path}", request_id=g.get("request_id", ""), network=request.remote_addr
    )
