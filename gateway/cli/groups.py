"""`python -m gateway groups`: organisations and users that a Consent may name as a whole."""

import click

from gateway.adapters.registry import FacilityRegistry
from gateway.cli.applied_file import content_of, print_outcomes
from gateway.cli.context import Operator, print_json
from gateway.consent.fhir_reference import facility_names
from gateway.consent.groups import StoredGroups
from gateway.consent.groups_file import Group, read_groups

_MOST_BYTES = 10_000_000
_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")


@click.group(name="groups")
def command() -> None:
    """Groups: organisations and users that a Consent may name as a whole."""


@command.command()
@click.argument("file", type=click.Path(allow_dash=True))
@_AS_JSON
def apply(file: str, as_json: bool) -> None:
    """Register the groups of FILE (TOML; - reads standard input).

    New ones are added, known ones have the members that the file states, others are left as they are. Consents that
    name a group are decided by its new members from the next request on.
    """
    with Operator() as operator:
        facilities = FacilityRegistry(operator.engine, operator.keys).all()
        names = facility_names(facilities, operator.settings.fhir_base)
        groups = read_groups(content_of(file, _MOST_BYTES), names)
        operator.note("groups apply begins", details=[detail for one in groups for detail in _details(one)])
        outcome = StoredGroups(operator.engine, operator.keys).apply(groups)
        operator.note("groups apply ended", details=[(result, id_) for id_, result in outcome.items()])
    print_outcomes(outcome.items(), as_json=as_json)


@command.command(name="list")
@_AS_JSON
def list_(as_json: bool) -> None:
    """Show the registered groups and their members."""
    with Operator() as operator:
        groups = StoredGroups(operator.engine, operator.keys).all()
    if as_json:
        print_json([_shown(one) for one in groups])
        return
    if not groups:
        click.echo("no group is registered yet")
    for one in groups:
        click.echo(f"{one.id:<32}  {one.name}")
        for member in (*one.organizations, *one.users):
            click.echo(f"  {member}")


@command.command()
@click.argument("group_id", metavar="ID")
@_AS_JSON
def remove(group_id: str, as_json: bool) -> None:
    """Take group ID away. Consents in force that name it can't be evaluated then: they deny, and raise an alert."""
    with Operator() as operator:
        groups = StoredGroups(operator.engine, operator.keys)
        operator.note("groups remove", details=[("group", group_id)])
        groups.remove(group_id)
    if as_json:
        print_json({"group": group_id, "removed": True})
    else:
        click.echo(f"{group_id}: removed")


def _details(group: Group) -> list[tuple[str, str]]:
    return [("group", group.id), *(("member", member) for member in (*group.organizations, *group.users))]


def _shown(group: Group) -> dict[str, object]:
    return {
        "id": group.id,
        "name": group.name,
        "names": group.names,
        "organizations": group.organizations,
        "users": group.users,
    }
