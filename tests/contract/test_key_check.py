"""A database is read with the keys it was filled with, or not at all: it never looks empty."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

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
