"""`python -m gateway facilities`: the members of the exchange, as its operators register and look at them."""

import os
import sys
from datetime import timedelta
from pathlib import Path

import click

from gateway.adapters.facilities_file import MOST_BYTES, read_facilities
from gateway.adapters.registry import FacilityRegistry
from gateway.auth.facility_keys import OVERLAP, FacilityKeys
from gateway.cli.applied_file import content_of, print_outcomes
from gateway.cli.context import Operator, print_json
from gateway.model import Facility, FacilityID

_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
_FACILITY = click.argument("facility_id", metavar="ID")


@click.group(name="facilities")
def command() -> None:
    """The facilities of the exchange: whom the gateway asks, and how."""


@command.command()
@click.argument("file", type=click.Path(allow_dash=True))
@_AS_JSON
def apply(file: str, as_json: bool) -> None:
    """Register the facilities of FILE (TOML; - reads standard input).

    New ones are added, known ones brought up to date, others left as they are. Either all of the file is applied or
    nothing; every problem is named with its facility and key.
    """
    folder = Path() if file == "-" else Path(file).parent
    with Operator() as operator:
        parsed = read_facilities(
            content_of(file, MOST_BYTES), environment=os.environ, folder=folder, production=operator.settings.production
        )
        registry = FacilityRegistry(operator.engine, operator.keys)
        operator.note("facilities apply begins", details=[("facility", one.id) for one in parsed.facilities])
        outcome = registry.apply(parsed.facilities, parsed.suspension_stated, operator.now)
        operator.note("facilities apply ended", details=[(result, id_) for id_, result in outcome.items()])
    print_outcomes(outcome.items(), as_json=as_json)


@command.command(name="list")
@_AS_JSON
def list_(as_json: bool) -> None:
    """Show the registered facilities. Secrets are not shown."""
    with Operator() as operator:
        facilities = FacilityRegistry(operator.engine, operator.keys).all()
    if as_json:
        print_json([_shown(one) for one in facilities])
        return
    if not facilities:
        click.echo("no facility is registered yet")
    for one in facilities:
        state = "suspended" if one.suspended else one.adapter
        click.echo(f"{one.id:<32}  {state:<10}  {one.name}  {one.query_url or ''}")


@command.command()
@_FACILITY
@_AS_JSON
def check(facility_id: str, as_json: bool) -> None:
    """Ask the archive of facility ID what it supports. Exits 1 if it can't be used."""
    from gateway.cli.facility_check import look_at, print_findings  # slow to load, and only this command needs it

    with Operator() as operator:
        facility = FacilityRegistry(operator.engine, operator.keys).find(facility_id)
        operator.note("facilities check", details=[("facility", facility.id)])
    looked, milliseconds = look_at(facility)
    if as_json:
        print_json(
            {
                "facility": facility.id,
                "usable": looked.usable,
                "latency_ms": milliseconds,
                "findings": [{"name": one.name, "rating": one.rating, "detail": one.detail} for one in looked.findings],
            }
        )
    else:
        print_findings(facility, looked.findings, milliseconds, usable=looked.usable)
    if not looked.usable:
        click.echo(f"failed: facility {facility.id} can't be used as it is", err=True)
        sys.exit(1)


@command.command()
@_FACILITY
@_AS_JSON
def suspend(facility_id: str, as_json: bool) -> None:
    """Stop asking facility ID until it is resumed; answers name it as incomplete meanwhile."""
    _set_suspended(facility_id, suspended=True, as_json=as_json)


@command.command()
@_FACILITY
@_AS_JSON
def resume(facility_id: str, as_json: bool) -> None:
    """Ask facility ID again."""
    _set_suspended(facility_id, suspended=False, as_json=as_json)


@command.command()
@_FACILITY
@_AS_JSON
def remove(facility_id: str, as_json: bool) -> None:
    """Take facility ID out of the exchange. Patients' records of its domain stay."""
    with Operator() as operator:
        registry = FacilityRegistry(operator.engine, operator.keys)
        registry.find(facility_id)
        operator.note("facilities remove", details=[("facility", facility_id)])
        registry.remove(facility_id)
        FacilityKeys(operator.engine, operator.keys).end(FacilityID(facility_id))
    if as_json:
        print_json({"facility": facility_id, "removed": True})
    else:
        click.echo(f"{facility_id}: removed")


@command.command()
@_FACILITY
@click.option("--replace", is_flag=True, help="End the keys before it at once, as after one has leaked.")
@_AS_JSON
def credential(facility_id: str, replace: bool, as_json: bool) -> None:
    """Make a key for facility ID and its gate, and show it: this once, and never again.

    With it they prove themselves where they ask what may be fetched (X-Facility-Key; or Basic, with ID as the user).
    A key made before goes on working for 24 hours, so that the new one can be set meanwhile.
    """
    with Operator() as operator:
        facility = FacilityRegistry(operator.engine, operator.keys).find(facility_id)
        overlap = timedelta(0) if replace else OVERLAP
        said = "ended" if replace else f"until {(operator.now + overlap).isoformat(timespec='seconds')}"
        operator.note("facilities credential", details=[("facility", facility.id), ("keys before", said)])
        key = FacilityKeys(operator.engine, operator.keys).make(facility.id, operator.now, overlap)
    if as_json:
        print_json({"facility": facility.id, "key": key, "before": said})
    else:
        click.echo(f"The key of {facility.id}, shown this once; keys before it: {said}.", err=True)
        click.echo(key)


def _set_suspended(facility_id: str, *, suspended: bool, as_json: bool) -> None:
    word = "suspend" if suspended else "resume"
    with Operator() as operator:
        registry = FacilityRegistry(operator.engine, operator.keys)
        registry.find(facility_id)
        operator.note(f"facilities {word}", details=[("facility", facility_id)])
        changed = registry.suspend(facility_id) if suspended else registry.resume(facility_id)
    if as_json:
        print_json({"facility": facility_id, "suspended": suspended, "changed": changed})
    else:
        state = "suspended" if suspended else "asked"
        click.echo(f"{facility_id}: {state}{'' if changed else ' already'}")


def _shown(one: Facility) -> dict[str, object]:
    return {
        "id": one.id,
        "name": one.name,
        "identifier_system": one.identifier_system,
        "issuer": one.issuer,
        "time_zone": one.time_zone or None,
        "adapter": one.adapter,
        "query_url": one.query_url,
        "link_url": one.link_url,
        "deadline_ms": one.deadline // timedelta(milliseconds=1),
        "retrieve": one.retrieve,
        "gate_url": one.gate_url,
        "accession_system": one.accession_system,
        "auth": one.auth.type,
        "part2": one.part2,
        "suspended": one.suspended,
    }
