"""A database that fails says what to mend, and each failure something else."""

import socket
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from gateway.db.mishap import unavailable
from gateway.db.session import open_database, reading
from gateway.errors import DependencyUnavailable


def _told(url: str) -> str:
    engine = open_database(url)
    try:
        with pytest.raises(DependencyUnavailable) as failed, reading(engine) as connection:
            connection.execute(text("SELECT * FROM sqlite_master"))
    finally:
        engine.dispose()
    return failed.value.reason


@pytest.mark.parametrize("content", [b"no database" * 500, b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_damaged_file_is_to_be_restored(content: bytes, tmp_path: Path) -> None:
    """Whatever it was overwritten with."""
    file = tmp_path / "gateway.db"
    file.write_bytes(content)

    told = _told(f"sqlite:///{file}")

    assert told.startswith("the database can't be read: its file is damaged")
    assert told.endswith("restore it from a backup")


def test_a_folder_in_place_of_the_file_can_not_be_opened(tmp_path: Path) -> None:
    """Its owner and folder are what to look at."""
    assert "can't be opened; look at its folder and owner" in _told(f"sqlite:///{tmp_path}")


def test_a_file_that_another_process_holds_is_locked(tmp_path: Path) -> None:
    """SQLite has waited for it already."""
    first, second = (sqlite3.connect(tmp_path / "gateway.db", timeout=0, isolation_level=None) for _ in range(2))
    first.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError) as locked:
        second.execute("BEGIN IMMEDIATE")
    first.close()
    second.close()

    told = unavailable("it can't be written", OperationalError("BEGIN", {}, locked.value))
    assert told.reason == "it can't be written: another process has held it for too long"


def test_a_failure_that_tells_nothing_to_mend_adds_no_words() -> None:
    """A bug in a statement is one; the driver's words stay with it."""
    told = unavailable("it can't be read", OperationalError("SELECT canary", {}, sqlite3.OperationalError("canary")))
    assert told.reason == "it can't be read"


def test_a_database_server_that_nobody_reaches_is_looked_for() -> None:
    """With the setting that says where; no user name and no password is repeated."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # taken, and refused, as nothing listens there
        told = _told(f"postgresql://gateway:hidden@127.0.0.1:{unused.getsockname()[1]}/gateway")

    assert "nothing answers where GATEWAY_DATABASE_URL says" in told
    assert "hidden" not in told
