"""The gateway's schema in a test database: the same upgrade an operator runs."""

import importlib
import importlib.util
from pathlib import Path

from sqlalchemy import Engine

import gateway
from gateway.db.base import metadata


def migrate(engine: Engine) -> None:
    """The schema is there and up to date."""
    if importlib.util.find_spec("gateway.db.upgrade"):
        importlib.import_module("gateway.db.upgrade").upgrade_to_head(engine)
    root = Path(gateway.__file__).parent
    for tables in sorted(root.glob("*/tables.py")):
        importlib.import_module(f"gateway.{tables.parent.name}.tables")
    metadata.create_all(engine)
