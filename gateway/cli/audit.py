"""`python -m gateway audit`: what was asked and disclosed, as an auditor takes it away."""

import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Literal

import click
import orjson

from gateway.audit.canonical import to_canonical
from gateway.audit.fhir_audit_event import to_audit_events
from gateway.audit.record import AuditRecord
from gateway.cli.context import Operator
from gateway.cli.patient_argument import patient_ref
from gateway.errors import LoadRefused
from gateway.mpi.history import find_history

Format = Literal["balp", "records"]
_A_DAY = timedelta(days=1)


class _Moment(click.ParamType[datetime]):
    """A date (UTC, the whole day) or a date and time with its offset."""

    name = "time"

    def __init__(self, *, end: bool) -> None:
        self._end = end

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The start of the time given, or its end."""
        text = str(value)
        try:
            if len(text) == len("2026-11-24"):
                day = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
                return day + _A_DAY if self._end else day
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail("give a date, or a date and time with its offset (2026-11-24T08:00:00+01:00)", param, ctx)
        if moment.tzinfo is None:
            self.fail("a time needs its offset (2026-11-24T08:00:00+01:00)", param, ctx)
        return moment.astimezone(UTC)


@click.group(name="audit")
def command() -> None:
    """What was asked, decided and disclosed."""


@command.command()
@click.option("--patient", help="Only what concerns this person: an id, Patient/ID or system|value.")
@click.option("--since", type=_Moment(end=False), help="From this date (UTC) or time on.")
@click.option("--until", type=_Moment(end=True), help="Up to the end of this date (UTC), or up to this time.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["balp", "records"]),
    default="balp",
    show_default=True,
    help="FHIR AuditEvents (IHE BALP), or the records they are derived from.",
)
@click.option("--json", "as_json", is_flag=True, help="NDJSON, which is what comes anyway.")
def export(patient: str | None, since: datetime | None, until: datetime | None, form: Format, as_json: bool) -> None:
    """Write the audit to standard output as NDJSON, oldest first. The export itself is audited before it begins.

    A record that has been altered ends the export with its number, and with exit code 1.
    """
    with Operator() as operator:
        until = until or operator.now
        patients = None if patient is None else _ids_of(patient, operator)
        bounds = [("since", since.isoformat() if since else ""), ("until", until.isoformat()), ("format", form)]
        operator.note("audit export", patient=patients[0] if patients else None, details=bounds)
        for record in operator.audit.read(patients=patients, since=since, until=until):
            for line in _lines(record, form, operator.settings.base_url):
                sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()


def _ids_of(patient: str, operator: Operator) -> list[str]:
    found = find_history(operator.engine, operator.keys, patient_ref(patient))
    if found is None:
        raise LoadRefused(["nobody is known by that"])
    return [found.id, *found.former_ids]


def _lines(record: AuditRecord, form: Format, base_url: str) -> Iterator[bytes]:
    if form == "records":
        yield to_canonical(record)
        return
    for event in to_audit_events(record, base_url=base_url):
        yield orjson.dumps(event)
