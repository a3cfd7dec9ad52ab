"""Is the process alive, is it ready, what does it count? No patient data, no login; `/metrics` by network only."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from flask import Blueprint, Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """Things of one kind that wait for a person."""

    kind: str
    waiting: int
    oldest_s: float


Queues = Callable[[], Iterable[Queue]]


class _Waiting(Collector):
    # Read when it is asked for: all processes see one queue, so none of them counts it.
    def __init__(self, queues: Queues) -> None:
        self._queues = queues

    def collect(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily("gateway_review_tasks", "Review tasks that wait for a steward", labels=["kind"])
        oldest = GaugeMetricFamily(
            "gateway_review_oldest_seconds", "Age of the oldest review task that waits", labels=["kind"]
        )
        for queue in self._queues():
            waiting.add_metric([queue.kind], queue.waiting)
            oldest.add_metric([queue.kind], queue.oldest_s)
        yield waiting
        yield oldest


def metrics_page(multiprocess_dir: str | None, queues: Queues) -> Blueprint:
    """`GET /metrics` in the Prometheus text format, over all worker processes where there are several.

    What waits for a person is left out while the database is away; the counts are still told.
    """
    waiting = CollectorRegistry()
    waiting.register(_Waiting(queues))
    page = Blueprint("metrics", __name__)

    @page.get("/metrics")
    def metrics() -> Response:
        registry = REGISTRY
        if multiprocess_dir:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry, path=multiprocess_dir)  # type: ignore[no-untyped-call]
        counted = generate_latest(registry)
        with suppress(GatewayError):
            counted += generate_latest(waiting)
        return Response(counted, content_type=CONTENT_TYPE_LATEST)

    return page
