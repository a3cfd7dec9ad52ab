"""`python -m gateway serve`."""

import os
import shutil

import click

from gateway.cli.context import Operator
from gateway.errors import ConfigurationError


@click.command(name="serve")
def command() -> None:
    """Run the production server with the settings' worker and thread counts."""
    operator = Operator()
    settings = operator.settings
    if settings.workers > 1:
        # prometheus_client reads this when it is first imported, so it is set before anything of the gateway's is.
        shared = settings.data_dir / "metrics"
        shutil.rmtree(shared, ignore_errors=True)
        shared.mkdir(parents=True)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(shared)
    from gateway.app import create_app
    from gateway.db.upgrade import pending
    from gateway.server import serve

    _ = operator.keys
    if pending(operator.engine):
        raise ConfigurationError(["the database's schema is behind: run `python -m gateway db upgrade`"])
    operator.engine.dispose()
    serve(settings, lambda: create_app(settings))
