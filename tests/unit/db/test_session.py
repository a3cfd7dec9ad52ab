"""Connections and the types they share."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, Table, insert, select, text

from gateway.db.base import Instant
from gateway.db.key_check import require_writable
from gateway.db.lookup import looking, storing
from gateway.db.prepared import Prepared, PreparedInsert
from gateway.db.session import open_database, reading, writing
from gateway.db.tables import key_check
from gateway.errors import ConfigurationError, DependencyUnavailable

metadata = MetaData()
moment = Table("moment", metadata, Column("id", Integer, primary_key=True), Column("at", Instant))


@pytest.fixture
def engine(tmp_path: Path):  # type: ignore[no-untyped-def]
    """A SQLite file with one table."""
    engine = open_database(f"sqlite:///{tmp_path / 'deep' / 'er' / 'a.db'}", threads=4)
    with writing(engine) as connection:
        metadata.create_all(connection)
    yield engine
    engine.dispose()


@pytest.mark.parametrize(
    "at",
    [
        datetime(2026, 5, 4, 12, 0, 0, 123456, tzinfo=UTC),
        datetime(1900, 1, 1, tzinfo=UTC),
        datetime(2026, 5, 4, 12, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        None,
    ],
)
def test_an_instant_comes_back_as_it_went(engine: Engine, at: datetime | None) -> None:
    """To the microsecond, before 1970 too, in UTC."""
    with writing(engine) as connection:
        connection.execute(insert(moment), {"id": 1, "at": at})
    with reading(engine) as connection:
        found = connection.execute(select(moment.c.at)).scalar_one()

    assert found == at
    assert found is None or found.tzinfo is UTC


def test_an_instant_without_offset_is_refused() -> None:
    """Whose midnight would it be?"""
    with pytest.raises(ValueError, match="offset"):
        Instant().process_bind_param(datetime(2026, 5, 4), None)  # type: ignore[arg-type]  # noqa: DTZ001


def test_sqlite_is_durable_and_readers_do_not_wait(engine: Engine) -> None:
    """WAL, full synchronisation, foreign keys."""
    with reading(engine) as connection:
        found = [
            connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]

    assert found == ["wal", 2, 1]


def test_a_transaction_that_fails_leaves_nothing(engine: Engine) -> None:
    """Its own error passes through; nothing of it is stored."""

    def fail() -> None:
        with writing(engine) as connection:
            connection.execute(insert(moment), {"id": 1})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    with reading(engine) as connection:
        assert connection.execute(select(moment)).all() == []


def test_a_read_in_one_thread_goes_on_while_another_writes(engine: Engine) -> None:
    """A writer's open transaction neither blocks a reader nor is seen by it."""
    with writing(engine) as connection:
        connection.execute(insert(moment), {"id": 1})
        seen: list[int] = []

        def look() -> None:
            with reading(engine) as other:
                seen.append(len(other.execute(select(moment)).all()))

        thread = threading.Thread(target=look)
        thread.start()
        thread.join(10)

    assert seen == [0]


def test_what_the_database_can_not_do_is_a_dependency_that_fails(engine: Engine) -> None:
    """Neither statement nor driver words are told."""
    for door in (reading, writing):
        with pytest.raises(DependencyUnavailable) as failed, door(engine) as connection:
            connection.execute(text("SELECT canary FROM nowhere"))
        assert "canary" not in failed.value.reason


@pytest.mark.parametrize("url", ["not a url", "mysql://user:hidden@host/db", "oracle://h"])
def test_other_databases_are_refused(url: str) -> None:
    """By name, without the URL's password."""
    with pytest.raises(ConfigurationError) as refused:
        open_database(url)
    assert "hidden" not in refused.value.reason


def test_many_connections_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    """The first change to the write-ahead log needs the file alone; the others wait for it."""
    url = f"sqlite:///{tmp_path / 'new.db'}"
    ready = threading.Barrier(8)
    failed: list[DependencyUnavailable] = []

    def start() -> None:
        engine = open_database(url)
        ready.wait()
        try:
            with reading(engine) as connection:
                connection.execute(text("SELECT 1"))
        except DependencyUnavailable as exc:
            failed.append(exc)
        engine.dispose()

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []


def test_a_new_database_file_is_its_owners_alone(engine: Engine, tmp_path: Path) -> None:
    """It holds sealed values, and who was seen where; so do the files beside it."""
    with reading(engine) as connection:
        connection.execute(select(moment.c.at))
    files = list((tmp_path / "deep" / "er").iterdir())

    assert len(files) > 1
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600] * len(files)


def test_a_folder_that_cannot_be_made_is_a_matter_of_settings(tmp_path: Path) -> None:
    """Not a traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError) as refused:
        open_database(f"sqlite:///{tmp_path / 'file' / 'gateway.db'}")

    assert "GATEWAY_DATA_DIR" in str(refused.value)


def _read_at(engine: Engine) -> None:
    with reading(engine) as connection:
        connection.execute(select(moment.c.at)).all()


def _looked_up(engine: Engine) -> None:
    with looking(engine) as session:
        Prepared(select(moment.c.at)).all(session)


def _stored(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(insert(moment), {"at": None})


def _stored_in_few_words(engine: Engine) -> None:
    with storing(engine) as session:
        PreparedInsert(moment, "at").run(session, [(None,)])


@pytest.mark.parametrize("use", [_read_at, _looked_up, _stored, _stored_in_few_words])
@pytest.mark.parametrize("other", [None, b""])
def test_a_sqlite_file_that_is_gone_or_replaced_is_not_used_further(
    engine: Engine, use: Callable[[Engine], None], other: bytes | None
) -> None:
    """Whether a connection to it is open or not; no new file is made, and the old one serves when it is back."""
    file = Path(str(engine.url.database))
    use(engine)
    aside = file.rename(file.with_suffix(".aside"))
    if other is not None:
        file.write_bytes(other)

    for _ in range(3):
        with pytest.raises(DependencyUnavailable, match="file"):
            use(engine)

    assert (file.read_bytes() if file.exists() else None) == other
    aside.rename(file)
    use(engine)


@pytest.mark.parametrize("use", [_stored, _stored_in_few_words])
def test_a_connection_that_can_not_write_is_left(engine: Engine, use: Callable[[Engine], None]) -> None:
    """SQLite opened the file when it was read-only: the connection stays so, and the next one is asked."""
    with reading(engine) as connection:
        connection.execute(text("PRAGMA query_only = ON"))

    with pytest.raises(DependencyUnavailable, match="may not be written to"):
        use(engine)

    use(engine)


def test_a_database_that_takes_no_writes_is_told(engine: Engine) -> None:
    """Reading alone does not show it."""
    with writing(engine) as connection:
        key_check.create(connection)
    require_writable(engine)
    with reading(engine) as connection:
        connection.execute(text("PRAGMA query_only = ON"))

    with pytest.raises(DependencyUnavailable, match="may not be written to"):
        require_writable(engine)

    require_writable(engine)
