"""Another facility keeps the checkpoints that a gateway posts: only signed ones, none overwritten, forks said (T88)."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit.checkpoint import public_key_line, signed_checkpoint
from gateway.audit.checkpoints import Checkpoint
from gateway.audit.destinations import NotDelivered, Posted
from tests.factories_audit import NOON
from tests.services.process import Server, accepts_connections, free_port, scratch_folder

PROGRAM = Path(__file__).parents[2] / "deploy" / "keep_checkpoints.py"
ORIGIN = "exchange.example"
KEY = Ed25519PrivateKey.generate()


class Facility:
    """The program, and the folder in which it keeps them."""

    def __init__(self) -> None:
        folder = scratch_folder("keeper")
        self.kept = folder / "kept"
        self.kept.mkdir()
        (folder / "key").write_text(public_key_line(ORIGIN, KEY.public_key()) + "\n")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/checkpoints"
        argv = [sys.executable, "-I", str(PROGRAM), str(self.kept), str(folder / "key"), f"127.0.0.1:{port}"]
        self.server = Server("keeper", argv, folder=folder)
        self.server.wait_until(lambda: accepts_connections(port))

    def files(self) -> list[str]:
        """What it has."""
        return sorted(file.name for file in self.kept.iterdir())


@pytest.fixture(scope="module")
def facility() -> Iterator[Facility]:
    """Another facility."""
    made = Facility()
    yield made
    made.server.stop()


def _checkpoint(size: int, root: bytes = bytes(32), key: Ed25519PrivateKey = KEY) -> Checkpoint:
    note = signed_checkpoint(ORIGIN, size, root, key)
    return Checkpoint(size=size, root=root, made_at=NOON, note=note)


def test_a_checkpoint_that_is_signed_is_kept_once(facility: Facility) -> None:
    """As it came; the gateway takes it for delivered, also the second time."""
    made = _checkpoint(10)
    Posted(facility.url).deliver(made, 0)
    Posted(facility.url).deliver(made, 0)

    assert [name for name in facility.files() if name.startswith("000000000010")] == [
        "000000000010-0000000000000000.txt"
    ]
    assert (facility.kept / "000000000010-0000000000000000.txt").read_text() == made.note


def test_what_is_not_signed_by_a_known_key_is_not_kept(facility: Facility) -> None:
    """Nor what is no checkpoint, too long, or of no length."""
    before = facility.files()
    with pytest.raises(NotDelivered, match="403"):
        Posted(facility.url).deliver(_checkpoint(11, key=Ed25519PrivateKey.generate()), 0)
    for body, status in (
        (b"", 400),
        (b"\xff\xfe", 400),
        (_checkpoint(12).note.encode() + b"x", 400),
        (_checkpoint(12).note.replace("\n12\n", "\n13\n").encode(), 403),
        (_checkpoint(12).note.replace(ORIGIN, "../../etc", 1).encode(), 403),
        (b"x" * 20_000, 413),
    ):
        assert requests.post(facility.url, data=body, timeout=10).status_code == status, body[:20]
    assert requests.get(facility.url, timeout=10).status_code == 501
    assert facility.files() == before


def test_t088_two_roots_of_one_size_are_both_kept_and_said(facility: Facility) -> None:
    """That is the proof that somebody was shown another log."""
    Posted(facility.url).deliver(_checkpoint(20), 0)
    with pytest.raises(NotDelivered, match="409"):
        Posted(facility.url).deliver(_checkpoint(20, root=b"\x01" * 32), 0)

    assert len([name for name in facility.files() if name.startswith("000000000020")]) == 2
    assert f"TWO LOGS: {ORIGIN} has signed two roots for 20 records" in facility.server.log_text()


def test_without_its_arguments_it_says_what_it_needs() -> None:
    """Exit 2."""
    done = subprocess.run([sys.executable, "-I", str(PROGRAM)], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert re.search(r"keep_checkpoints.py FOLDER PUBKEY", done.stderr)
