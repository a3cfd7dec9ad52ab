"""`/retrieval/view`: a link by which an EHR without a viewer opens one study, once its user has signed in.

The page names the study and the facilities that hold it; a button leads to the viewer with a code behind the `#`, and
the viewer fetches its tokens for codes at `/retrieval/view/token`. No token, and no code, is ever in a URL's query.
"""

import orjson
from flask import Blueprint, Response, g, redirect, request

from gateway.auth.call import Call
from gateway.auth.guards import current_sign_in
from gateway.disclosure import Request
from gateway.errors import DependencyUnavailable, GatewayError, InvalidQuery, TooManyRequests
from gateway.limits import Limiter, require_within
from gateway.log import Event, event
from gateway.pages.errors import html_errors
from gateway.pages.forms import protect_forms
from gateway.pages.shell import render
from gateway.rates import Kind
from gateway.retrieval.viewing import Shown, Viewing
from gateway.rooms import Rooms
from gateway.web_origin import origin_of

PATH = "/retrieval/view"
TOKEN_PATH = PATH + "/token"
_MOST_BYTES = 4096
_RETRY_AFTER_S = 5


def view_blueprint(viewing: Viewing, rooms: Rooms, base_url: str) -> Blueprint:
    """The page, and its button. Its guard is `requires_person`."""
    blueprint = Blueprint("retrieval_view", __name__)
    html_errors(blueprint, rooms)
    protect_forms(blueprint, base_url)

    @blueprint.get(PATH, provide_automatic_options=False)
    def show() -> Response:
        study_id = _one(request.args.getlist("study"))
        shown = viewing.look(current_sign_in(), study_id, _asked(f"GET {PATH}?study={study_id}"))
        viewer = origin_of(viewing.viewer.launch_url or "")
        return render(
            "view.html",
            form_targets=[viewer] if viewer else [],
            study=shown.study,
            facts=facts_of(shown),
            openable=shown.openable,
            others=shown.others,
            action=f"{PATH}/open",
        )

    @blueprint.post(f"{PATH}/open", provide_automatic_options=False)
    def open_study() -> Response:
        study_id, facility = _one(request.form.getlist("study")), _one(request.form.getlist("facility"))
        asked = _asked(f"POST {PATH}/open study={study_id} facility={facility}")
        address = viewing.begin(current_sign_in(), study_id, facility, asked)
        response = redirect(address, code=303)
        response.headers["Cache-Control"] = "no-store"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response  # type: ignore[return-value]  # Flask's redirect makes a Response of its own kind

    return blueprint


def view_token_blueprint(viewing: Viewing, limiter: Limiter) -> Blueprint:
    """Where the viewer's page brings its code. Its guard is `open_to_anyone`: the code is the proof."""
    blueprint = Blueprint("retrieval_view_token", __name__)

    @blueprint.before_request
    def count() -> None:
        require_within(limiter, Kind.TOKENS, request.remote_addr or "")

    @blueprint.post(TOKEN_PATH, provide_automatic_options=False)
    def token() -> Response:
        request.max_content_length = _MOST_BYTES
        call = Call(request=f"POST {TOKEN_PATH}", request_id=g.request_id, network=request.remote_addr)
        opened = viewing.redeem(_one(request.form.getlist("code")), call)
        told = {
            "access_token": opened.token.value,
            "token_type": "Bearer",
            "expires_in": opened.token.lifetime_s,
            "address": opened.address,
            "study": opened.study,
            "code": opened.code,
        }
        return _json({name: value for name, value in told.items() if value is not None}, 200)

    @blueprint.errorhandler(GatewayError)
    def refuse(exc: GatewayError) -> Response:
        if isinstance(exc, DependencyUnavailable):
            event(Event.DEPENDENCY_UNAVAILABLE, reason=exc.reason, request_id=g.request_id)
            return _later({"error": "temporarily_unavailable"}, 503, _RETRY_AFTER_S)
        if isinstance(exc, TooManyRequests):
            return _later({"error": "slow_down"}, 429, exc.retry_after_s)
        # Alike, whatever is wrong: a code that doesn't hold, or a study that is open no longer.
        return _json({"error": "invalid_grant"}, 400)

    return blueprint


def facts_of(shown: Shown) -> list[tuple[str, str]]:
    """What the page tells of a study and whose it is, in words."""
    study = shown.study
    made = study.started.text[:10] if study.started else ""
    found = [
        ("Patient", shown.patient),
        ("Made", made),
        ("Kind", ", ".join(study.modalities)),
        ("What", study.description or ""),
    ]
    if study.number_of_instances is not None:
        found.append(("Images", str(study.number_of_instances)))
    return [(name, words) for name, words in found if words]


def _one(values: list[str]) -> str:
    if len(values) != 1 or not values[0]:
        raise InvalidQuery("exactly one value is needed")
    return values[0][:128]


def _asked(raw: str) -> Request:
    shown = raw.encode("ascii", "backslashreplace").decode()
    return Request(kind="imaging-read", raw=shown, id=g.request_id, network=request.remote_addr)


def _later(body: object, status: int, after_s: int) -> Response:
    response = _json(body, status)
    response.headers["Retry-After"] = str(after_s)
    return response


def _json(body: object, status: int) -> Response:
    response = Response(orjson.dumps(body), status, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    response.headers["Pragma"] = "no-cache"
    return response
