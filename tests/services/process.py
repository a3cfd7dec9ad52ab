"""Real servers as child processes: started on loopback, waited for, and stopped by their own process id."""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

INSTALL_SCRIPT = "deploy/dev/install-services.sh"
READY_WITHIN_S = 60.0
STOP_WITHIN_S = 10.0
_FIRST_PORT, _LAST_PORT = 20000, 32000
"""Below the range from which the kernel takes ports for outgoing connections (32768 and up on Linux)."""


class ServiceMissing(RuntimeError):
    """A program that the tests need is not installed. Never a reason to skip."""


class ServiceFailed(RuntimeError):
    """A server ended or did not become ready; the message holds the end of its log."""


def binary(name: str, *folders: str) -> str:
    """The path of an installed program. Raises ServiceMissing, which names the script that installs it."""
    found = shutil.which(name, path=os.pathsep.join([*folders, os.environ.get("PATH", os.defpath), "/usr/sbin"]))
    if found is None:
        msg = f"{name} is not installed; run {INSTALL_SCRIPT} as root"
        raise ServiceMissing(msg)
    return found


_ports = iter(range(_FIRST_PORT + os.getpid() * 37 % 9000, _LAST_PORT))


def free_port() -> int:
    """A loopback port that nothing listens on. No two calls of one test run give the same one."""
    for port in _ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    msg = "no loopback port is left"
    raise ServiceFailed(msg)


def accepts_connections(port: int) -> bool:
    """Whether something listens on the loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True


_scratch: list[Path] = []


def scratch_folder(name: str) -> Path:
    """A new empty folder that other system users may enter; it is gone when the test run ends."""
    if not _scratch:
        root = Path(tempfile.mkdtemp(prefix="gateway-tests-"))
        root.chmod(0o755)
        _scratch.append(root)
        atexit.register(shutil.rmtree, root, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=_scratch[0]))
    folder.chmod(0o755)
    return folder


class Server:
    """A child process with its log. It ends with this one, even when this one is killed."""

    running: ClassVar[list["Server"]] = []

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        folder: Path,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._stop_signal = stop_signal
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [binary("setpriv"), "--pdeathsig", stop_signal.name.removeprefix("SIG"), *argv],
                cwd=folder,
                env=dict(os.environ if env is None else env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                user=user,
                group=user,
                extra_groups=None if user is None else [],
            )
        Server.running.append(self)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def wait_until(self, ready: Callable[[], bool], within: float = READY_WITHIN_S) -> None:
        """`ready()` holds. Raises ServiceFailed when the process ends first or the time is up."""
        give_up = time.monotonic() + within
        while not ready():
            if not self.alive or time.monotonic() > give_up:
                why = "did not become ready" if self.alive else f"ended with {self._process.returncode}"
                self.stop()
                msg = f"{self.name} {why}; its log ends:\n{self.log_text()[-3000:]}"
                raise ServiceFailed(msg)
            time.sleep(0.02)

    def wait(self, within: float = STOP_WITHIN_S) -> int:
        """The exit status, once it has ended of itself. Raises subprocess.TimeoutExpired."""
        return self._process.wait(within)

    def send(self, what: signal.Signals) -> None:
        """The signal has been sent, if the process still lives."""
        if self.alive:
            self._process.send_signal(what)

    def stop(self) -> int:
        """The process has ended and been reaped; its exit status."""
        self.send(self._stop_signal)
        try:
            status = self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait(STOP_WITHIN_S)
        if self in Server.running:
            Server.running.remove(self)
        return status

    def log_text(self, since: int = 0) -> str:
        """All it has said so far, or after the first `since` bytes."""
        return self.log.read_bytes()[since:].decode(errors="replace")

    def log_size(self) -> int:
        """How many bytes it has said so far."""
        return self.log.stat().st_size


@atexit.register
def stop_all() -> None:
    """No server of this test run is left."""
    for server in reversed(Server.running.copy()):
        server.stop()
