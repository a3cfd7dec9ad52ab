"""`python -m gateway audit released-under`: after two persons were taken for one, who has to be told."""

from typing import Any

import click

from gateway.adapters.registry import FacilityRegistry
from gateway.audit.accounting import Disclosure
from gateway.audit.accounting_table import disclosure_json
from gateway.cli.context import Operator, print_json
from gateway.db.session import writing
from gateway.mpi.stays import find_false_links
from gateway.released_under import ReleasedUnder, ReleasedUnderDesk, notices_of
from gateway.watch.channels import channels_of
from gateway.watch.notices import Notices


@click.command(name="released-under")
@click.argument("link")
@click.option("--notify", is_flag=True, help="Make a notice to each recipient; said again, only what is new is made.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
def released_under(link: str, notify: bool, as_json: bool) -> None:
    """Every answer that was released while records of two persons were linked, and its recipients.

    LINK is the number of the decision that put it right (an unmerge, a split, a reassignment, a review, or one that was
    undone: each command tells its number, and so does `patients show`), or record:NUMBER for every person that this
    record was ever wrongly with.
    """
    with Operator() as operator:
        spans = find_false_links(operator.engine, link)
        persons: list[str | None] = [*sorted({person for one in spans for person in one.persons})]
        details = [("link", link), ("notify", str(notify).lower())]
        operator.audit.record(
            [
                operator.record_of("audit released-under", patient=person, details=details)
                for person in persons or [None]
            ]
        )
        registry = FacilityRegistry(operator.engine, operator.keys)
        released = ReleasedUnderDesk(audit=operator.audit, facilities=registry.all).find(link, spans)
        made = _notify(operator, released) if notify else None
    if as_json:
        print_json(_as_json(released, made))
        return
    for line in _as_text(released, made):
        click.echo(line)


def _notify(operator: Operator, released: ReleasedUnder) -> int:
    settings = operator.settings
    channels = channels_of(
        webhook=settings.alert_webhook,
        secret=settings.alert_webhook_secret,
        smtp=settings.alert_smtp,
        mail_from=settings.alert_mail_from,
        mail_to=settings.alert_mail_to,
    )
    notices = Notices(operator.engine, operator.keys)
    with writing(operator.engine) as connection:
        return notices.add(connection, notices_of(released, operator.now), [one.name for one in channels])


def _as_json(released: ReleasedUnder, made: int | None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "link": released.link,
        "spans": [
            {
                "patient": one.person,
                "from": one.since,
                "to": one.until,
                "records": list(one.records),
                "patients": list(one.persons),
            }
            for one in released.spans
        ],
        "answers": [disclosure_json(one) for one in released.answers],
        "recipients": [
            {
                "organization": one.organization,
                "name": one.name,
                "application": one.application,
                "answers": [answer.id for answer in one.answers],
            }
            for one in released.recipients
        ],
    }
    return told if made is None else {**told, "notices": made}


def _as_text(released: ReleasedUnder, made: int | None) -> list[str]:
    lines = []
    for one in released.spans:
        lines.append(
            f"records {one.records[0]} and {one.records[1]} were both Patient/{one.person}'s"
            f" from {one.since:%Y-%m-%d %H:%M} to {one.until:%Y-%m-%d %H:%M} UTC"
        )
    for answer in released.answers:
        lines.append(f"{answer.at:%Y-%m-%d %H:%M:%S}  {answer.recipient.name}  {_what(answer)}")
    for to in released.recipients:
        lines.append(f"to be told: {to.name} ({to.organization}, {to.application}): {len(to.answers)} answers")
    if not released.answers:
        lines.append("nothing was released under it")
    return lines if made is None else [*lines, f"{made} new notices (audit notices --kind released-under-false-link)"]


def _what(answer: Disclosure) -> str:
    studies = sum(len(given.studies) for given in answer.given)
    facilities = ", ".join(given.facility for given in answer.given)
    counted = [f"{studies} {'study' if studies == 1 else 'studies'} of {facilities}"] if studies else []
    return ", ".join([*counted, *answer.other])
