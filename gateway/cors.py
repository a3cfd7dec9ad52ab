"""What a page of another origin may read (Fetch §3.2, CORS): public documents from anywhere, the rest from apps' own.

No answer ever allows credentials: an app sends its token itself, and what a browser would add of its own (cookies,
certificates) counts for nothing here. A path that is named in neither list is for pages of our own origin alone.
"""

from collections.abc import Container
from dataclasses import dataclass

from flask import Flask, Response, current_app, request

from gateway.errors import DependencyUnavailable

PUBLIC = frozenset(
    (
        "/.well-known/jwks.json",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/.well-known/smart-configuration",
        "/fhir/r4/.well-known/smart-configuration",
        "/fhir/r4/metadata",
    )
)
"""The same for everybody who asks."""

FOR_APPS = ("/fhir/r4/", "/oauth/token", "/oauth/revoke", "/oauth/introspect")
"""What an app in a browser calls with a token of its own; a path that ends in `/` stands for all below it."""

ALLOWED_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
ALLOWED_HEADERS = "Accept, Authorization, Content-Type, If-Match, If-None-Exist, If-None-Match, Prefer, X-Request-Id"
EXPOSED_HEADERS = "Content-Location, ETag, Last-Modified, Location, Retry-After, WWW-Authenticate, X-Request-Id"
FRESH_S = 600
"""How long a browser may remember what a preflight said; an origin that is taken away is refused on each answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """Who may read what: `apps` the FHIR and OAuth paths, `viewers` the paths in `for_viewers`."""

    apps: Container[str]
    viewers: Container[str] = ()
    for_viewers: Container[str] = ()


def share_with_origins(app: Flask, origins: Origins) -> None:
    """Preflights are answered, and answers carry who may read them. Call it after `log_requests`."""

    @app.before_request
    def answer_preflight() -> Response | None:
        asked = request.headers.get("Access-Control-Request-Method")
        if request.method != "OPTIONS" or asked is None or _allowed(origins) is None or not _is_done(asked):
            return None  # a method that no route names is refused, as any other
        response = Response(status=204)
        response.headers["Access-Control-Allow-Methods"] = ", ".join(m for m in ALLOWED_METHODS if _is_done(m))
        response.headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
        response.headers["Access-Control-Max-Age"] = str(FRESH_S)
        return response

    @app.after_request
    def say_who_may_read(response: Response) -> Response:
        response.headers.pop("Access-Control-Allow-Origin", None)
        if request.path not in PUBLIC and not _is_shared(origins):
            return response
        if request.path not in PUBLIC:
            response.vary.add("Origin")
        if (allowed := _allowed(origins)) is not None:
            response.headers["Access-Control-Allow-Origin"] = allowed
            response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
        return response


def _allowed(origins: Origins) -> str | None:
    """What `Access-Control-Allow-Origin` says here: `*`, the page's own origin, or nothing."""
    if request.path in PUBLIC:
        return "*"
    stated = request.headers.getlist("Origin")
    if len(stated) != 1:
        return None
    try:
        reader = stated[0] in _readers(origins)
    except DependencyUnavailable:
        return None  # not known is not allowed
    return stated[0] if reader else None


def _is_shared(origins: Origins) -> bool:
    return request.path in origins.for_viewers or _is_for_apps()


def _readers(origins: Origins) -> Container[str]:
    if request.path in origins.for_viewers:
        return origins.viewers
    return origins.apps if _is_for_apps() else ()


def _is_for_apps() -> bool:
    return any(request.path.startswith(path) if path.endswith("/") else request.path == path for path in FOR_APPS)


def _is_done(method: str) -> bool:
    adapter = current_app.create_url_adapter(request)
    return method in ALLOWED_METHODS and adapter is not None and adapter.test(method=method)
