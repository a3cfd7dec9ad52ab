"""`audit key`, `checkpoint`, `checkpoints`, `prove`, `verify`, `prune`: the log over the audit, and what proves it."""

import subprocess
import sys
import tempfile
from base64 import b64encode
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import click
import orjson

import gateway
from gateway.audit.checkpoint import inclusion_note, origin_in, origin_of, public_key_line
from gateway.audit.checkpoints import Checkpoint, Checkpoints
from gateway.audit.log_export import find_logged, log_lines
from gateway.audit.record import AuditRecord
from gateway.audit.retention import PRUNING, first_kept, prune
from gateway.audit.sequence import Sequencer
from gateway.audit.tree import AuditLogBroken
from gateway.cli.context import Operator, print_json
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


_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")


def put_in_order_if_whole(operator: Operator) -> None:
    """As `put_in_order`; a log whose hashes are not all there takes no further records, and that is said."""
    try:
        put_in_order(operator)
    except AuditLogBroken as exc:
        click.echo(f"warning: {exc.reason}; records that have no place in it yet can't get one", err=True)


@click.command()
@click.option("--create", is_flag=True, help="Add a key to a key file that has none: one of an earlier version.")
@_json
def key(create: bool, as_json: bool) -> None:
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
        if as_json:
            print_json({"keys": lines.splitlines()})
        else:
            sys.stdout.write(lines)


@click.command()
@_json
def checkpoint(as_json: bool) -> None:
    """Make a checkpoint of the log as it is now, and print it. Running gateways take it outside, as they do theirs."""
    with Operator() as operator:
        made = _newest(operator)
        if as_json:
            print_json(_as_json(made))
        else:
            sys.stdout.write(made.note)


@click.command()
@_json
def checkpoints(as_json: bool) -> None:
    """Print all checkpoints that were made, the oldest first."""
    with Operator() as operator:
        every = checkpoints_of(operator).after(0)
        if as_json:
            print_json([_as_json(made) for made in every])
            return
        for made in every:
            sys.stdout.write(made.note)


@click.command()
@click.argument("record_id")
@_json
def prove(record_id: str, as_json: bool) -> None:
    """Print what shows, without the log, that the record with this id is in it (C2SP tlog-proof).

    The record's entry is the proof's extra data; the record itself is in `audit export --format log`.
    """
    with Operator() as operator:
        newest = _newest(operator)
        found = find_logged(operator.engine, operator.keys, record_id)
        if found is None:
            raise LoadRefused(["no record of the log has that id"])
        proof = checkpoints_of(operator).inclusion(found.log_index, newest.size)
        note = inclusion_note(found.entry, found.log_index, proof, newest.note)
        if as_json:
            entry, path = found.entry.decode(), [b64encode(one).decode() for one in proof]
            print_json({"id": record_id, "index": found.log_index, "entry": entry, "path": path, "proof": note})
        else:
            sys.stdout.write(note)


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
@_json
@click.pass_context
def verify(context: click.Context, outside: Path | None, public_key: Path | None, as_json: bool) -> None:
    """Check the whole log: every record, every checkpoint, every signature. Exits with 1 where anything is amiss.

    It is `deploy/verify_audit.py` that checks; who doesn't trust this machine runs that elsewhere, on an export. What
    only this machine can see is checked here: that each record is found under the patient it is about.
    """
    with Operator() as operator:
        operator.note("audit verify")
        try:
            said = _verified(operator, outside, public_key)
            if as_json:
                print_json({"ok": True, "said": said.splitlines()})
            else:
                sys.stdout.write(said)
        except _Bad as exc:
            if as_json:
                print_json({"ok": False, "said": str(exc).splitlines()})
            else:
                sys.stderr.write(str(exc))
            context.exit(1)


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


class _Bad(Exception):
    """The log is not as it must be; as the verifier says it."""


def _verified(operator: Operator, outside: Path | None, public_key: Path | None) -> str:
    """What the verifier says of a log in which nothing is amiss. Raises _Bad."""
    with tempfile.TemporaryDirectory(prefix="audit-verify-") as name:
        # A log that was changed gets no further checkpoint; the verifier says what is amiss with it.
        with suppress(AuditLogBroken):
            _newest(operator) if outside is None else put_in_order(operator)
        stored, kept = Path(name) / "checkpoints", Path(name) / "key"
        try:
            if outside is None:
                stored.write_text("".join(made.note for made in checkpoints_of(operator).after(0)))
            if public_key is None:
                kept.write_text(_public_keys(operator))
        except AuditLogBroken as exc:
            raise _Bad(f"BAD: {exc.reason}\n") from exc
        said = _run_verifier(operator, outside or stored, public_key or kept)
        # Where it is on this machine, for now, helps nobody.
        for path, words in ((stored, "the database's checkpoints"), (kept, "the key file")):
            said = said.replace(str(path), words)
    if not said.startswith("OK: "):
        raise _Bad(said)
    return said


def _run_verifier(operator: Operator, outside: Path, public_key: Path) -> str:
    misfiled: list[int] = []

    def compare(index: int, record: AuditRecord, patient_key: object) -> None:
        if not misfiled and patient_key != operator.audit.patient_key(record.patient):
            misfiled.append(index)

    argv = [sys.executable, str(VERIFIER), "-", str(outside), str(public_key)]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT) as verifier:  # noqa: S603  # ours
        assert verifier.stdin is not None  # noqa: S101  # PIPE was asked for
        assert verifier.stdout is not None  # noqa: S101
        with suppress(BrokenPipeError):  # it has seen enough
            for line in log_lines(operator.engine, operator.keys, lambda _: False, compare):
                verifier.stdin.write(line)
        with suppress(BrokenPipeError):
            verifier.stdin.close()
        said = verifier.stdout.read().decode()
    if misfiled and said.startswith("OK: "):
        return f"BAD: index {misfiled[0]}: the record is filed under another patient than the one it is about\n"
    return said


def _as_json(made: Checkpoint) -> dict[str, object]:
    return {
        "origin": origin_in(made.note),
        "size": made.size,
        "root": b64encode(made.root).decode(),
        "made_at": made.made_at.isoformat(),
        "note": made.note,
    }


def _years_before(now: datetime, years: int) -> datetime:
    try:
        return now.replace(year=now.year - years)
    except ValueError:  # the 29th of February
        return now.replace(year=now.year - years, day=28)
