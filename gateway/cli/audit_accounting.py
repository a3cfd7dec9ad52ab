"""`python -m gateway audit accounting`: what left the exchange about a patient, for them or for a regulator."""

import sys
from datetime import datetime
from pathlib import Path
from typing import Literal

import click

from gateway.adapters.registry import FacilityRegistry
from gateway.audit.accounting import Kind, span_of
from gateway.audit.accounting_pdf import as_pdf
from gateway.audit.accounting_table import as_csv, as_json
from gateway.cli.context import Operator, print_json
from gateway.cli.moment import Moment
from gateway.cli.patient_argument import patient_ref
from gateway.errors import InvalidQuery, LoadRefused
from gateway.mpi.history import find_history
from gateway.wiring_audit import open_accounting

Format = Literal["json", "csv", "pdf"]


@click.command()
@click.argument("patient")
@click.option("--from", "since", type=Moment(end=False), help="From this date (UTC) or time on.")
@click.option("--to", "until", type=Moment(end=True), help="Up to the end of this date (UTC), or up to this time.")
@click.option(
    "--kind",
    type=click.Choice(["hipaa", "part2"]),
    default="hipaa",
    show_default=True,
    help="Everything of six years (45 CFR 164.528), or the Part 2 programmes' of three (42 CFR 2.24).",
)
@click.option("--format", "form", type=click.Choice(["json", "csv", "pdf"]), default="json", show_default=True)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="A file; else standard output.")
@click.option("--json", "as_json_", is_flag=True, help="The same as --format json.")
def accounting(
    patient: str,
    since: datetime | None,
    until: datetime | None,
    kind: Kind,
    form: Format,
    output: Path | None,
    as_json_: bool,
) -> None:
    """What was disclosed about PATIENT (an id, Patient/ID or system|value): when, to whom, what, why, on which word.

    That it was asked for is audited before it is told.
    """
    form = "json" if as_json_ else form
    with Operator() as operator:
        now = operator.now
        try:
            span_of(kind, now, since, until)
        except InvalidQuery as exc:
            raise click.UsageError(exc.reason) from exc
        found = find_history(operator.engine, operator.keys, patient_ref(patient))
        if found is None:
            raise LoadRefused(["nobody is known by that"])
        details = [("kind", kind), ("from", str(since or "")), ("to", str(until or "")), ("format", form)]
        operator.note("audit accounting", patient=found.id, details=details)
        registry = FacilityRegistry(operator.engine, operator.keys)
        desk = open_accounting(operator.engine, operator.audit, registry.all)
        told = desk.account([found.id, *found.former_ids], kind, now, since=since, until=until)
    if form == "json" and output is None:
        print_json(as_json(told))
        return
    body = as_pdf(told) if form == "pdf" else _text(as_csv(told) if form == "csv" else as_json(told))
    if output is None:
        sys.stdout.buffer.write(body)
        sys.stdout.buffer.flush()
        return
    # What is in it is the patient's alone: the file is its owner's.
    output.touch(mode=0o600)
    output.write_bytes(body)
    click.echo(f"{len(told.disclosures)} disclosures are in {output}", err=True)


def _text(told: object) -> bytes:
    import orjson

    return told.encode() if isinstance(told, str) else orjson.dumps(told, option=orjson.OPT_INDENT_2)
