"""A database is read with the keys it was filled with, or not at all: it never looks empty."""

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine

from gateway.db import key_check as key_check_file
from gateway.db.crypto import create_key_file, read_key_file
from gateway.db.key_check import fits, open_keys, require_fitting
from gateway.errors import ConfigurationError, DependencyUnavailable


def test_the_first_keys_are_the_databases_keys(engine: Engine, tmp_path: Path) -> None:
    """They are made where they may be, and hold from then on."""
    first = open_keys(tmp_path / "keys.json", engine, may_create=True)
    again = open_keys(tmp_path / "keys.json", engine, may_create=False)

    assert fits(engine, first)
    assert again.blind("x", "y") == first.blind("x", "y")


def test_other_keys_are_refused_by_name(engine: Engine, tmp_path: Path) -> None:
    """Nothing starts, and what runs is not ready."""
    open_keys(tmp_path / "keys.json", engine, may_create=True)
    create_key_file(tmp_path / "others.json")

    with pytest.raises(ConfigurationError, match="does not hold the keys the database was filled with"):
        open_keys(tmp_path / "others.json", engine, may_create=False)
    with pytest.raises(DependencyUnavailable):
        require_fitting(engine, read_key_file(tmp_path / "others.json"))


def test_lost_keys_are_not_made_anew_beside_what_they_sealed(engine: Engine, tmp_path: Path) -> None:
    """A fresh file would make every patient look unknown."""
    path = tmp_path / "keys.json"
    open_keys(path, engine, may_create=True)
    path.unlink()

    with pytest.raises(ConfigurationError, match="restore it"):
        open_keys(path, engine, may_create=True)
    assert not path.exists()


def test_an_older_key_file_gets_a_key_for_checkpoints_where_keys_may_be_made(engine: Engine, tmp_path: Path) -> None:
    """And nowhere else; one that can't be written to serves as it is."""
    made, path = tmp_path / "made.json", tmp_path / "keys" / "keys.json"
    create_key_file(made)
    path.parent.mkdir()
    path.write_text(json.dumps({"keys": json.loads(made.read_text())["keys"][:-1]}))
    older = path.read_text()
    assert open_keys(path, engine, may_create=False).checkpoints == ()
    assert path.read_text() == older

    assert len(open_keys(path, engine, may_create=True).checkpoints) == 1
    assert json.loads(path.read_text())["keys"][:-1] == json.loads(older)["keys"]


def test_a_key_file_that_can_not_be_written_to_serves_without_one(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checkpoints are not made then, as the log says; answers are given."""
    made, path = tmp_path / "made.json", tmp_path / "keys.json"
    create_key_file(made)
    path.write_text(json.dumps({"keys": json.loads(made.read_text())["keys"][:-1]}))

    def refuse(_: Path) -> None:
        raise ConfigurationError(["a read-only file system"])

    monkeypatch.setattr(key_check_file, "add_checkpoint_key", refuse)
    assert open_keys(path, engine, may_create=True).checkpoints == ()
