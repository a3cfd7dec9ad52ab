"""Exits 1 where a requirements*.txt is not what its .in compiles to: `check_locks.py "COMPILE COMMAND"`."""

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

stale = []
for source in sorted(Path().glob("requirements*.in")):
    lock = source.with_suffix(".txt")
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / lock.name
        fresh.write_bytes(lock.read_bytes())
        command = [str(Path(sys.executable).parent / "uv"), *shlex.split(sys.argv[1])[1:]]
        subprocess.run(  # noqa: S603  # our own command line, from the Makefile
            [*command, str(source), "-o", str(fresh)], check=True, env={**os.environ, "NO_COLOR": "1"}
        )
        if fresh.read_text() != lock.read_text():
            stale.append(lock.name)
if stale:
    sys.exit("stale, run `make lock`: " + ", ".join(stale))
