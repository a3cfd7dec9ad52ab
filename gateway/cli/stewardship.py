"""`python -m gateway patients merge …`: what a steward decides of who is who."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import click

from gateway.audit.record import Who
from gateway.cli.context import Operator, print_json
from gateway.cli.patient_argument import patient_ref
from gateway.errors import LoadRefused
from gateway.model import PatientID
from gateway.mpi.resolve import PatientIndex
from gateway.mpi.review import ReviewQueue, ReviewTask, Side
from gateway.mpi.steward import Decided, Stewardship

_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
_NOTE = click.option("--note", default="", help="Why; kept sealed with the decision, and in the audit.")


@click.command()
@click.argument("retired")
@click.argument("survivor")
@_NOTE
@_AS_JSON
def merge(retired: str, survivor: str, note: str, as_json: bool) -> None:
    """RETIRED and SURVIVOR are one person: all records are SURVIVOR's, and the other's id leads there.

    Each is an id, Patient/ID or system|value. Consents of both apply from the next query on.
    """
    with Operator() as operator:
        ids = _person(operator, retired), _person(operator, survivor)
        _say(_steward(operator).merge(*ids, note, operator.now), as_json)


@click.command()
@click.argument("former")
@_NOTE
@_AS_JSON
def unmerge(former: str, note: str, as_json: bool) -> None:
    """FORMER, an id that leads to another person, is a person of its own again, with the records it brought.

    That the two are two persons is remembered: nothing found later joins them again.
    """
    with Operator() as operator:
        ref = patient_ref(former)
        if ref.id is None:
            raise LoadRefused(["expected the id that was retired"])
        _say(_steward(operator).unmerge(ref.id, note, operator.now), as_json)


@click.command()
@click.argument("patient")
@click.argument("records", type=int, nargs=-1, required=True)
@_NOTE
@_AS_JSON
def split(patient: str, records: tuple[int, ...], note: str, as_json: bool) -> None:
    """The RECORDS (their numbers, as `patients show` tells) of PATIENT are another person's, all of them one's."""
    with Operator() as operator:
        person = _person(operator, patient)
        _say(_steward(operator).split(person, records, note, operator.now), as_json)


@click.command()
@click.argument("record", type=int)
@click.argument("patient")
@_NOTE
@_AS_JSON
def reassign(record: int, patient: str, note: str, as_json: bool) -> None:
    """RECORD (its number) is PATIENT's, and not its present person's."""
    with Operator() as operator:
        person = _person(operator, patient)
        _say(_steward(operator).reassign(record, person, note, operator.now), as_json)


@click.command()
@click.argument("decision", type=int)
@_NOTE
@_AS_JSON
def undo(decision: int, note: str, as_json: bool) -> None:
    """DECISION (its number) says nothing any more; the persons are as if it had not been made."""
    with Operator() as operator:
        _say(_steward(operator).undo(decision, note, operator.now), as_json)


@click.group()
def review() -> None:
    """Records that may be one person's: what matching leaves to a steward."""


