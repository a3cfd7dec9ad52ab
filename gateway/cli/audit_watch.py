"""`python -m gateway audit follow|notices`: what follows from the audit, and what somebody should look at."""

import signal
import threading
from datetime import UTC, datetime
from typing import Any

import click

from gateway.cli.context import Operator, print_json
from gateway.errors import LoadRefused
from gateway.log import set_up
from gateway.watch.notices import Notices, Told
from gateway.watch.rules import KINDS
from gateway.wiring_audit import open_watcher


@click.command()
@click.option("--once", is_flag=True, help="Deal with what is stored by now, and end.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
def follow(once: bool, as_json: bool) -> None:
    """Index the audit, raise alerts, send notices, feed the audit repository, until SIGTERM.

    `serve` does this too, at an easy pace. A process of its own keeps pace with very much; any number may run, and one
    works at a time.
    """
    with Operator() as operator:
        watcher = open_watcher(
            operator.settings,
            operator.engine,
            operator.keys,
            operator.audit,
            lambda: datetime.now(UTC),
            resting=0.0,
        )
        if once:
            done = watcher.catch_up()
            print_json({"followed": done}) if as_json else click.echo(f"{done} records were dealt with")
            return
        set_up()
        ended = threading.Event()
        for one in (signal.SIGTERM, signal.SIGINT):
            signal.signal(one, lambda *_: ended.set())
        watcher.start()
        ended.wait()
        watcher.close()


@click.command()
@click.option("--id", "id_", metavar="NOTICE", help="This one alone.")
@click.option("--kind", type=click.Choice(KINDS), help="Of one kind.")
@click.option("--waiting", is_flag=True, help="Those that some way out has not taken yet.")
@click.option("--most", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many at most.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
def notices(id_: str | None, kind: str | None, waiting: bool, most: int, as_json: bool) -> None:
    """Alerts and other notices, the newest first; what to do about each kind is in deploy/runbook.md."""
    with Operator() as operator:
        operator.note("audit notices", details=[("kind", kind or ""), ("id", id_ or "")])
        stored = Notices(operator.engine, operator.keys)
        told = stored.list(kind=kind, waiting=waiting, limit=most) if id_ is None else stored.find(id_)
    if id_ is not None and not told:
        raise LoadRefused(["no notice has that id"])
    if as_json:
        print_json({"notices": [_as_json(one) for one in told]})
        return
    for one in told:
        click.echo(_as_text(one))
    if not told:
        click.echo("no notices")


def _as_json(one: Told) -> dict[str, Any]:
    return {
        "id": one.notice.id,
        "kind": one.notice.kind,
        "at": one.notice.made_at,
        **one.notice.facts,
        "sent": [{"by": name, "tries": tries, "delivered": at} for name, tries, at in one.ways],
    }


def _as_text(one: Told) -> str:
    facts = ", ".join(f"{name} {value}" for name, value in one.notice.facts.items() if not isinstance(value, list))
    ways = ", ".join(f"{name} {'sent' if at else f'waits ({tries} tries)'}" for name, tries, at in one.ways)
    return f"{one.notice.made_at:%Y-%m-%d %H:%M:%S}  {one.notice.kind}  {one.notice.id}\n    {facts}\n    {ways}"
