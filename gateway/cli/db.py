"""`python -m gateway db`: the database's schema."""

import click

from gateway.cli.context import Operator, print_json
from gateway.db.session import open_database
from gateway.db.upgrade import upgrade_to_head


@click.group(name="db")
def command() -> None:
    """The database's schema."""


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
def upgrade(as_json: bool) -> None:
    """Create the schema, or migrate it to this version. Safe to run again, and by several processes at once.

    All of it is done, or nothing.
    """
    # Not the operator's own engine: in development that one upgrades as it opens, and there'd be nothing to tell.
    engine = open_database(Operator().settings.database_url, threads=1)
    try:
        before, after = upgrade_to_head(engine)
    finally:
        engine.dispose()
    if as_json:
        print_json({"before": before, "after": after, "changed": before != after})
    elif before == after:
        click.echo(f"the schema is up to date (revision {after})")
    elif before is None:
        click.echo(f"the schema has been created (revision {after})")
    else:
        click.echo(f"the schema has been upgraded from revision {before} to {after}")
