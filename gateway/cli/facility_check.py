"""What `facilities check` does: one look at one archive, and what it found."""

from collections.abc import Sequence
from datetime import timedelta

import click

from gateway.adapters.check import FacilityCheck, Finding
from gateway.adapters.credentials import FacilityTokens
from gateway.adapters.curl import CurlTransport
from gateway.adapters.fan_out import terms_of
from gateway.adapters.http import Call, run
from gateway.deadline import Deadline
from gateway.model import Facility

_EXCHANGES = 6


def look_at(facility: Facility) -> tuple[FacilityCheck, int]:
    """The findings, and how long an exchange took on average."""
    looked = FacilityCheck(facility)
    conversation = looked.conversation()
    if facility.auth.type == "oauth2":
        conversation = FacilityTokens().authorized(facility, conversation)
    transport = CurlTransport()
    try:
        call = Call(
            facility=facility.id,
            conversation=conversation,
            terms=terms_of(facility.auth),
            deadline=Deadline.after(facility.deadline * _EXCHANGES),
        )
        (outcome,) = run([call], transport)
    finally:
        transport.close()
    exchanges = max(1, len(looked.findings))
    return looked, outcome.elapsed // timedelta(milliseconds=1) // exchanges


def print_findings(facility: Facility, findings: Sequence[Finding], milliseconds: int, *, usable: bool) -> None:
    """The findings for people, a line each."""
    click.echo(f"{facility.id} ({facility.name}), {facility.query_url}")
    for one in findings:
        click.echo(f"  {one.rating:<8} {one.name:<18} {one.detail}")
    if usable:
        click.echo(f"  an exchange takes about {milliseconds} ms")
