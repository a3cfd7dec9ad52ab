"""`python -m gateway patients`: the patient index, as its operators feed and read it."""

from collections.abc import Iterator
from typing import Any

import click

from gateway.cli import patients_bulk, patients_index, patients_load, stewardship
from gateway.cli.context import Operator, print_json
from gateway.cli.patient_argument import patient_ref
from gateway.errors import LoadRefused
from gateway.mpi.history import LinkedRecord, LinkEvent, PersonHistory, find_history

_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")


@click.group(name="patients")
def command() -> None:
    """The patient index: who is who in which facility."""


for _command in (patients_load.load, *stewardship.COMMANDS, *patients_bulk.COMMANDS, patients_index.index):
    command.add_command(_command)


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
