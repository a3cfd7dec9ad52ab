"""A form counts only where it comes from a page of ours, shown to the same browser (ASVS 5.0 3.5.1).

The token in the form belongs to a signed cookie; beside it, what the browser itself says of where the form comes from
is believed where it speaks against it. Views that change something by POST call nothing: the blueprint does.
"""

from typing import Any

from flask import Blueprint, Flask, request, session
from flask.sessions import SecureCookieSessionInterface
from flask_wtf.csrf import CSRFError, CSRFProtect

from gateway.auth.session_cookie import cookie_for
from gateway.db.crypto import KeyRing
from gateway.errors import FormRefused

_protect = CSRFProtect()


class _FormSessions(SecureCookieSessionInterface):
    """Flask makes what signs the cookie anew for every request, of every face; it is always the same."""

    def __init__(self) -> None:
        self._signers: dict[Flask, Any] = {}

    def get_signing_serializer(self, app: Flask) -> Any:
        """What signs the cookie of `app`."""
        if app not in self._signers:
            self._signers[app] = super().get_signing_serializer(app)
        return self._signers[app]


def set_up_forms(app: Flask, base_url: str, keys: KeyRing) -> None:
    """Pages of `app` have form tokens, in a cookie of their own that is signed with a key of the gateway's."""
    cookie = cookie_for(base_url, "gateway-form")
    app.secret_key = keys.blind("page-forms", "1") + keys.blind("page-forms", "2")
    app.config.update(
        SESSION_COOKIE_NAME=cookie.name,
        SESSION_COOKIE_SECURE=cookie.secure,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",
        WTF_CSRF_CHECK_DEFAULT=False,  # the FHIR and OAuth faces have no forms: each page blueprint asks for itself
        WTF_CSRF_TIME_LIMIT=None,  # as long as the browser's session
        WTF_CSRF_SSL_STRICT=False,  # it would compare with the Host header, which anybody writes; ours is below
        GATEWAY_ORIGIN=base_url,
    )
    app.session_interface = _FormSessions()
    _protect.init_app(app)


def protect_forms(blueprint: Blueprint, base_url: str) -> None:
    """Whatever changes something in `blueprint` is refused unless its form is ours. Register it after the guard."""

    @blueprint.before_request
    def check() -> None:
        if request.method in ("GET", "HEAD", "OPTIONS"):
            return
        require_own_form(base_url)


def require_own_form(base_url: str) -> None:
    """The form comes from a page of ours in this browser. Raises FormRefused."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise FormRefused("the form comes from another site")
    if request.headers.get("Origin", base_url).lower() != base_url.lower():
        raise FormRefused("the form comes from another site")
    try:
        _protect.protect()
    except CSRFError as exc:
        raise FormRefused("the form is not of this session: open the page again") from exc


def forget_forms() -> None:
    """Forms shown until now count no longer: somebody has signed in or out."""
    session.clear()
