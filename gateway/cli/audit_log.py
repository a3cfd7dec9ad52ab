"""`audit key`, `checkpoint`, `checkpoints`, `prove`, `verify`, `prune`: the log over the audit, and what proves it."""

import subprocess
import sys
import tempfile
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import click
import orjson

import gateway
from gateway.audit.checkpoint import inclusion_note, origin_of, public_key_line
from gateway.audit.checkpoints import Checkpoint, Checkpoints
from gateway.audit.log_export import find_logged, log_lines
from gateway.audit.retention import PRUNING, first_kept, prune
from gateway.audit.sequence import Sequencer
from gateway.audit.tree import AuditLogBroken
from gateway.cli.context import Operator
from gateway.cli.moment import Moment
from gateway.db.crypto import add_checkpoint_key
from gateway.errors import AuditUnavailable, LoadRefused

VERIFIER = Path(gateway.__file__).parents[1] / "deploy" / "verify_audit.py"


def checkpoints_of(operator: Operator) -> Checkpoints:
    """The log's checkpoints, in the exchange's name."""
    return Checkpoints(operator.engine, operator.keys, origin_of(operator.settings.base_url))


def put_in_order(operator: Operator) -> None:
    """Everything that is stored by now has its place in the log."""
    Sequencer(operator.engine, operator.keys).catch_up()


@click.command()
@click.option("--create", is_flag=True, help="Add a key to a key file that has none: one of an earlier version.")
def key(create: bool) -> None:
    """Print the public keys that checkpoints are checked with, the current one first.

    Give them to whoever will check the audit, now and not later: a key is worth what it was before the question came.
    """
    with Operator() as operator:
        if create and not operator.keys.checkpoints:
            operator.note("audit key added")
            add_checkpoint_key(operator.settings.keys_file)
            del operator.keys
        lines = _public_keys(operator)
        if not lines:
            raise LoadRefused(["the key file has no key for checkpoints; `audit key --create` adds one"])
        sys.stdout.write(lines)


@click.command()
def checkpoint() -> None:
    """Make a checkpoint of the log as it is now, and print it. Running gateways take it outside, as they do theirs."""
    with Operator() as operator:
        sys.stdout.write(_newest(operator).note)


@click.command()
def checkpoints() -> None:
    """Print all checkpoints that were made, the oldest first."""
    with Operator() as operator:
        for made in checkpoints_of(operator).after(0):
            sys.stdout.write(made.note)


@click.command()
@click.argument("record_id")
def prove(record_id: str) -> None:
    """Print what shows, without the log, that the record with this id is in it (C2SP tlog-proof).

    The record's entry is the proof's extra data; the record itself is in `audit export --format log`.
    """
    with Operator() as operator:
        newest = _newest(operator)
        found = find_logged(operator.engine, operator.keys, record_id)
        if found is None:
            raise LoadRefused(["no record of the log has that id"])
        proof = checkpoints_of(operator).inclusion(found.log_index, newest.size)
        sys.stdout.write(inclusion_note(found.entry, found.log_index, proof, newest.note))


@click.command()
@click.option(
    "--checkpoints",
    "outside",
    type=click.Path(exists=True, path_type=Path),
    help="Check against these, from outside (a file or folder), and not against those in the database.",
)
@click.option(
    "--key",
    "public_key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Check with the public keys in this file, and not with those of the key file.",
)
@click.pass_context
def verify(context: click.Context, outside: Path | None, public_key: Path | None) -> None:
    """Check the whole log: every record, every checkpoint, every signature. Exits with 1 where anything is amiss.

    It is `deploy/verify_audit.py` that checks; who doesn't trust this machine runs that elsewhere, on an export.
    """
    with Operator() as operator, tempfile.TemporaryDirectory(prefix="audit-verify-") as name:
        folder = Path(name)
        operator.note("audit verify")
        if outside is None:
            # A log that was changed gets no further checkpoint; the verifier says what is amiss with it.
            with suppress(AuditLogBroken):
                _newest(operator)
            outside = folder / "checkpoints"
            outside.write_text("".join(made.note for made in checkpoints_of(operator).after(0)))
        else:
            put_in_order(operator)
        if public_key is None:
            public_key = folder / "key"
            public_key.write_text(_public_keys(operator))
        context.exit(_verified(operator, outside, public_key))


@click.command("prune")
@click.option("--before", type=Moment(end=False), required=True, help="Records of before this date (UTC) or time go.")
@click.option("--shorter-than-policy", is_flag=True, help="Though GATEWAY_AUDIT_RETENTION_YEARS says to keep them.")
@click.option("--json", "as_json", is_flag=True, help="The counts as JSON.")
def prune_command(before: datetime, shorter_than_policy: bool, as_json: bool) -> None:
    """Take away records that are past their retention. Their hashes stay, and the log can be proved as before.

    The log's beginning goes, up to the first record that is not older; that is itself on record, and signed, first.
    """
    with Operator() as operator:
        years, now = operator.settings.audit_retention_years, operator.now
        if before > _years_before(now, years) and not shorter_than_policy:
            raise LoadRefused([f"records are kept for {years} years (GATEWAY_AUDIT_RETENTION_YEARS)"])
        put_in_order(operator)
        up_to = first_kept(operator.engine, before)
        details = [("before", before.isoformat()), ("up-to", str(up_to)), ("retention-years", str(years))]
        operator.note(PRUNING, details=details)
        _newest(operator)
        pruned = prune(operator.engine, up_to, now)
        if as_json:
            sys.stdout.write(orjson.dumps({"pruned": pruned, "first_kept": up_to}).decode() + "\n")
        else:
            click.echo(f"{pruned} records are gone; the log is kept from index {up_to} on, and all its hashes are")


def _newest(operator: Operator) -> Checkpoint:
    put_in_order(operator)
    all_checkpoints = checkpoints_of(operator)
    made = all_checkpoints.make(operator.now) or all_checkpoints.last()
    if made is None:
        raise AuditUnavailable("the log is empty")
    return made


def _public_keys(operator: Operator) -> str:
    origin = checkpoints_of(operator).origin()
    return "".join(f"{public_key_line(origin, key.public_key())}\n" for key in operator.keys.checkpoints)


def _verified(operator: Operator, outside: Path, public_key: Path) -> int:
    argv = [sys.executable, str(VERIFIER), "-", str(outside), str(public_key)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as verifier:  # noqa: S603  # the project's own program
        assert verifier.stdin is not None  # noqa: S101  # PIPE was asked for
        with suppress(BrokenPipeError):  # it has seen enough
            for line in log_lines(operator.engine, operator.keys, lambda _: False):
                verifier.stdin.write(line)
            verifier.stdin.close()
    return verifier.returncode


def _years_before(now: datetime, years: int) -> datetime:
    try:
        return now.replace(year=now.year - years)
    except ValueError:  # the 29th of February
        return now.replace(year=now.year - years, day=28)
