"""The command tree."""

import subprocess
import sys

import pytest

from gateway.cli.main import COMMANDS, root

SLOW = ("sqlalchemy", "flask", "fhir", "joserfc", "requests", "redis", "pycurl", "gunicorn")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_of_a_command_what_the_command_says_of_itself(name: str) -> None:
    """The words stand in the table too, so that telling them loads nothing."""
    command = root.get_command(root.make_context("gateway", [name], resilient_parsing=True), name)

    assert command is not None
    assert command.get_short_help_str(200) == COMMANDS[name]


@pytest.mark.parametrize(
    ("arguments", "unloaded"),
    [
        (["--help"], SLOW),
        (["clients", "--help"], ("flask", "fhir", "requests", "redis", "pycurl", "gunicorn")),
        (["facilities", "--help"], ("flask", "fhir", "requests", "redis", "pycurl", "gunicorn")),
        (["explain", "--help"], ("flask", "fhir", "requests", "redis", "pycurl", "gunicorn")),
    ],
)
def test_a_command_loads_what_it_needs(arguments: list[str], unloaded: tuple[str, ...]) -> None:
    """Loading the rest would take longer than the work of a short command."""
    script = f"""
import sys
from gateway.cli.main import root
root({arguments!r}, standalone_mode=False)
print(*sorted(set({unloaded!r}) & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)

    assert done.stderr.split() == []
