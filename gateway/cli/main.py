"""The command tree, and what every command shares: settings, `--json`, exit codes."""

import importlib
import os
import sys

import click

from gateway.errors import ConfigurationError, GatewayError, LoadRefused

COMMANDS = {
    "adt": "HL7 v2 messages about patients (ADT), over MLLP.",
    "audit": "What was asked, decided and disclosed.",
    "break-glass": "Break-glass: who overrode a patient's protection, and why.",
    "clients": "Clients: the systems that may ask the exchange, and the apps that people use.",
    "consents": "Consents: whose imaging may be shown to whom, and why.",
    "db": "The database's schema.",
    "explain": "Who would be asked for a patient's imaging, and why; fetches nothing.",
    "facilities": "The facilities of the exchange: whom the gateway asks, and how.",
    "groups": "Groups: organisations and users that a Consent may name as a whole.",
    "keys": "The keys that tokens are signed with.",
    "patients": "The patient index: who is who in which facility.",
    "serve": "Run the production server with the settings' worker and thread counts.",
    "users": "People who sign in: their accounts, roles, and whom they are or act for.",
}
"""Each is a module of `gateway/cli/` whose `command` is the click command of that name; the words stand in `--help`,
which loads none of them.
"""


class Commands(click.Group):
    """Loads a command's module only when it is asked for, so that the others cost nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All command names."""
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The names with what each is for."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, if there is one."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"gateway.cli.{cmd_name.replace('-', '_')}").command
        return command


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=None, version="0.1.0", prog_name="gateway")
def root() -> None:
    """Operate the imaging exchange gateway. Settings come from GATEWAY_* environment variables."""


def main() -> None:
    """Run one command. Exits 0, 1 (refused or failed), 2 (usage) or 78 (settings); reasons go to standard error."""
    try:
        ended = root(standalone_mode=False)
        if isinstance(ended, int):  # what `ctx.exit(n)` was given
            sys.exit(ended)
        sys.stdout.flush()  # what can't be written is said below, not at the interpreter's end
    except ConfigurationError as exc:
        _say("settings", exc.problems)
        sys.exit(78)
    except LoadRefused as exc:
        _say("refused", exc.problems)
        sys.exit(1)
    except GatewayError as exc:
        _say("failed", [exc.reason or exc.code])
        sys.exit(1)
    except click.exceptions.Exit as exc:
        sys.exit(exc.exit_code)
    except click.ClickException as exc:
        exc.show()
        sys.exit(exc.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(1)
    except BrokenPipeError:
        _write_no_more()
        sys.exit(0)
    except OSError as exc:  # a disk that is full, a file that can't be opened
        what = exc.strerror or str(exc)
        _say("failed", [what if exc.filename is None else f"{exc.filename}: {what}"])
        _write_no_more()
        sys.exit(1)


def _write_no_more() -> None:
    """What is still to be written to standard output, which failed, goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(heading: str, problems: tuple[str, ...] | list[str]) -> None:
    for problem in problems:
        click.echo(f"{heading}: {problem}", err=True)
