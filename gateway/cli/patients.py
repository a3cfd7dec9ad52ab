"""`python -m gateway patients`: the patient index, as its operators feed and read it."""

import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import click
import orjson

from gateway.adapters.registry import FacilityRegistry
from gateway.cli import patients_bulk, patients_index, stewardship
from gateway.cli.context import Operator, print_json
from gateway.cli.ndjson import Line, LoadReport, iter_lines, print_report
from gateway.cli.patient_argument import patient_ref
from gateway.errors import LoadRefused
from gateway.mpi.feed import PatientFeed
from gateway.mpi.history import LinkedRecord, LinkEvent, PersonHistory, find_history
from gateway.mpi.matching_setting import matching_rule
from gateway.mpi.patient_record import PatientRecord

_LINES_A_TRANSACTION = 250
"""A quarter of a second of writing, after which other writers get their turn while the next lines are read."""
_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")


@click.group(name="patients")
def command() -> None:
    """The patient index: who is who in which facility."""


for _command in (*stewardship.COMMANDS, *patients_bulk.COMMANDS, patients_index.index):
    command.add_command(_command)


@command.command()
@click.argument("file", type=click.Path(allow_dash=True))
@_AS_JSON
@click.option("--report", "report_file", type=click.Path(dir_okay=False), help="Write refused lines here, as NDJSON.")
@click.option("--from-line", type=click.IntRange(min=1), default=1, help="Begin there: where a stopped load goes on.")
def load(file: str, as_json: bool, report_file: str | None, from_line: int) -> None:
    """Load FHIR R4 Patients from FILE (NDJSON; - reads standard input).

    Each has exactly one identifier in a registered facility's identifier_system. A known one is updated, an unchanged
    one does nothing. Good lines are kept, bad ones listed with their reason; the exit code is 1 if there were any.
    """
    with Operator() as operator:
        domains = frozenset(one.identifier_system for one in FacilityRegistry(operator.engine, operator.keys).all())
        if not domains:
            raise LoadRefused(["no facility is registered yet: run `facilities apply` first"])
        report = LoadReport()
        operator.note("patients load begins")
        try:
            wanted = (line for line in iter_lines(file, "patients") if line.number >= from_line)
            _load(wanted, _feed(operator), domains, report, operator)
        except BaseException:
            operator.note("patients load stopped", outcome="failed", details=_counts(report))
            raise
        operator.note("patients load ended", details=_counts(report))
    if report_file is not None:
        lines = [orjson.dumps({"line": number, "reason": reason}) + b"\n" for number, reason in report.rejected]
        Path(report_file).write_bytes(b"".join(lines))
    print_report(report, as_json=as_json, noun="patients")
    if report.rejected:
        sys.exit(1)


def _load(
    lines: Iterator[Line], feed: PatientFeed, domains: frozenset[str], report: LoadReport, operator: Operator
) -> None:
    last = 0
    try:
        while batch := list(islice(lines, _LINES_A_TRANSACTION)):
            for outcome in feed.save(list(_good(batch, domains, report)), operator.now):
                report.count(outcome)
            last = batch[-1].number
    except BaseException:
        if last:
            click.echo(f"stored as far as line {last}; go on with --from-line {last + 1}", err=True)
        raise


def _good(lines: Iterable[Line], domains: frozenset[str], report: LoadReport) -> Iterator[PatientRecord]:
    # Only loading needs what reads FHIR, and that takes longer to import than the other commands take to run.
    from gateway.mpi.fhir_patient import read_patient

    for line in lines:
        if line.value is None:
            report.reject(line.number, line.reason or "")
            continue
        try:
            yield read_patient(line.value, domains)
        except LoadRefused as exc:
            report.reject(line.number, exc.reason)


def _counts(report: LoadReport) -> list[tuple[str, str]]:
    counts = report.as_json()
    counts["rejected"] = len(report.rejected)
    return [(name, str(count)) for name, count in counts.items()]


def _feed(operator: Operator) -> PatientFeed:
    strong = operator.settings.strong_identifier_systems
    who = f"operator {operator.name}"
    matching = matching_rule(operator.settings)
    return PatientFeed(
        operator.engine, operator.keys, operator.audit, strong_systems=strong, who=who, matching=matching
    )


