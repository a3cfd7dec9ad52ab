"""`python -m gateway patients index`: what was loaded before there was a search by description is found by one."""

import click

from gateway.cli.context import Operator, print_json
from gateway.mpi.search_backlog import index_backlog


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
def index(as_json: bool) -> None:
    """Give the records that have none the keys that searches on Patient look under. Safe to stop and to run again."""
    with Operator() as operator:
        operator.note("patients index begins")
        done = 0
        for count in index_backlog(operator.engine, operator.keys):
            done += count
            if not as_json and done % 10_000 < count:
                click.echo(f"{done} records", err=True)
        operator.note("patients index ended", details=(("records", str(done)),))
    if as_json:
        print_json({"indexed": done})
    else:
        click.echo(f"{done} records were given their keys")
