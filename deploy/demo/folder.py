"""The demo's folder: made by a demo, and in the hands of one demo at a time.

A folder with anything else in it is left alone: the demo writes facilities, patients, keys and a client into what it
is given, and an operator's own data must not become part of that.
"""

import contextlib
import fcntl
import shlex
from collections.abc import Iterator
from pathlib import Path

from deploy.demo.processes import DemoFailed

MARKER = ".made-by-the-demo"


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """The folder exists, is the demo's, and no other demo may have it until this block ends. Raises DemoFailed."""
    marker = folder / MARKER
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not marker.exists() and any(folder.iterdir()):
            raise DemoFailed(
                f"{folder} holds something else; if it is an earlier demo, remove it: rm -r {shlex.quote(str(folder))}"
                " - or choose another: make demo DATA_DIR=..."
            )
        lock = marker.open("a")
    except OSError as exc:
        raise DemoFailed(f"{folder} can't be used: {exc.strerror}; choose another: make demo DATA_DIR=...") from exc
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise DemoFailed(f"another demo runs in {folder}; choose another: make demo DATA_DIR=...") from exc
        yield
