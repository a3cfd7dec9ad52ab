"""The demo's own processes: started, waited for, and ended with it however it ends."""

import contextlib
import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_GRACE_S = 5.0


class DemoFailed(Exception):
    """The demo can't go on; the text says why, for a person."""


class Processes:
    """What was started, and ends when this block does."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = dict(env)
        self._started: list[subprocess.Popen[str]] = []

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._started):
            if process.poll() is None:
                process.terminate()
        give_up = time.monotonic() + _GRACE_S
        for process in self._started:
            try:
                process.wait(max(0.0, give_up - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()

    def start(
        self, module: str, *arguments: str, log: Path, speaks: bool = False, listens: bool = False
    ) -> subprocess.Popen[str]:
        """`python -m module arguments` runs on its own, its standard error in `log`.

        One that `speaks` has its standard output read by us, one that `listens` its standard input written.
        """
        with log.open("ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                env=self._env,
                stdin=subprocess.PIPE if listens else subprocess.DEVNULL,
                stdout=subprocess.PIPE if speaks else errors,
                stderr=errors,
                text=True,
                start_new_session=True,  # Ctrl-C is ours to hear: the children are ended in order
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            )
        self._started.append(process)
        return process


class Operator:
    """Runs `gateway` commands as the exchange's operator does."""

    def __init__(self, processes: Processes, log: Path) -> None:
        self._process = processes.start("deploy.demo.operate", log=log, speaks=True, listens=True)

    def run(self, *arguments: str) -> str:
        """What `gateway ARGUMENTS` says. Raises DemoFailed where it fails."""
        if self._process.stdin is None or self._process.stdout is None:
            raise DemoFailed("the command line can't be reached")
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(arguments) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"status": "ended", "err": "the command line ended"}
        if answer["status"]:
            raise DemoFailed(f"gateway {' '.join(arguments[:2])} failed:\n{answer['err'].strip()}")
        return str(answer["out"])


def _end_with_parent() -> None:
    # Should the demo be killed without a chance to say goodbye, the kernel ends its children.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def told_port(process: subprocess.Popen[str], what: str, seconds: float = 30) -> int:
    """The port that a process prints as its first line. Raises DemoFailed."""
    assert process.stdout is not None  # noqa: S101  # it was started as one that speaks
    with selectors.DefaultSelector() as waiting:
        waiting.register(process.stdout, selectors.EVENT_READ)
        line = process.stdout.readline().strip() if waiting.select(seconds) else ""
    if not line.isdigit():
        raise DemoFailed(f"{what} did not start")
    return int(line)


def wait_until(true: Callable[[], bool], process: subprocess.Popen[str], log: Path, seconds: float = 30) -> None:
    """`true()` holds. Raises DemoFailed, with the end of the log, where the process ended or the time ran out."""
    give_up = time.monotonic() + seconds
    while not true():
        if process.poll() is not None or time.monotonic() > give_up:
            raise DemoFailed("the gateway did not start; the end of its log:\n" + tail(log))
        time.sleep(0.05)


def tail(log: Path, lines: int = 12) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def clean_environment(gateway_env: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with the demo's own settings of the gateway and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    return kept | dict(gateway_env)
