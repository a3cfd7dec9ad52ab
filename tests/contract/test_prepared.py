"""Statements that skip SQLAlchemy's own execution find and store what its own would: SQLite and PostgreSQL."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, Engine, bindparam, literal, select

from gateway.db.lookup import storing
from gateway.db.prepared import Prepared, PreparedInsert
from gateway.db.session import reading, writing
from gateway.errors import DependencyUnavailable
from gateway.mpi.tables import decision, person, record

NOON = datetime(2026, 5, 4, 12, 0, 0, 250, tzinfo=UTC)
IDS = [f"{number:036}" for number in range(150)]
_BY_ID = select(person.c.id, person.c.created_at, person.c.retired_at, literal(7)).where(
    person.c.id.in_(bindparam("wanted", expanding=True))
)
_NEWEST = select(person.c.id).where(person.c.created_at == bindparam("at")).order_by(person.c.id.desc()).limit(2)
_ADD = PreparedInsert(person, "id", "created_at")
_DECIDE = PreparedInsert(decision, "kind", "who", "at", returning=("id",))


@pytest.fixture
def filled(engine: Engine) -> Engine:
    """A hundred and fifty persons, more than one statement stores."""
    with writing(engine) as connection:
        assert _ADD.run(connection, [(one, NOON) for one in IDS]) == []
        assert _ADD.run(connection, []) == []
    return engine


@pytest.mark.parametrize("many", [1, 2, 3, 64, 65])
def test_the_same_rows_are_found(filled: Engine, many: int) -> None:
    """For lists of any length, with every type as ours."""
    with reading(filled) as connection:
        found = Prepared(_BY_ID).all(connection, wanted=IDS[:many])
        assert sorted(found) == sorted(map(tuple, connection.execute(_BY_ID, {"wanted": IDS[:many]})))
    assert len(found) == many
    assert found[0][1:] == (NOON, None, 7)


def test_values_and_limits_are_the_statements_own(filled: Engine) -> None:
    """What the statement itself gives needn't be given, and what is given is converted."""
    newest = Prepared(_NEWEST)
    with reading(filled) as connection:
        assert newest.all(connection, at=NOON) == [(IDS[149],), (IDS[148],)]
        assert newest.first(connection, at=NOON) == (IDS[149],)
        assert newest.first(connection, at=NOON.replace(year=2025)) is None


def test_what_is_returned_comes_back_for_each_row(engine: Engine) -> None:
    """The ids that the database gives."""
    with writing(engine) as connection:
        ids = _DECIDE.run(connection, [("merge", "sam", NOON)] * 70)
    assert len({number for (number,) in ids}) == 70


def test_what_fails_is_undone_with_its_transaction(filled: Engine) -> None:
    """A statement that the database refuses raises DependencyUnavailable, and nothing of the transaction is stored."""

    def add_twice() -> None:
        with writing(filled) as connection:
            _ADD.run(connection, [("new", NOON)])
            _ADD.run(connection, [(IDS[0], NOON)])

    with pytest.raises(DependencyUnavailable):
        add_twice()
    with reading(filled) as connection:
        assert Prepared(_BY_ID).all(connection, wanted=["new"]) == []
        assert Prepared(select(record.c.active)).all(connection) == []


@pytest.mark.parametrize("transaction", [writing, storing])
def test_a_transaction_after_one_that_was_undone_goes_on(
    filled: Engine, transaction: Callable[[Engine], AbstractContextManager[Connection]]
) -> None:
    """Psycopg has everything forgotten that is prepared on a connection when it rolls back: ours is prepared anew."""
    by_id, plain = Prepared(_BY_ID), select(person.c.id).limit(1)

    def undone() -> None:
        with transaction(filled) as connection:
            by_id.all(connection, wanted=IDS[:1])
            raise LookupError

    for _ in range(6):  # so often that psycopg itself prepares something too
        with writing(filled) as connection:
            connection.execute(plain).all()
            by_id.all(connection, wanted=IDS[:1])
    with pytest.raises(LookupError):
        undone()
    with writing(filled) as connection:
        assert len(by_id.all(connection, wanted=IDS[:1])) == 1
