"""What the metrics page tells of what waits for a person."""

from collections.abc import Sequence

from flask import Flask

from gateway.errors import DependencyUnavailable
from gateway.health import Queue, Queues, metrics_page


def page(queues: Queues) -> str:
    """The page, as Prometheus reads it."""
    app = Flask("metrics")
    app.register_blueprint(metrics_page(None, queues))
    answer = app.test_client().get("/metrics")
    assert answer.status_code == 200
    return answer.get_data(as_text=True)


def test_each_queue_has_its_length_and_the_age_of_its_oldest() -> None:
    """As they are when the page is asked for."""
    text = page(lambda: [Queue(kind="possible-match", waiting=3, oldest_s=86400.0)])

    assert 'gateway_review_tasks{kind="possible-match"} 3.0' in text
    assert 'gateway_review_oldest_seconds{kind="possible-match"} 86400.0' in text


def test_without_the_database_the_counts_are_still_told() -> None:
    """What waits is left out: nobody takes an old number for today's."""

    def away() -> Sequence[Queue]:
        raise DependencyUnavailable("the database can't be read")

    text = page(away)

    assert "gateway_requests_total" in text
    assert "gateway_review_tasks{" not in text
