"""The registry of facilities keeps what operators say, sealed, and tells every process within a second."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, event, text

from gateway.adapters.registry import FacilityRegistry
from gateway.db.crypto import KeyRing
from gateway.errors import DependencyUnavailable, NotFound
from gateway.model import Facility, FacilityAuth, FacilityID
from tests.factories_adapters import a_facility

SECRET = "topsecret-7261"


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(engine: Engine, keys: KeyRing, clock: Clock) -> FacilityRegistry:
    return FacilityRegistry(engine, keys, clock)


def full(id_: str = "north") -> Facility:
    """A facility with every kind of value."""
    return a_facility(
        id_,
        issuer="NORTH",
        deadline=timedelta(milliseconds=1234),
        link_origins=("https://a.example",),
        accession_system="urn:oid:1.2.3",
        auth=FacilityAuth(type="basic", username="gw", password=SECRET),
    )


def test_a_facility_comes_back_as_it_was_registered(registry: FacilityRegistry) -> None:
    """Every value survives, in id order."""
    south = a_facility("south")

    assert registry.all() == ()
    assert registry.apply([south, full()]) == {"south": "loaded", "north": "loaded"}
    assert list(registry.all()) == [full(), south]
    assert registry.find("north") == full()


def test_applying_again_changes_nothing(registry: FacilityRegistry) -> None:
    """Provisioning is idempotent; what changed is updated, what is not named stays."""
    registry.apply([full(), a_facility("south")])

    assert registry.apply([full()]) == {"north": "unchanged"}
    assert registry.apply([replace(full(), name="Renamed")]) == {"north": "updated"}
    assert [one.name for one in registry.all()] == ["Renamed", "South Hospital"]


def test_secrets_and_addresses_are_sealed_at_rest(registry: FacilityRegistry, engine: Engine) -> None:
    """Nothing of a registration but its id can be read from the database."""
    registry.apply([full()])
    with engine.connect() as connection:
        stored = str(connection.execute(text("SELECT * FROM facility")).all())

    assert SECRET not in stored
    assert "archive.example" not in stored


def test_a_suspended_facility_stays_suspended_until_it_is_resumed(registry: FacilityRegistry) -> None:
    """A file that does not speak of it changes nothing; one that does decides."""
    registry.apply([full()])

    assert (registry.suspend("north"), registry.suspend("north")) == (True, False)
    assert registry.apply([full()]) == {"north": "unchanged"}
    assert [one.suspended for one in registry.all()] == [True]
    assert registry.apply([full()], suspension_stated={FacilityID("north")}) == {"north": "updated"}
    assert [one.suspended for one in registry.all()] == [False]
    registry.suspend("north")
    assert registry.resume("north")
    assert [one.suspended for one in registry.all()] == [False]


def test_a_removed_facility_is_gone(registry: FacilityRegistry) -> None:
    """And an unknown one is said to be unknown."""
    registry.apply([full()])
    registry.remove("north")

    assert registry.all() == ()
    for act in (registry.remove, registry.suspend, registry.resume, registry.find):
        with pytest.raises(NotFound):
            act("north")


def test_another_process_sees_a_change_within_a_second(engine: Engine, keys: KeyRing, clock: Clock) -> None:
    """Suspending a facility must not wait for a restart."""
    here, there = FacilityRegistry(engine, keys, clock), FacilityRegistry(engine, keys)
    there.apply([full()])
    assert len(here.all()) == 1
    there.suspend("north")
    there.apply([a_facility("south")])
    clock.now = 1.0

    assert [one.suspended for one in here.all()] == [True, False]


def test_within_a_second_the_database_is_left_alone(registry: FacilityRegistry, engine: Engine, clock: Clock) -> None:
    """And after it, one cheap look tells whether anything changed."""
    registry.apply([full()])
    registry.all()
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda _c, _cur, sql, *_: statements.append(sql))
    registry.all()
    assert statements == []
    clock.now = 1.0
    registry.all()

    assert len(statements) == 1
    assert "facility_revision" in statements[0]


def test_a_file_is_applied_whole_or_not_at_all(registry: FacilityRegistry) -> None:
    """What breaks in the middle leaves nothing half-written."""
    broken = replace(full("south"), id=None)  # type: ignore[arg-type]
    with pytest.raises((DependencyUnavailable, AttributeError)):
        registry.apply([full(), broken])

    assert registry.all() == ()


def test_concurrent_changes_are_all_counted(engine: Engine, keys: KeyRing) -> None:
    """Two operators at once lose nothing of one another's work."""
    registries = [FacilityRegistry(engine, keys) for _ in range(4)]
    threads = [
        threading.Thread(target=one.apply, args=([a_facility(f"f{number}")],)) for number, one in enumerate(registries)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [one.id for one in FacilityRegistry(engine, keys).all()] == ["f0", "f1", "f2", "f3"]