@review.command(name="list")
@click.option("--after", type=int, default=0, help="From the task after this number.")
@click.option("--most", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many at most.")
@_AS_JSON
def list_tasks(after: int, most: int, as_json: bool) -> None:
    """Open tasks, the oldest first."""
    with Operator() as operator:
        queue = ReviewQueue(operator.engine, operator.keys)
        tasks, waiting, now = queue.list(after, most), queue.waiting(), operator.now
    total = sum(one.tasks for one in waiting)
    if as_json:
        kinds = [{"kind": one.kind, "open": one.tasks, "oldest": one.since} for one in waiting]
        print_json({"open": total, "kinds": kinds, "tasks": [_task_json(task) for task in tasks]})
        return
    click.echo(f"{total} open")
    for one in waiting:
        click.echo(f"  {one.tasks} {one.kind}, the oldest for {(now - one.since).days} days")
    for task in tasks:
        click.echo(_task_text(task))


@review.command(name="show")
@click.argument("task", type=int)
@_AS_JSON
def show_task(task: int, as_json: bool) -> None:
    """The two records of TASK side by side."""
    with Operator() as operator:
        found = ReviewQueue(operator.engine, operator.keys).find(task)
        if found is None:
            raise LoadRefused([f"there is no open review task {task}"])
        asked, sides = found
        for side in sides:
            operator.note("patients review show", patient=side.person, details=[("task", str(task))])
    if as_json:
        print_json({**_task_json(asked), "sides": [_side_json(side) for side in sides]})
        return
    click.echo(_task_text(asked))
    for line in _side_by_side(*sides):
        click.echo(line)


@review.command()
@click.argument("task", type=int)
@click.argument("answer", type=click.Choice(["same", "apart"]))
@_NOTE
@_AS_JSON
def decide(task: int, answer: str, note: str, as_json: bool) -> None:
    """The two persons of TASK are the same, or apart. Both can be undone; what is apart is never joined by itself."""
    with Operator() as operator:
        _say(_steward(operator).answer(task, note, operator.now, same=answer == "same"), as_json)


def _steward(operator: Operator) -> Stewardship:
    who = Who(subject_id=operator.name, subject_role="operator")
    strong = operator.settings.strong_identifier_systems
    return Stewardship(operator.engine, operator.keys, operator.audit, strong_systems=strong, who=who)


def _person(operator: Operator, argument: str) -> PatientID:
    found = PatientIndex(operator.engine, operator.keys).resolve(patient_ref(argument))
    if found is None:
        raise LoadRefused(["nobody with an active record is known by that, or several are"])
    return found.id


def _say(decided: Decided, as_json: bool) -> None:
    if as_json:
        print_json({"decision": decided.decision, "persons": decided.persons, "moved": decided.moved})
        return
    persons = ", ".join(f"Patient/{one}" for one in decided.persons)
    click.echo(f"decision {decided.decision}: {decided.moved} records moved; they belong to {persons}")


def _task_json(task: ReviewTask) -> dict[str, Any]:
    return {
        "task": task.number,
        "kind": task.kind,
        "score": task.score,
        "guards": task.guards,
        "algorithm": task.algorithm,
        "opened": task.opened_at,
        "records": task.records,
        "persons": task.persons,
    }


def _task_text(task: ReviewTask) -> str:
    held = f", held by {', '.join(task.guards)}" if task.guards else ""
    return (
        f"{task.number}  {task.kind}  records {task.records[0]} and {task.records[1]}, {task.score:.1f} bits{held}, "
        f"since {task.opened_at:%Y-%m-%d %H:%M} UTC"
    )


def _side_json(side: Side) -> dict[str, Any]:
    return {"record": side.record_id, "person": side.person, "patient": side.patient}


def _side_by_side(one: Side, other: Side) -> Iterator[str]:
    rows: list[tuple[str, Callable[[Side], str]]] = [
        ("record", lambda side: str(side.record_id)),
        ("person", lambda side: side.person),
        ("known as", lambda side: f"{side.identifier.system}|{side.identifier.value}"),
        ("name", lambda side: _names(side.patient.get("name") or ())),
        ("born", lambda side: str(side.patient.get("birthDate") or "")),
        ("gender", lambda side: str(side.patient.get("gender") or "")),
        ("contact", lambda side: "; ".join(str(each.get("value")) for each in side.patient.get("telecom") or ())),
        ("address", lambda side: _addresses(side.patient.get("address") or ())),
    ]
    for label, told in rows:
        yield f"  {label:<10}{told(one):<50}  {told(other)}"


def _names(names: Sequence[Mapping[str, Any]]) -> str:
    said = (" ".join(filter(None, (*(name.get("given") or ()), name.get("family")))) for name in names)
    return "; ".join(filter(None, said))


def _addresses(addresses: Sequence[Mapping[str, Any]]) -> str:
    lines = ((*(one.get("line") or ()), one.get("postalCode"), one.get("city")) for one in addresses)
    return "; ".join(", ".join(filter(None, line)) for line in lines)


COMMANDS: tuple[click.Command, ...] = (merge, unmerge, split, reassign, undo, review)
