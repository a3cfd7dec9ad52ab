"""What a command needs of the gateway: its settings, keys and database, opened when first asked for."""

import os
import sys
from functools import cached_property

import orjson
from sqlalchemy import Engine

from gateway.config import Settings
from gateway.db.crypto import KeyRing, create_key_file, read_key_file
from gateway.db.session import open_database


class Operator:
    """The gateway's parts for one run of a command."""

    @cached_property
    def settings(self) -> Settings:
        """From the environment. Raises ConfigurationError."""
        return Settings.from_env(os.environ)

    @cached_property
    def keys(self) -> KeyRing:
        """The key file, made on first use in development."""
        if not self.settings.production:
            create_key_file(self.settings.keys_file)
        return read_key_file(self.settings.keys_file)

    @cached_property
    def engine(self) -> Engine:
        """The database, with its schema up to date in development."""
        engine = open_database(self.settings.database_url, threads=self.settings.threads)
        if not self.settings.production:
            from gateway.db.upgrade import upgrade_to_head

            upgrade_to_head(engine)
        return engine


def print_json(value: object) -> None:
    """`value` as JSON on standard output."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")
