"""`python -m gateway consents notices`: what patients are to be told of break-glass access, until somebody has."""

from typing import Any

import click

from gateway.auth.declarations import Notice
from gateway.cli.break_glass import open_declarations
from gateway.cli.context import Operator, print_json
from gateway.cli.patient_argument import patient_ref
from gateway.errors import LoadRefused
from gateway.mpi.history import find_history


@click.command()
@click.option("--patient", metavar="ID", help="Of one patient: an id, Patient/ID or system|value.")
@click.option("--all", "everything", is_flag=True, help="Also those that have been delivered.")
@click.option("--delivered", metavar="NOTICE", multiple=True, help="Mark this notice as delivered; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
def notices(patient: str | None, everything: bool, delivered: tuple[str, ...], as_json: bool) -> None:
    """The notices to patients that nobody has delivered yet, oldest first, in words that can be sent as they are.

    Each break-glass declaration makes one. With --delivered the notices of these ids are marked instead: the patient
    has been told. The first to say so stands.
    """
    with Operator() as operator:
        if delivered:
            told = _deliver(operator, delivered)
        else:
            patients = _ids_of(operator, patient) if patient else None
            operator.note("consents notices", patient=patients[-1] if patients else None)
            told = [
                _as_json(one) for one in open_declarations(operator).notices(patients=patients, waiting=not everything)
            ]
    if as_json:
        print_json({"notices": told})
        return
    for one in told:
        click.echo("\n".join(_as_text(one)))
    if not told:
        click.echo("no notices" if everything else "no notices wait to be delivered")


def _deliver(operator: Operator, ids: tuple[str, ...]) -> list[dict[str, Any]]:
    declarations = open_declarations(operator)
    on_file = {one.id: one for one in declarations.notices()}
    if unknown := [id_ for id_ in ids if id_ not in on_file]:
        raise LoadRefused([f"no notice has the id {id_:.64}" for id_ in unknown])
    told = []
    for id_ in dict.fromkeys(ids):
        details = [("notice", id_), ("declaration", on_file[id_].declaration.id)]
        operator.note("patient told of break-glass", patient=on_file[id_].declaration.patient, details=details)
        changed = declarations.deliver(on_file[id_], operator.name, operator.now)
        now = next(one for one in declarations.notices() if one.id == id_)
        told.append({**_as_json(now), "changed": changed})
    return told


def _ids_of(operator: Operator, patient: str) -> list[str]:
    """Every id the person has had, the one of today last: a declaration names the one it was made with."""
    found = find_history(operator.engine, operator.keys, patient_ref(patient))
    if found is None:
        raise LoadRefused(["patient not known"])
    return [*found.former_ids, found.id]


def _as_json(one: Notice) -> dict[str, Any]:
    declared = one.declaration
    return {
        "id": one.id,
        "patient": declared.patient,
        "queued": one.queued_at,
        "declaration": declared.id,
        "who": {
            "id": declared.subject.id,
            "name": declared.subject.name,
            "role": declared.subject.role,
            "client": declared.client_name,
            "organization": declared.organization,
        },
        "reason": declared.reason,
        "from": declared.declared_at,
        "until": declared.until,
        "delivered": None if one.delivered_at is None else {"at": one.delivered_at, "by": one.delivered_by},
    }


def _as_text(one: dict[str, Any]) -> list[str]:
    who = one["who"]
    name = who["name"] or who["id"]
    lines = [
        f"{one['id']}  Patient/{one['patient']}",
        f"    On {one['from']:%d %B %Y} at {one['from']:%H:%M} UTC {name} ({who['role']}), at {who['client']} of"
        f" {who['organization']},",
        "    declared an emergency in order to see your imaging although you have not shared it with them.",
        f"    The reason given: {one['reason']}",
        f"    This was possible until {one['until']:%H:%M} UTC. Your privacy officer reviews it.",
    ]
    if one["delivered"]:
        lines.append(f"    delivered on {one['delivered']['at']:%Y-%m-%d %H:%M} UTC by {one['delivered']['by']}")
    return lines
