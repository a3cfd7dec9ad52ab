"""`python -m gateway audit`: what was asked and disclosed, as an auditor takes it away."""

import sys
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Literal, get_args

import click
import orjson

from gateway.audit.canonical import to_canonical
from gateway.audit.fhir_audit_event import to_audit_events
from gateway.audit.log_export import log_lines
from gateway.audit.record import AuditRecord
from gateway.cli import audit_accounting, audit_log, audit_released, audit_watch
from gateway.cli.context import Operator
from gateway.cli.moment import Moment
from gateway.cli.patient_argument import patient_ref
from gateway.errors import LoadRefused
from gateway.mpi.history import find_history

Format = Literal["balp", "records", "log", "entries"]
_A_STEP = 10_000
"""Records between two words of progress."""


@click.group(name="audit")
def command() -> None:
    """What was asked, decided and disclosed."""


@command.command()
@click.option("--patient", help="Only what concerns this person: an id, Patient/ID or system|value.")
@click.option("--since", type=Moment(end=False), help="From this date (UTC) or time on.")
@click.option("--until", type=Moment(end=True), help="Up to the end of this date (UTC), or up to this time.")
@click.option(
    "--format",
    "form",
    type=click.Choice(get_args(Format)),
    default="balp",
    show_default=True,
    help="FHIR AuditEvents (IHE BALP); the records they are derived from; or the whole log for `verify_audit.py`, "
    "with the records asked for (log) or without any (entries).",
)
@click.option("--json", "as_json", is_flag=True, help="NDJSON, which is what comes anyway.")
def export(patient: str | None, since: datetime | None, until: datetime | None, form: Format, as_json: bool) -> None:
    """Write the audit to standard output as NDJSON, oldest first. The export itself is audited before it begins.

    A record that has been altered ends the export with its number, and with exit code 1. In the log every record has
    its line, altered or not, and `verify_audit.py` says which are.
    """
    with Operator() as operator:
        until = until or operator.now
        if since is not None and since >= until:
            raise click.UsageError("the time asked for ends before it begins, or begins in the future")
        patients = None if patient is None else _ids_of(patient, operator)
        bounds = [("since", since.isoformat() if since else ""), ("until", until.isoformat()), ("format", form)]
        operator.note("audit export", patient=patients[0] if patients else None, details=bounds)
        if form in ("balp", "records"):
            records = operator.audit.read(patients=patients, since=since, until=until)
            lines: Iterable[bytes] = (
                line for record in records for line in _lines(record, form, operator.settings.base_url)
            )
        else:
            audit_log.put_in_order_if_whole(operator)
            wanted = _Wanted(patients, since, until) if form == "log" else _nothing
            lines = log_lines(operator.engine, operator.keys, wanted)
        _write(lines)


def _write(lines: Iterable[bytes]) -> None:
    shows = sys.stderr.isatty()
    for number, line in enumerate(lines, 1):
        sys.stdout.buffer.write(line)
        if shows and number % _A_STEP == 0:
            click.echo(f"\r{number} lines", err=True, nl=False)
    sys.stdout.buffer.flush()


class _Wanted:
    """Which records of the log are shown whole: those that are asked for; the export itself is not among them."""

    def __init__(self, patients: Collection[str] | None, since: datetime | None, until: datetime) -> None:
        self._patients = patients
        self._since = since
        self._until = until

    def __call__(self, record: AuditRecord) -> bool:
        if self._patients is not None and record.patient not in self._patients:
            return False
        return (self._since is None or record.recorded >= self._since) and record.recorded < self._until


def _nothing(_: AuditRecord) -> bool:
    return False


def _ids_of(patient: str, operator: Operator) -> list[str]:
    found = find_history(operator.engine, operator.keys, patient_ref(patient))
    if found is None:
        raise LoadRefused(["nobody is known by that"])
    return [found.id, *found.former_ids]


def _lines(record: AuditRecord, form: Format, base_url: str) -> Iterator[bytes]:
    if form == "records":
        yield to_canonical(record) + b"\n"
        return
    for event in to_audit_events(record, base_url=base_url):
        yield orjson.dumps(event) + b"\n"


for _command in (
    audit_log.key,
    audit_log.checkpoint,
    audit_log.checkpoints,
    audit_log.prove,
    audit_log.verify,
    audit_log.prune_command,
    audit_accounting.accounting,
    audit_watch.follow,
    audit_watch.notices,
    audit_released.released_under,
):
    command.add_command(_command)
