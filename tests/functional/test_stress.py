"""Under load: told to end, killed, cut off from its database, out of disk. Whatever was answered is on record (T144).

Each test asks all the while from several threads. An answer is 200 or 503 or none at all; each 200 has its record, and
afterwards the log is whole.
"""

import json
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
import pytest
import requests
from sqlalchemy import make_url

from gateway.audit.log import open_audit_log
from gateway.audit.log_export import log_lines
from gateway.audit.merkle import leaf_hash, root_of
from gateway.audit.sequence import Sequencer
from gateway.audit.tree import StoredTree
from gateway.db.lookup import looking
from gateway.db.session import open_database
from tests.functional.small_exchange import SmallExchange, hold_study, identifier, uids
from tests.services.postgres import Postgres

UID = "2.25.144"
ASKERS = 6


@dataclass
class Asking:
    """What was asked and how it went, by request id."""

    answered: dict[str, int] = field(default_factory=dict)
    unanswered: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def wait_for(self, holds: Callable[["Asking"], bool], within_s: float = 20) -> None:
        """Until so much has happened."""
        end = time.monotonic() + within_s
        while not holds(self):
            assert time.monotonic() < end, self.tally()
            time.sleep(0.02)

    def tally(self) -> dict[int, int]:
        """How many answers of each status."""
        statuses = list(self.answered.values())
        return {status: statuses.count(status) for status in sorted(set(statuses))}

    def ok(self) -> int:
        """How many were answered with the study."""
        return self.tally().get(200, 0)


def _exchange(**settings: str) -> SmallExchange:
    made = SmallExchange(**settings)
    hold_study(made.add_archive("north"), "a", UID)
    made.add_person("a", "north")
    made.start()
    return made


@contextmanager
def _asked(exchange: SmallExchange) -> Iterator[Asking]:
    asking, token = Asking(), exchange.signed_token()

    def ask() -> None:
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {token}"
            while not asking.stop.is_set():
                try:
                    answer = session.get(
                        f"{exchange.gateway.fhir_url}/ImagingStudy",
                        params={"patient.identifier": identifier("a", "north")},
                        timeout=20,
                    )
                    if answer.status_code == 200:
                        assert uids(answer.json()) == [UID]
                except requests.RequestException:
                    asking.unanswered += 1
                    time.sleep(0.05)
                    continue
                asking.answered[answer.headers["X-Request-Id"]] = answer.status_code

    threads = [threading.Thread(target=ask) for _ in range(ASKERS)]
    for thread in threads:
        thread.start()
    try:
        yield asking
    finally:
        asking.stop.set()
        for thread in threads:
            thread.join()


def _require_on_record(exchange: SmallExchange, asking: Asking) -> None:
    """Each 200 has its record, once; nothing but 200 and 503 was answered; the log is whole."""
    assert set(asking.tally()) <= {200, 503}, asking.tally()
    url = exchange.gateway.env.get(
        "GATEWAY_DATABASE_URL", f"sqlite:///{exchange.gateway.folder / 'var' / 'gateway.db'}"
    )
    engine = open_database(url)
    Sequencer(engine, exchange.keys).catch_up()
    with open_audit_log(engine, exchange.keys) as log:
        records = list(log.read())
    lines = [json.loads(line) for line in log_lines(engine, exchange.keys, lambda _: False)]
    with looking(engine) as session:
        root = StoredTree(session).root(len(lines))
    engine.dispose()
    released = [one.request_id for one in records if one.kind == "imaging-search" and one.outcome == "success"]
    assert len(released) == len(set(released))
    assert {id_ for id_, status in asking.answered.items() if status == 200} <= set(released)
    assert [line["index"] for line in lines] == list(range(len(records)))
    assert root == root_of(leaf_hash(line["entry"].encode()) for line in lines)


@pytest.fixture(scope="module")
def exchange() -> Iterator[SmallExchange]:
    """On SQLite."""
    made = _exchange()
    yield made
    made.stop()


def test_t144_a_worker_that_is_killed_takes_no_record_with_it(exchange: SmallExchange) -> None:
    """kill -9 under load, twice: another takes its place, and goes on with the log where it was."""
    with _asked(exchange) as asking:
        for _ in range(2):
            so_far = asking.ok()
            asking.wait_for(lambda asking, so_far=so_far: asking.ok() > so_far + 20)  # type: ignore[misc]
            (worker,) = exchange.gateway.workers
            os.kill(worker, signal.SIGKILL)
            asking.wait_for(lambda asking, so_far=so_far: asking.ok() > so_far + 40)  # type: ignore[misc]

    _require_on_record(exchange, asking)


def test_t144_on_a_full_disk_nothing_is_answered_that_is_not_on_record(exchange: SmallExchange) -> None:
    """No file can grow: 503 and no data. Once there is room again all is well, without a restart."""
    (worker,) = exchange.gateway.workers
    with _asked(exchange) as asking:
        asking.wait_for(lambda asking: asking.ok() > 20)
        _, hard = resource.prlimit(worker, resource.RLIMIT_FSIZE)
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (1, hard))
        asking.wait_for(lambda asking: asking.tally().get(503, 0) > 10)
        full = asking.ok()
        asking.wait_for(lambda asking: asking.tally().get(503, 0) > 30)
        assert asking.ok() == full
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (hard, hard))
        asking.wait_for(lambda asking: asking.ok() > full + 20)

    assert exchange.gateway.workers == [worker]
    _require_on_record(exchange, asking)


@pytest.mark.slow
def test_t144_told_to_end_it_answers_what_is_under_way_and_puts_it_on_record(exchange: SmallExchange) -> None:
    """SIGTERM under load: exit 0 in time, and the next start goes on with the same log."""
    with _asked(exchange) as asking:
        asking.wait_for(lambda asking: asking.ok() > 20)
        status = exchange.gateway.stop()
        asking.wait_for(lambda asking: asking.unanswered > ASKERS)
        ended = dict(asking.answered)
    assert status == 0
    assert asking.answered == ended
    _require_on_record(exchange, asking)

    exchange.gateway.start()
    assert uids(exchange.search("a", "north")) == [UID]
    assert exchange.gateway.run("audit", "verify").stdout.startswith("OK: ")


@pytest.mark.slow
@pytest.mark.integration
def test_t144_a_database_that_restarts_is_503_for_as_long_and_no_longer(postgres: Postgres) -> None:
    """PostgreSQL ends every connection under load and lets nobody in for a while."""
    url = postgres.create_empty()
    exchange = _exchange(GATEWAY_DATABASE_URL=url)
    name = make_url(url).database
    with _asked(exchange) as asking, psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        asking.wait_for(lambda asking: asking.ok() > 20)
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        asking.wait_for(lambda asking: asking.tally().get(503, 0) > 20)
        away = asking.ok()
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        asking.wait_for(lambda asking: asking.ok() > away + 20)

    _require_on_record(exchange, asking)
    exchange.stop()
