"""Whose records were taken for whose, and when: the same seen from both persons; in SQLite and in PostgreSQL."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine

from gateway.db.crypto import KeyRing
from gateway.mpi.stays import Elsewhere, Shared, find_shared, find_stays_elsewhere
from tests.factories_mpi import EAST, NORTH, NOW, SOUTH, Index, a_patient

LATER = NOW + timedelta(hours=1)


@pytest.fixture
def index(engine: Engine, keys: KeyRing) -> Index:
    """One person of three records: north and south, and east's, which is another's card."""
    made = Index(engine, keys)
    made.save(
        a_patient("N-1", national="1"),
        a_patient("S-1", system=SOUTH, national="1"),
        a_patient("E-1", system=EAST, national="1"),
    )
    return made


def test_a_split_tells_both_persons_since_when_and_until_when_they_were_one(index: Index) -> None:
    """Who keeps the id: whose domains the other's records are, and their own; the other: under whose id they were."""
    whole = index.person("N-1")
    assert find_shared(index.engine, [whole]) == []
    index.steward.split(whole, [index.record_id("E-1", EAST)], "another patient's card", LATER)
    other = index.person("E-1", EAST)

    assert find_shared(index.engine, [whole]) == [
        Shared(
            person=whole,
            since=NOW,
            until=LATER,
            systems=frozenset([EAST]),
            own=frozenset([NORTH, SOUTH]),
        )
    ]
    assert find_stays_elsewhere(index.engine, [other]) == [
        Elsewhere(person=whole, since=NOW, until=LATER, systems=frozenset([EAST]))
    ]
    assert find_shared(index.engine, [other]) == []
    assert find_stays_elsewhere(index.engine, [whole]) == []


def test_a_split_that_was_undone_leaves_nothing_shared(index: Index) -> None:
    """It is one person, now and then."""
    whole = index.person("N-1")
    decided = index.steward.split(whole, [index.record_id("E-1", EAST)], "", LATER)
    other = index.person("E-1", EAST)
    index.steward.undo(decided.decision, "", LATER + timedelta(hours=1))

    assert find_shared(index.engine, [whole, other]) == []
