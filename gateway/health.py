"""Is the process alive, is it ready, what does it count? No patient data, no login; `/metrics` by network only."""

from collections.abc import Callable, Mapping

from flask import Blueprint, Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest, multiprocess

from gateway.errors import GatewayError

Ping = Callable[[], None]
"""Returns when the dependency works. Raises GatewayError where it doesn't."""


def liveness() -> Blueprint:
    """`GET /livez`: 200 while the process can answer; it looks at nothing else."""
    page = Blueprint("liveness", __name__)

    @page.get("/livez")
    def livez() -> Response:
        return jsonify(status="alive")

    return page


def readiness(pings: Mapping[str, Ping]) -> Blueprint:
    """`GET /readyz`: 200 when each of our own dependencies answers, else 503 naming those that don't."""
    page = Blueprint("readiness", __name__)

    @page.get("/readyz")
    def readyz() -> tuple[Response, int]:
        checks = {name: _state(ping) for name, ping in pings.items()}
        ready = all(state == "ok" for state in checks.values())
        return jsonify(status="ready" if ready else "not ready", checks=checks), 200 if ready else 503

    return page


def _state(ping: Ping) -> str:
    try:
        ping()
    except GatewayError:
        return "unavailable"
    return "ok"


def metrics_page(multiprocess_dir: str | None) -> Blueprint:
    """`GET /metrics` in the Prometheus text format, over all worker processes where there are several."""
    page = Blueprint("metrics", __name__)

    @page.get("/metrics")
    def metrics() -> Response:
        registry = REGISTRY
        if multiprocess_dir:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry, path=multiprocess_dir)  # type: ignore[no-untyped-call]
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    return page
