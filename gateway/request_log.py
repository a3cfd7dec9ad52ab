"""What each request leaves in the log and the metrics: its route template, never its query; and its id."""

import re
import time
import uuid

from flask import Flask, Response, g, request

from gateway import log, metrics

_OUR_KIND_OF_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")


def log_requests(app: Flask) -> None:
    """Every answer carries `X-Request-Id` and is counted, timed and logged once."""

    @app.before_request
    def begin() -> None:
        g.began = time.perf_counter()
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if _OUR_KIND_OF_ID.fullmatch(given) else str(uuid.uuid4())

    @app.after_request
    def end(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.request_id
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers.pop("Server", None)
        route = request.url_rule.rule if request.url_rule else "none"
        method = request.method if request.method in ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS") else "other"
        elapsed = time.perf_counter() - g.began
        metrics.REQUESTS.labels(route, method, str(response.status_code)).inc()
        metrics.REQUEST_SECONDS.labels(route).observe(elapsed)
        if g.get("is_routine"):
            return response
        log.event(
            log.Event.REQUEST,
            route=route,
            method=method,
            status=response.status_code,
            elapsed_ms=round(elapsed * 1000, 1),
            request_id=g.request_id,
            client=getattr(g.get("requester"), "client_id", None),
        )
        return response
