"""`/oauth/apps`: a person sees which apps they have let in, and ends what they no longer want."""

from typing import Any

from flask import Blueprint, Response, redirect, request

from gateway.auth.app_grants import AppGrant
from gateway.auth.guards import current_sign_in
from gateway.oauth.authorize import AuthorizeFace, call_of_request
from gateway.oauth.scope_words import rows_of
from gateway.pages.errors import html_errors
from gateway.pages.forms import protect_forms
from gateway.pages.shell import render

PATH = "/oauth/apps"
END = PATH + "/end"


def connected_apps_blueprint(face: AuthorizeFace) -> Blueprint:
    """The page and its one form. Its guard is `requires_person`."""
    blueprint = Blueprint("oauth_apps", __name__)
    html_errors(blueprint, face.rooms)
    protect_forms(blueprint, face.base_url)

    @blueprint.get(PATH, provide_automatic_options=False)
    def apps() -> Response:
        granted = face.authorization.connected(current_sign_in().account, face.rooms.clock())
        shown = [_shown(face, one) for one in reversed(granted)]
        return render("apps.html", apps=shown, action=END, ended=request.args.get("ended") == "1")

    @blueprint.post(END, provide_automatic_options=False)
    def end() -> Response:
        grant = request.form.get("grant", "")
        face.authorization.end(grant, current_sign_in(), call_of_request(), face.rooms.clock())
        response: Response = redirect(f"{PATH}?ended=1", code=303, Response=Response)  # type: ignore[assignment]
        return response

    return blueprint


def _shown(face: AuthorizeFace, grant: AppGrant) -> dict[str, Any]:
    client = face.clients.find(grant.client_id)
    about = "myself"
    if grant.capacity == "clinician":
        about = "my patients"
    elif grant.capacity == "delegate" and grant.patient is not None:
        about = face.name_of(grant.patient)
    return {
        "name": client.name if client else grant.client_id,
        "about": about,
        "rows": [
            row.words for row in rows_of(grant.scopes, offline_days=face.offline_days, online_hours=face.online_hours)
        ],
        "since": grant.granted_at,
        "until": grant.until,
        "grant": grant.id,
    }
