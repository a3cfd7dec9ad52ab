"""`python -m gateway serve`."""

import os
import shutil

import click

from gateway.config import Settings
from gateway.errors import ConfigurationError


@click.command(name="serve")
def command() -> None:
    """Run the production server with the settings' worker and thread counts."""
    share_counts(Settings.from_env(os.environ))
    from gateway.app import create_app
    from gateway.cli.context import Operator
    from gateway.db.upgrade import pending
    from gateway.server import serve

    with Operator() as operator:
        settings = operator.settings
        if pending(operator.engine):
            raise ConfigurationError(["the database's schema is behind: run `python -m gateway db upgrade`"])
        _ = operator.keys
        check_files(settings)
    serve(settings, lambda: create_app(settings))


def check_files(settings: Settings) -> None:
    """What the settings name can be used, before a worker process tries. Raises ConfigurationError."""
    from gateway.consent.label_rules_file import load_label_rules
    from gateway.mpi.matching_setting import matching_rule
    from gateway.wiring_audit import open_feed

    load_label_rules(settings)
    matching_rule(settings)
    open_feed(settings)


def share_counts(settings: Settings) -> None:
    """Several worker processes have one folder, empty at the start, in which `/metrics` finds the counts of all.

    prometheus_client looks for it once, when it is first imported: so this comes before any import of what counts.
    """
    if settings.workers > 1:
        shared = settings.data_dir / "metrics"
        shutil.rmtree(shared, ignore_errors=True)
        shared.mkdir(parents=True)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(shared)
