"""What every store of clients and of used assertions does: in memory, in SQLite, in PostgreSQL."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, func, select

from gateway.auth.client_assertion import SingleUse
from gateway.auth.client_store import DatabaseClientStore, UsedAssertions
from gateway.auth.clients import ClientStore
from gateway.auth.tables import client as client_table
from gateway.auth.tables import used_assertion
from gateway.db.crypto import KeyRing
from gateway.db.session import open_database, reading, writing
from gateway.errors import DependencyUnavailable
from tests.factories_auth import FakeClientStore, FakeClock, FakeUsedAssertions, a_client

NOW = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)
SOON = NOW + timedelta(minutes=4)
DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)]


@pytest.fixture(params=["memory", *DATABASES])
def store(request: pytest.FixtureRequest) -> Iterator[ClientStore]:
    """Each store in turn, empty."""
    if request.param == "memory":
        yield FakeClientStore()
        return
    engine = open_database(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))
    yield DatabaseClientStore(engine)
    engine.dispose()


@pytest.fixture(params=["memory", *DATABASES])
def used(request: pytest.FixtureRequest, keys: KeyRing) -> Iterator[SingleUse]:
    """Each memory of used assertions in turn, empty."""
    if request.param == "memory":
        yield FakeUsedAssertions()
        return
    engine = open_database(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))
    yield UsedAssertions(engine, keys)
    engine.dispose()


def test_what_is_saved_is_found_as_it_was(store: ClientStore) -> None:
    """Every field, text in any script, with and without the optional ones."""
    full = a_client(
        name="Клиника Ünï", jwks=None, jwks_uri="https://ehr.example/jwks", token_exchange=True, facility="north"
    )
    assert store.save(full, NOW)
    assert store.find("ehr") == full
    assert store.save(a_client(id="other", purposes=("TREAT", "HPAYMT")), NOW)
    assert store.find("other") == a_client(id="other", purposes=("TREAT", "HPAYMT"))


def test_a_client_that_was_never_saved_is_not_found(store: ClientStore) -> None:
    """Nor one whose id only looks like it."""
    store.save(a_client(), NOW)
    for client_id in ("nobody", "EHR", "ehr ", "eh%", ""):
        assert store.find(client_id) is None


def test_saving_again_updates(store: ClientStore) -> None:
    """The second time is told from the first, and the last one counts."""
    assert store.save(a_client(), NOW) is True
    assert store.save(a_client(name="New"), NOW) is False
    found = store.find("ehr")
    assert found is not None
    assert found.name == "New"
    assert len(store.list_all()) == 1


def test_clients_are_listed_in_the_order_of_their_ids(store: ClientStore) -> None:
    """Disabled ones too."""
    for client_id in ("b", "c", "a"):
        store.save(a_client(id=client_id), NOW)
    store.disable("b", NOW)
    assert [client.id for client in store.list_all()] == ["a", "b", "c"]


def test_a_disabled_client_stays_disabled_since_then(store: ClientStore) -> None:
    """The first time counts; disabling nobody is told."""
    store.save(a_client(), NOW)
    assert store.disable("ehr", NOW)
    assert store.disable("ehr", NOW + timedelta(days=1))
    found = store.find("ehr")
    assert found is not None
    assert found.disabled_at == NOW
    assert not found.enabled
    assert not store.disable("nobody", NOW)


def test_saving_an_enabled_client_enables_it_again(store: ClientStore) -> None:
    """`save` stores what it is given."""
    store.save(a_client(disabled_at=NOW), NOW)
    store.save(replace(a_client(), disabled_at=None), NOW)
    found = store.find("ehr")
    assert found is not None
    assert found.enabled


def test_t015_an_assertion_is_used_by_exactly_one(used: SingleUse) -> None:
    """One after the other; another issuer's `jti` is another one."""
    assert used.use("ehr", "j1", expires_at=SOON, now=NOW)
    assert not used.use("ehr", "j1", expires_at=SOON, now=NOW)
    assert used.use("ehr", "j2", expires_at=SOON, now=NOW)
    assert used.use("other", "j1", expires_at=SOON, now=NOW)


