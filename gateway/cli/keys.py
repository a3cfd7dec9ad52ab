"""`python -m gateway keys`: the keys that tokens are signed with. Those that seal what is stored are another matter."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import click

from gateway.cli.context import Operator, print_json
from gateway.db.key_rotation import SHOWN_FIRST_S, add_signing_key, retire_signing_key, signing_keys
from gateway.errors import GatewayError, LoadRefused

_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")


@click.group(name="keys")
def command() -> None:
    """The keys that tokens are signed with."""


@command.command()
@click.option("--retire", metavar="KID", help="Take this older key out of use, and make no new one.")
@click.option("--now", "at_once", is_flag=True, help="At once: for a key that somebody else has got hold of.")
@_AS_JSON
def rotate(retire: str | None, at_once: bool, as_json: bool) -> None:
    """Let a new key sign tokens, in every running process, without a restart.

    It is published at once and signs some minutes later, so that whoever verifies by published keys has seen it; with
    --now it signs at once. Tokens of the older key are taken until it is retired: `rotate --retire KID`, five minutes
    after the new one signs. With --now they end at once.
    """
    with Operator() as operator:
        path, now = operator.settings.keys_file, operator.now.timestamp()
        _ = operator.keys  # they are this database's, or nothing is changed
        if retire is not None:
            noted = [("kid", retire), ("at_once", "yes" if at_once else "no")]
            with _noted(operator, "keys retire", noted):
                retire_signing_key(path, retire, now, at_once=at_once)
            answer = {"retired": retire}
            said = f"key {retire} is retired: within seconds no token of it is taken"
        else:
            turn = now if at_once else now + SHOWN_FIRST_S
            with _noted(operator, "keys rotate", [("signs_from", _shown(turn))]):
                kid = add_signing_key(path, turn)
            answer = {"kid": kid, "signs_from": _shown(turn)}
            said = f"key {kid} is published, and signs from {_shown(turn)} on"
    print_json(answer) if as_json else click.echo(said)


@command.command(name="list")
@_AS_JSON
def list_(as_json: bool) -> None:
    """The signing keys: which one signs, which wait, and which still verify."""
    with Operator() as operator:
        found = signing_keys(operator.settings.keys_file, operator.now.timestamp())
    if as_json:
        print_json([{"kid": one.kid, "state": one.state, "signs_from": _since(one.signs_from)} for one in found])
        return
    for one in found:
        click.echo(f"{one.kid}  {one.state}" + (f"  since {_since(one.signs_from)}" if one.signs_from else ""))


@contextmanager
def _noted(operator: Operator, act: str, details: Sequence[tuple[str, str]]) -> Iterator[None]:
    """What is done is in the audit before it is done; where it can't be done, that is there too."""
    operator.note(act, details=details)
    try:
        yield
    except GatewayError as exc:
        operator.note(act, outcome="refused" if isinstance(exc, LoadRefused) else "failed", details=details)
        raise


def _since(moment: float | None) -> str | None:
    return None if moment is None else _shown(moment)


def _shown(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
