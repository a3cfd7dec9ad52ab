"""`python -m gateway break-glass`: the privacy officer's list of who overrode a patient's protection, and why.

It is read from the audit, so it can't say less than the audit does, and a review is itself a record there.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import click

from gateway.audit.record import AuditRecord
from gateway.auth.declarations import Notice, StoredDeclarations
from gateway.cli.context import Operator, print_json
from gateway.disclosure import BREAK_GLASS_NOTICE
from gateway.errors import LoadRefused
from gateway.purposes import BREAK_GLASS

REVIEWED = "break-glass reviewed"
_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")


@dataclass(slots=True, kw_only=True)
class Declaration:
    """One declared break-glass, the notices of the answers that it led to, and who has reviewed it."""

    id: str
    record: AuditRecord
    """Of the first token that was issued under it."""
    tokens: int = 1
    notices: list[AuditRecord] = field(default_factory=list)
    review: AuditRecord | None = None


@click.group(name="break-glass")
def command() -> None:
    """Break-glass: who overrode a patient's protection, and why."""


@command.command(name="list")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="Declared from this date (UTC) on.")
@click.option("--open", "only_open", is_flag=True, help="Only what nobody has reviewed.")
@_AS_JSON
def list_(since: datetime | None, only_open: bool, as_json: bool) -> None:
    """Each declaration, oldest first: who, for which patient, why, what was answered, and whether it was reviewed."""
    with Operator() as operator:
        operator.note("break-glass list")
        start = None if since is None else since.replace(tzinfo=UTC)
        found = declarations_in(operator.audit.read(since=start))
        notices = {one.declaration.id: one for one in open_declarations(operator).notices()}
    told = [_as_json(one, notices.get(one.id)) for one in found if not (only_open and one.review)]
    if as_json:
        print_json({"declarations": told})
        return
    if not told:
        click.echo("nobody broke the glass" + (" without review" if only_open else ""))
    for one in told:
        who = one["subject"]
        click.echo(f"{one['declared']:%Y-%m-%d %H:%M} UTC  {one['id']}  Patient/{one['patient']}")
        click.echo(f"    by {who['name'] or who['id']} ({who['role']}) with {one['client']}: {one['reason']}")
        reviewed = f"reviewed by {one['reviewed']['by']}" if one["reviewed"] else "not reviewed"
        told_at = one["patient_told"]
        patient = f"the patient was told on {told_at:%Y-%m-%d}" if told_at else "the patient has not been told"
        click.echo(f"    {len(one['notices'])} answers; {patient}; {reviewed}")


@command.command()
@click.argument("declaration", metavar="ID")
@_AS_JSON
def review(declaration: str, as_json: bool) -> None:
    """Mark the declaration ID (as `list` names it) as reviewed. The first review stands."""
    with Operator() as operator:
        found = {one.id: one for one in declarations_in(operator.audit.read())}.get(declaration)
        if found is None:
            raise LoadRefused(["no break-glass declaration has that id"])
        if found.review is None:
            details = [("declaration", declaration)]
            operator.note(REVIEWED, patient=found.record.patient, details=details)
    changed = found.review is None
    if as_json:
        print_json({"id": declaration, "changed": changed})
    else:
        click.echo("marked as reviewed" if changed else "was reviewed before: nothing changed")


def open_declarations(operator: Operator) -> StoredDeclarations:
    """The declarations and notices on file, as `serve` has them."""
    return StoredDeclarations(operator.engine, operator.keys, lasts=operator.settings.break_glass)


def declarations_in(records: Iterable[AuditRecord]) -> list[Declaration]:
    """The declarations among `records`, which come in the order they were stored."""
    by_id: dict[str, Declaration] = {}
    by_token: dict[str, Declaration] = {}
    for record in records:
        details = dict(record.details)
        if record.kind == "token-issued" and BREAK_GLASS in record.who.purposes:
            id_ = details.get("declaration", record.id)
            if id_ in by_id:
                by_id[id_].tokens += 1
            by_token[record.who.token_id or ""] = by_id.setdefault(id_, Declaration(id=id_, record=record))
        elif record.kind == "alert" and record.reason == BREAK_GLASS_NOTICE:
            if declared := by_token.get(record.who.token_id or ""):
                declared.notices.append(record)
        elif record.kind == "operator" and record.reason == REVIEWED:
            reviewed = by_id.get(details.get("declaration", ""))
            if reviewed is not None and reviewed.review is None:
                reviewed.review = record
    return list(by_id.values())


def _as_json(one: Declaration, notice: Notice | None) -> dict[str, Any]:
    record, reviewed = one.record, one.review
    details = dict(record.details)
    return {
        "id": one.id,
        "declared": record.recorded,
        "until": details.get("declared_until") or details.get("expires_at"),
        "patient": record.patient,
        "reason": details.get("break_glass_reason"),
        "client": record.who.client_id,
        "subject": {"id": record.who.subject_id, "name": record.who.subject_name, "role": record.who.subject_role},
        "tokens": one.tokens,
        "notices": [
            {"recorded": alert.recorded, "notify": [value for name, value in alert.details if name == "notify"]}
            for alert in one.notices
        ],
        "patient_told": None if notice is None else notice.delivered_at,
        "reviewed": None if reviewed is None else {"by": reviewed.who.subject_id, "at": reviewed.recorded},
    }
