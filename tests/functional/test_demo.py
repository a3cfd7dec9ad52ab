"""`make demo` as a visitor runs it: the answer is right and shown, a facility may go away, nothing is left behind."""

import copy
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from deploy.demo import ehr, samples
from tests.services.process import free_port

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
ANSI = "\033["


def _env(port: int, folder: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    return kept | {"PORT": str(port), "DATA_DIR": str(folder), "ONCE": "", **more}


def _once(port: int, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy.demo.run"],
        cwd=ROOT,
        env=_env(port, folder, ONCE="1"),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def _processes_of(folder: Path) -> list[int]:
    """The processes that were started with this folder in their environment or arguments."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                told = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
                zombie = (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            except OSError:
                continue
            if str(folder).encode() in told and not zombie:
                found.append(int(entry.name))
    return found


def _until(true: Callable[[], bool], seconds: float = 20) -> bool:
    give_up = time.monotonic() + seconds
    while not true():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.1)
    return True


@dataclass
class Serving:
    """A demo that serves, and what it has printed so far."""

    process: subprocess.Popen[str]
    port: int
    folder: Path
    output: Path

    @property
    def text(self) -> str:
        """What it printed."""
        return self.output.read_text()

    def token(self) -> str:
        """A fresh token, by the script that the printed line uses."""
        return subprocess.run(
            [str(self.folder / "token")], capture_output=True, text=True, check=True, timeout=60
        ).stdout.strip()

    def ask(self) -> dict[str, Any]:
        """The answer to the printed query."""
        url = re.search(r"GET (http\S+)", self.text)
        assert url is not None
        reply = requests.get(url[1], headers={"Authorization": f"Bearer {self.token()}"}, timeout=20)
        assert reply.status_code == 200
        bundle: dict[str, Any] = reply.json()
        return bundle


def _serve(folder: Path) -> Serving:
    output = folder.with_suffix(".out")
    port = free_port()
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy.demo.run"], cwd=ROOT, env=_env(port, folder), stdout=file, stderr=file
        )
    demo = Serving(process, port, folder, output)
    assert _until(lambda: "Your turn" in demo.text or process.poll() is not None, 100), demo.text
    assert process.poll() is None, demo.text
    return demo


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A demo that serves."""
    demo = _serve(tmp_path_factory.mktemp("demo") / "data")
    yield demo
    if demo.process.poll() is None:
        demo.process.terminate()
        demo.process.wait(20)


def test_one_query_is_asked_checked_and_shown_and_another_demo_may_run_beside_it(
    serving: Serving, tmp_path: Path
) -> None:
    """ONCE=1 exits 0; a second run on the same folder does too; nothing is left running; no colours in a file."""
    for _ in range(2):
        done = _once(free_port(), tmp_path / "data")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "4 studies" in done.stdout
        assert "North Hospital + South Imaging Centre" in done.stdout
        assert "not asked, not named in the answer" in done.stdout
        assert ANSI not in done.stdout
        assert _until(lambda: not _processes_of(tmp_path / "data"), 5)
    assert serving.process.poll() is None


def test_a_port_that_is_taken_is_said_and_another_is_offered(serving: Serving, tmp_path: Path) -> None:
    """Exit 1 with what to do, and nothing is started."""
    done = _once(serving.port, tmp_path / "data")

    assert done.returncode == 1
    assert f"make demo PORT={serving.port + 1}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_is_one_demos_at_a_time(serving: Serving) -> None:
    """A second demo would put another gateway's address into the first one's `token`, and other ports into its data."""
    token = (serving.folder / "token").read_text()
    done = _once(free_port(), serving.folder)

    assert done.returncode == 1
    assert "another demo runs in" in done.stderr
    assert "DATA_DIR=" in done.stderr
    assert (serving.folder / "token").read_text() == token


def test_a_folder_that_no_demo_made_is_left_alone(tmp_path: Path) -> None:
    """Somebody's own gateway may live there; an earlier version's demo is removed by whoever knows that it is one."""
    (tmp_path / "facilities.toml").write_text("mine")
    done = _once(free_port(), tmp_path)

    assert done.returncode == 1
    assert "holds something else" in done.stderr
    assert f"rm -r {tmp_path} - or choose another" in done.stderr
    assert {entry.name: entry.read_text() for entry in tmp_path.iterdir()} == {"facilities.toml": "mine"}


@pytest.mark.parametrize("port", ["99999", "abc", "0", "-1"])
def test_a_port_that_is_none_is_refused_in_words(port: str, tmp_path: Path) -> None:
    """No traceback, nothing begun."""
    done = subprocess.run(
        [sys.executable, "-m", "deploy.demo.run"],
        cwd=ROOT,
        env=_env(1, tmp_path / "data", ONCE="1", PORT=port),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert "PORT must be a number from 1 to 65535" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


def test_what_the_demo_writes_is_its_owners_alone(serving: Serving) -> None:
    """The database, the patients, the keys, the log."""
    open_to_others = [path for path in serving.folder.rglob("*") if path.is_file() and path.stat().st_mode & 0o077]

    assert open_to_others == []


def test_the_check_of_the_answer_notices_whatever_is_wrong(serving: Serving) -> None:
    """A missing study, source, series or address, a facility that is named as missing, a leak: each is a problem."""
    bundle = serving.ask()
    assert ehr.problems_in(ehr.Answer(bundle=bundle, seconds=0)) == []

    def spoilt(spoil: Callable[[dict[str, Any]], object]) -> list[str]:
        copied = copy.deepcopy(bundle)
        spoil(copied)
        return ehr.problems_in(ehr.Answer(bundle=copied, seconds=0))

    withheld = samples.studies_of_the_patient(samples.WITHHELD)[0].uid
    outcome = {"resource": {"resourceType": "OperationOutcome"}, "search": {"mode": "outcome"}}
    assert spoilt(lambda b: b["entry"].pop(0))
    assert spoilt(lambda b: b.update(total=5))
    assert spoilt(lambda b: b["entry"][0]["resource"]["endpoint"].pop())
    assert spoilt(lambda b: b["entry"][0]["resource"]["series"].pop())
    assert spoilt(lambda b: b["entry"].pop())
    assert spoilt(lambda b: b["entry"].append(outcome))
    assert spoilt(lambda b: b["entry"][0]["resource"].update(description=withheld))
    assert spoilt(lambda b: b["entry"][0]["resource"].update(note=[{"text": "Endpoint/east"}]))


def test_a_facility_that_is_taken_away_is_named_and_the_rest_still_comes(serving: Serving) -> None:
    """The printed `kill` line, then the printed query again."""
    told = re.search(r"kill (\d+)", serving.text)
    assert told is not None
    os.kill(int(told[1]), signal.SIGTERM)
    assert _until(lambda: not Path(f"/proc/{told[1]}/exe").exists(), 5)

    bundle = serving.ask()
    outcomes = [entry["resource"] for entry in bundle["entry"] if entry["search"]["mode"] == "outcome"]
    assert [issue["code"] for outcome in outcomes for issue in outcome["issue"]] == ["transient"]
    assert "North Hospital" in outcomes[0]["issue"][0]["diagnostics"]
    assert bundle["total"] == 3
    assert "East" not in str(bundle)


def test_it_ends_in_order_and_leaves_nothing_running(serving: Serving) -> None:
    """SIGTERM, as Ctrl-C: exit 0, and every process it started has ended."""
    assert len(_processes_of(serving.folder)) >= 4
    serving.process.terminate()

    assert serving.process.wait(20) == 0
    assert _until(lambda: not _processes_of(serving.folder), 5)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children that their parent was killed")
def test_it_leaves_nothing_running_even_when_it_is_killed(tmp_path: Path) -> None:
    """No chance to say goodbye: the children end all the same."""
    demo = _serve(tmp_path / "data")
    demo.process.kill()
    demo.process.wait(10)

    assert _until(lambda: not _processes_of(demo.folder), 40), _processes_of(demo.folder)