@command.command()
@click.argument("patient")
@_AS_JSON
def show(patient: str, as_json: bool) -> None:
    """A person with their source records, and why those are linked.

    PATIENT is an id, Patient/ID or system|value.
    """
    with Operator() as operator:
        found = find_history(operator.engine, operator.keys, patient_ref(patient))
        if found is None:
            raise LoadRefused(["nobody is known by that"])
        operator.note("patients show", patient=found.id)
    if as_json:
        print_json(_as_json(found))
    else:
        click.echo("\n".join(_as_text(found)))


def _as_json(found: PersonHistory) -> dict[str, Any]:
    return {
        "id": found.id,
        "created": found.created_at,
        "former": found.former_ids,
        "records": [_record_json(one) for one in found.records],
        "history": [_event_json(one) for one in found.events],
        "decisions": [
            {"decision": one.number, "kind": one.kind, "who": one.who, "at": one.at, "undone": one.undone_at}
            for one in found.decisions
        ],
        "conflicts": [
            {
                "system": one.system,
                "reason": one.reason,
                "persons": one.persons,
                "records": one.records,
                "noticed": one.noticed_at,
            }
            for one in found.conflicts
        ],
    }


def _record_json(one: LinkedRecord) -> dict[str, Any]:
    return {
        "record": one.record_id,
        "system": one.identifier.system,
        "value": one.identifier.value,
        "active": one.active,
        "family": one.demographics.family,
        "given": one.demographics.given,
        "birthDate": one.demographics.birth_date,
        "gender": one.demographics.sex,
        "linked": one.linked_at,
        "updated": one.updated_at,
        "why": _event_json(one.why),
    }


def _event_json(one: LinkEvent) -> dict[str, Any]:
    return {
        "record": one.record_id,
        "action": one.action,
        "person": one.person_id,
        "previous": one.previous,
        **one.reason,
        "algorithm": one.algorithm,
        "score": one.score,
        "who": one.who,
        "at": one.at,
    }


def _as_text(found: PersonHistory) -> Iterator[str]:
    yield f"Patient/{found.id}, known since {found.created_at:%Y-%m-%d %H:%M} UTC"
    if found.former_ids:
        yield f"  formerly {', '.join(found.former_ids)}"
    for one in found.records:
        said = one.demographics
        name = " ".join((*said.given, *said.family)) or "(no name)"
        state = "" if one.active else ", inactive"
        yield f"  record {one.record_id}: {one.identifier.system}|{one.identifier.value}{state}"
        yield f"    {name}, born {said.birth_date or '(not said)'}, {said.sex or 'gender not said'}"
        yield f"    here since {one.linked_at:%Y-%m-%d %H:%M} UTC, by {one.why.who}: {_why(one.why)}"
    for standing in found.conflicts:
        others = ", ".join(str(record_id) for record_id in standing.records)
        yield f"  look at this: an identifier of {standing.system} is also on record {others} ({standing.reason})"
    for decided in found.decisions:
        undone = f", undone {decided.undone_at:%Y-%m-%d %H:%M} UTC" if decided.undone_at else ""
        yield f"  decision {decided.number}: {decided.kind}, {decided.at:%Y-%m-%d %H:%M} UTC, by {decided.who}{undone}"
    moves = [event for event in found.events if event.previous is not None]
    if moves:
        yield "  history"
    for event in moves:
        went = f"from {event.previous} to {event.person_id}, by {event.who}"
        yield f"    {event.at:%Y-%m-%d %H:%M} UTC record {event.record_id}: {went}: {_why(event)}"


def _why(event: LinkEvent) -> str:
    """Why the record went where it is, as things stood then: others may have come, left or changed since."""
    rule, system = event.reason["rule"], event.reason["system"]
    records = ", ".join(str(record_id) for record_id in event.reason["records"])
    if rule == "shares-identifier":
        return f"it shared an identifier of {system} with record {records}"
    if rule == "kept-apart":
        return f"it was kept apart, though it shared an identifier of {system} with record {records}"
    if rule == "alike":
        return f"it was alike record {records} ({event.score:.1f} bits, {event.algorithm})"
    if rule == "steward":
        return f"a steward decided so, about record {records}"
    if rule == "follows-its-person":
        return "it moved with its person"
    return "it shared no strong identifier with any record known then"
