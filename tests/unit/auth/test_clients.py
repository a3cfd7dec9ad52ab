"""Which clients are known, and how old that knowledge may be."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.auth.clients import ClientRegistry
from gateway.errors import NotAuthenticated
from tests.factories_auth import FakeClientStore, FakeClock, a_client

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def test_a_client_is_read_once_a_second_however_often_it_asks() -> None:
    """One look-up a second and client."""
    store, clock = FakeClientStore(a_client()), FakeClock()
    registry = ClientRegistry(store, clock)
    for _ in range(100):
        assert registry.require_enabled("ehr").name == "An EHR"
    assert store.reads == 1
    clock.now += 1.0
    registry.find("ehr")
    assert store.reads == 2


def test_a_change_is_known_a_second_later() -> None:
    """The old client until then, the new one from then on."""
    store, clock = FakeClientStore(a_client()), FakeClock()
    registry = ClientRegistry(store, clock)
    registry.find("ehr")
    store.save(replace(a_client(), name="Another"), NOW)
    clock.now += 1.0
    found = registry.find("ehr")
    assert found is not None
    assert found.name == "Another"


def test_an_absence_is_not_remembered() -> None:
    """A client that has just been added may ask at once."""
    store = FakeClientStore()
    registry = ClientRegistry(store, FakeClock())
    with pytest.raises(NotAuthenticated):
        registry.require_enabled("ehr")
    store.save(a_client(), NOW)
    assert registry.require_enabled("ehr").id == "ehr"


def test_unknown_and_disabled_clients_are_refused_alike() -> None:
    """The same words for either."""
    registry = ClientRegistry(FakeClientStore(a_client(disabled_at=NOW)), FakeClock())
    reasons = set()
    for client_id in ("ehr", "nobody"):
        with pytest.raises(NotAuthenticated) as refused:
            registry.require_enabled(client_id)
        reasons.add(refused.value.reason)
    assert len(reasons) == 1


def test_what_is_remembered_is_bounded() -> None:
    """However many clients have asked."""
    many = [a_client(id=f"client-{number}") for number in range(10_001)]
    registry = ClientRegistry(FakeClientStore(*many), FakeClock())
    for client in many:
        assert registry.find(client.id) is client
    assert len(registry._known) <= 10_000