def test_t015_of_twenty_at_once_exactly_one_uses_it(engine: Engine, keys: KeyRing) -> None:
    """Also over two processes' worth of connections."""
    other = open_database(engine.url.render_as_string(hide_password=False))
    stores = [UsedAssertions(engine, keys), UsedAssertions(other, keys)]
    start = threading.Barrier(20)

    def use(number: int) -> bool:
        start.wait()
        return stores[number % 2].use("ehr", "same", expires_at=SOON, now=NOW)

    with ThreadPoolExecutor(20) as pool:
        outcomes = list(pool.map(use, range(20)))
    other.dispose()
    assert outcomes.count(True) == 1


def test_t015_a_used_assertion_is_used_after_a_restart_too(engine: Engine, keys: KeyRing) -> None:
    """It is in the database and not in a process."""
    assert UsedAssertions(engine, keys).use("ehr", "j1", expires_at=SOON, now=NOW)
    assert not UsedAssertions(engine, keys).use("ehr", "j1", expires_at=SOON, now=NOW)


def test_a_used_assertion_can_not_be_read_from_the_database(engine: Engine, keys: KeyRing) -> None:
    """Only a keyed hash of it is kept."""
    UsedAssertions(engine, keys).use("ehr", "a-readable-jti", expires_at=SOON, now=NOW)
    with reading(engine) as connection:
        (row,) = connection.execute(select(used_assertion)).all()
    assert row.digest == keys.blind("client-assertion", "ehr", "a-readable-jti")


def test_assertions_that_have_long_expired_are_removed_now_and_then(engine: Engine, keys: KeyRing) -> None:
    """At most once a minute, and never one that could still be sent."""
    clock = FakeClock()
    used = UsedAssertions(engine, keys, clock)

    def rows() -> int:
        with reading(engine) as connection:
            return connection.execute(select(func.count()).select_from(used_assertion)).scalar_one()

    for number in range(5):
        used.use("ehr", f"old-{number}", expires_at=NOW, now=NOW)
    later = NOW + timedelta(minutes=10)
    used.use("ehr", "new-1", expires_at=later, now=later)
    assert rows() == 6
    clock.now += 61
    used.use("ehr", "new-2", expires_at=later, now=later)
    assert rows() == 2
    assert not used.use("ehr", "new-1", expires_at=later, now=later)


@pytest.mark.parametrize(
    "call",
    [
        lambda engine, keys: DatabaseClientStore(engine).find("ehr"),
        lambda engine, keys: DatabaseClientStore(engine).list_all(),
        lambda engine, keys: DatabaseClientStore(engine).save(a_client(), NOW),
        lambda engine, keys: DatabaseClientStore(engine).disable("ehr", NOW),
        lambda engine, keys: UsedAssertions(engine, keys).use("ehr", "j", expires_at=SOON, now=NOW),
    ],
)
def test_a_database_that_fails_is_told_and_never_an_answer(
    call: Callable[[Engine, KeyRing], object], sqlite_engine: Engine, keys: KeyRing
) -> None:
    """Not "no such client", not "not used yet"."""
    client_table.drop(sqlite_engine)
    used_assertion.drop(sqlite_engine)
    with pytest.raises(DependencyUnavailable):
        call(sqlite_engine, keys)


def test_a_purge_that_fails_does_not_undo_the_use(sqlite_engine: Engine, keys: KeyRing) -> None:
    """The assertion is recorded; old rows wait for the next time."""
    clock = FakeClock()
    used = UsedAssertions(sqlite_engine, keys, clock)
    used.use("ehr", "old", expires_at=NOW - timedelta(hours=1), now=NOW)
    with writing(sqlite_engine) as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER keep BEFORE DELETE ON auth_used_assertion BEGIN SELECT RAISE(ABORT, 'kept'); END"
        )
    clock.now += 61
    assert used.use("ehr", "j1", expires_at=SOON, now=NOW)
    assert not used.use("ehr", "j1", expires_at=SOON, now=NOW)
    assert not used.use("ehr", "old", expires_at=SOON, now=NOW)
