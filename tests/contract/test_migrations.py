"""The schema that migrations build is the one the rooms' tables describe, in both databases, there and back again."""

import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text

from gateway.db.migrate import alembic_config
from gateway.db.schema import metadata
from gateway.db.session import open_database, reading, writing
from gateway.db.upgrade import MIGRATIONS, current_head, pending, revision, upgrade_to_head
from gateway.errors import DependencyUnavailable


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database that holds nothing."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    url: str = request.getfixturevalue("empty_postgres_url")
    return url


@pytest.fixture
def empty_engine(empty_url: str) -> Iterator[Engine]:
    """A database that holds nothing."""
    engine = open_database(empty_url)
    yield engine
    engine.dispose()


def _tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


def test_the_migrated_schema_is_the_one_the_tables_describe(empty_engine: Engine) -> None:
    """Nothing is left for Alembic to add, drop or change."""
    upgrade_to_head(empty_engine)

    with reading(empty_engine) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert [change for change in compare_metadata(context, metadata) if not _is_comment(change)] == []


def _is_comment(change: object) -> bool:
    # Comments on columns speak to readers of `tables.py`; they are not repeated in migrations.
    return isinstance(change, list) and all(step[0] == "modify_comment" for step in change)


def test_constraints_carry_the_names_the_tables_give_them(empty_engine: Engine) -> None:
    """A later migration can name what it changes: indexes, keys and constraints are called alike in both."""
    upgrade_to_head(empty_engine)

    found = inspect(empty_engine)
    for table in metadata.tables.values():
        indexes = {index["name"] for index in found.get_indexes(table.name)}
        uniques = {unique["name"] for unique in found.get_unique_constraints(table.name)}
        wanted = {index.name for index in table.indexes}
        assert wanted <= indexes, table.name
        assert {c.name for c in table.constraints if type(c).__name__ == "UniqueConstraint"} <= uniques, table.name
        # SQLite writes the key of a table that counts its rows into the column, where it has no name.
        if not table.dialect_options["sqlite"]["autoincrement"] or empty_engine.dialect.name != "sqlite":
            assert found.get_pk_constraint(table.name)["name"] == table.primary_key.name


def test_an_upgrade_can_be_undone_and_done_again(empty_engine: Engine) -> None:
    """Up, down to nothing, up: the same tables as before."""
    assert upgrade_to_head(empty_engine) == (None, current_head())
    tables = _tables(empty_engine)

    with writing(empty_engine) as connection:
        command.downgrade(alembic_config(connection, MIGRATIONS), "base")
    assert _tables(empty_engine) == set()

    upgrade_to_head(empty_engine)
    assert _tables(empty_engine) == tables == set(metadata.tables)


def test_upgrading_again_changes_nothing(empty_engine: Engine) -> None:
    """The second run finds the schema up to date."""
    assert pending(empty_engine)
    upgrade_to_head(empty_engine)
    assert not pending(empty_engine)
    assert upgrade_to_head(empty_engine) == (current_head(), current_head())
    assert revision(empty_engine) == current_head()


def test_a_database_of_a_newer_version_is_refused(empty_engine: Engine) -> None:
    """A revision this program doesn't know is neither used nor touched."""
    upgrade_to_head(empty_engine)
    with writing(empty_engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    assert pending(empty_engine)
    with pytest.raises(DependencyUnavailable, match="newer version"):
        upgrade_to_head(empty_engine)


def test_a_failed_upgrade_leaves_nothing_behind(empty_engine: Engine) -> None:
    """A table that is in the way stops the whole upgrade; none of its tables remain."""
    with writing(empty_engine) as connection:
        connection.execute(text("CREATE TABLE mpi_conflict (id INTEGER)"))

    with pytest.raises(DependencyUnavailable):
        upgrade_to_head(empty_engine)

    assert _tables(empty_engine) == {"mpi_conflict"}
    assert pending(empty_engine)


def _upgrade(url: str, ready: "multiprocessing.synchronize.Barrier") -> None:
    engine = open_database(url)
    ready.wait(30)
    upgrade_to_head(engine)
    engine.dispose()


def test_several_processes_may_start_at_once(empty_url: str, empty_engine: Engine) -> None:
    """Four processes upgrade the same empty database at the same moment; all of them succeed."""
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Barrier(4)
    processes = [spawn.Process(target=_upgrade, args=(empty_url, ready)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert not pending(empty_engine)


def test_the_head_file_names_the_last_migration() -> None:
    """`.current-head` and the chain of numbered files agree, and there is one chain."""
    script = ScriptDirectory(str(MIGRATIONS))

    assert script.get_heads() == [current_head()]
    for step in script.walk_revisions():
        assert Path(step.path).name.startswith(step.revision + "_")
