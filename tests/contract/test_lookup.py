"""Look-ups that every query asks, on the driver's own connections: SQLite, PostgreSQL, and PgBouncer between."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, bindparam, insert, select, text

from gateway.db.lookup import looking
from gateway.db.prepared import Prepared
from gateway.db.session import open_database, writing
from gateway.errors import DependencyUnavailable
from gateway.mpi.tables import person

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
FIND = Prepared(select(person.c.id, person.c.created_at).where(person.c.id == bindparam("id")))


def add(engine: Engine, id_: str) -> None:
    with writing(engine) as connection:
        connection.execute(insert(person), {"id": id_, "created_at": NOW})


def find(engine: Engine, id_: str) -> list[tuple[Any, ...]]:
    with looking(engine) as session:
        return FIND.all(session, id=id_)


@pytest.fixture
def pooled(pgbouncer_url: str) -> Iterator[Engine]:
    """A database behind the pooler, whose few server connections many of ours share."""
    engine = open_database(pgbouncer_url)
    yield engine
    engine.dispose()


def test_a_look_up_sees_what_is_committed_each_time(engine: Engine) -> None:
    """Nothing of an earlier look-up is kept, by a connection or a statement."""
    for number in range(8):
        assert find(engine, f"p{number}") == []
        add(engine, f"p{number}")
        assert find(engine, f"p{number}") == [(f"p{number}", NOW)]


def test_a_look_up_that_fails_is_a_dependency_that_fails(engine: Engine) -> None:
    """In words of ours; and the next one works."""
    broken = Prepared(text("SELECT canary FROM nowhere"))
    with pytest.raises(DependencyUnavailable) as failed, looking(engine) as session:
        broken.all(session)
    assert "canary" not in failed.value.reason
    assert find(engine, "nobody") == []


def test_no_look_up_runs_in_a_transaction(engine: Engine) -> None:
    """What comes back to the pool holds no snapshot and no lock."""
    with looking(engine) as session:
        FIND.all(session, id="p")
        driver: Any = session.connection.driver_connection
        idle = driver.info.transaction_status == 0 if engine.dialect.name == "postgresql" else not driver.in_transaction
    assert idle


def test_a_transaction_on_postgresql_is_all_or_nothing(engine: Engine) -> None:
    """Also on connections that look things up outside of one."""

    def fail() -> None:
        with writing(engine) as connection:
            connection.execute(insert(person), {"id": "half", "created_at": NOW})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert find(engine, "half") == []


@pytest.mark.integration
def test_postgresql_keeps_the_plan_of_what_is_asked_often(postgres_url: str) -> None:
    """Where the connection is the server's own."""
    engine = open_database(postgres_url, serving=True)
    with looking(engine) as session:
        for _ in range(5):
            FIND.all(session, id="p")
        kept = Prepared(text("SELECT statement FROM pg_prepared_statements")).all(session)
    engine.dispose()
    assert any("mpi_person" in statement for (statement,) in kept)


@pytest.mark.integration
@pytest.mark.parametrize(("serving", "planning"), [(True, "force_generic_plan"), (False, "auto")])
def test_only_a_serving_process_holds_plans_to_indexes(postgres_url: str, serving: bool, planning: str) -> None:
    """A job that reads whole tables is planned as PostgreSQL sees fit."""
    engine = open_database(postgres_url, serving=serving)
    with looking(engine) as session:
        found = Prepared(text("SELECT current_setting('plan_cache_mode')")).all(session)
    engine.dispose()
    assert found == [(planning,)]


@pytest.mark.integration
def test_a_pooler_between_is_noticed_and_nothing_prepared(pooled: Engine) -> None:
    """A statement that one server connection has prepared is unknown to the next one."""
    with looking(pooled) as session:
        for _ in range(5):
            FIND.all(session, id="p")
        driver: Any = session.connection.driver_connection
        assert driver.prepare_threshold is None


@pytest.mark.integration
def test_many_threads_look_up_behind_a_pooler(pooled: Engine) -> None:
    """Their connections change servers between any two statements."""
    add(pooled, "p")
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            for _ in range(30):
                assert find(pooled, "p") == [("p", NOW)]
        except (DependencyUnavailable, AssertionError) as exc:
            failed.append(exc)

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


@pytest.mark.integration
def test_after_the_server_has_dropped_all_connections_one_look_up_fails(postgres_url: str) -> None:
    """Not one for each connection that was pooled."""
    engine = open_database(postgres_url)
    with looking(engine), looking(engine), looking(engine):
        pass
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(DependencyUnavailable):
        find(engine, "p")
    found = [find(engine, "p") for _ in range(3)]
    engine.dispose()
    assert found == [[], [], []]


def test_a_transaction_that_was_rolled_back_costs_no_later_look_up(engine: Engine) -> None:
    """The driver throws away then what is prepared on the connection; look-ups on it go on, before and after writes."""
    for number in range(8):
        add(engine, f"p{number}")
        assert find(engine, f"p{number}") == [(f"p{number}", NOW)]

    for number in range(3):
        with pytest.raises(DependencyUnavailable):
            add(engine, "p1")
        assert find(engine, "p1") == [("p1", NOW)]
        add(engine, f"q{number}")
        assert find(engine, f"q{number}") == [(f"q{number}", NOW)]
