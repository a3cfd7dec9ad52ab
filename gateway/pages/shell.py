"""The one shell that every page stands in: its templates, its style sheet, and what browsers are told of it.

Nothing of a page is script or style in the page itself, so that none can be slipped in (CSP without `unsafe-inline`).
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from flask import Blueprint, Response, current_app, g, request
from flask_wtf.csrf import generate_csrf
from jinja2 import Environment, PackageLoader, StrictUndefined

from gateway.auth.guards import is_a_step, signed_in_or_none

ASSETS = "/pages"
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",  # what browsers knew before frame-ancestors
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
_ASSET_TYPES = {"gateway.css": "text/css", "passkeys.js": "text/javascript", "icon.svg": "image/svg+xml"}


def render(
    template: str, /, *, status: int = 200, form_targets: Sequence[str] = (), scripts: bool = False, **values: Any
) -> Response:
    """The page of that template (`gateway/pages/templates`), every value escaped.

    `form_targets` are origins that a form of the page may lead to by redirects, beside our own (CSP `form-action`
    holds for them too). `scripts` lets our own script files run. Templates have `sign_in` (or None), `is_a_step`,
    `csrf_token()`, `request_id` and `here` (the path).
    """
    text = (
        _templates()
        .get_template(template)
        .render(
            sign_in=signed_in_or_none(),
            is_a_step=is_a_step(),
            csrf_token=generate_csrf,
            request_id=g.get("request_id", ""),
            here=request.path,
            assets=ASSETS,
            **values,
        )
    )
    response = Response(text, status, mimetype="text/html")
    response.headers.update(_HEADERS)
    response.headers["Content-Security-Policy"] = _policy(form_targets, scripts)
    if current_app.config["SESSION_COOKIE_SECURE"]:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    return response


def _policy(form_targets: Sequence[str], scripts: bool) -> str:
    targets = " ".join(("'self'", *form_targets))
    return "; ".join(
        (
            "default-src 'none'",
            "style-src 'self'",
            "img-src 'self' data:",
            f"form-action {targets}",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            *(("script-src 'self'", "connect-src 'self'") if scripts else ()),
        )
    )


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("gateway.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def assets_blueprint() -> Blueprint:
    """The style sheet, scripts and icon of the pages."""
    blueprint = Blueprint("page_assets", __name__)

    @blueprint.get(f"{ASSETS}/<name>", provide_automatic_options=False)
    def asset(name: str) -> Response:
        found = _asset(name)
        response = Response(found, mimetype=_ASSET_TYPES[name]) if found is not None else Response(status=404)
        response.headers["Cache-Control"] = "max-age=300" if found is not None else "no-store"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        return response

    return blueprint


@cache
def _asset(name: str) -> bytes | None:
    if name not in _ASSET_TYPES:
        return None
    from importlib.resources import files

    return (files("gateway.pages") / "static" / name).read_bytes()
