"""Running processes follow the key file: a new key verifies at once, signs when its time comes, and goes at last."""

import json
import shutil
import time
from pathlib import Path

import pytest

from gateway.auth.signing_keys import WatchedKeys
from gateway.db.crypto import create_key_file, read_key_file
from gateway.db.key_rotation import add_signing_key, retire_signing_key, signing_keys
from gateway.errors import LoadRefused
from tests.factories_auth import FakeClock


@pytest.fixture
def path(tmp_path: Path, keys_file: Path) -> Path:
    """A key file of the test's own."""
    return Path(shutil.copyfile(keys_file, tmp_path / "keys.json"))


class Watching:
    """Keys that are watched, with clocks that a test moves."""

    def __init__(self, path: Path) -> None:
        self.monotonic = FakeClock()
        self.offset = 0.0
        self.keys = WatchedKeys(path, read_key_file(path), self.monotonic, lambda: time.time() + self.offset)
        self.first = self.keys.signing.kid

    def later(self, seconds: float = 2.0) -> None:
        """So much time passes."""
        self.monotonic.now += seconds


def _kids(keys: WatchedKeys) -> list[str | None]:
    return [key.kid for key in keys.verifying.keys]


def test_a_new_key_verifies_at_once_and_signs_when_its_time_comes(path: Path) -> None:
    """Others have seen it then; the old one verifies on."""
    watching = Watching(path)
    kid = add_signing_key(path, time.time() + 1.5)
    watching.later()
    assert watching.keys.signing.kid == watching.first
    assert _kids(watching.keys) == [watching.first, kid]
    time.sleep(1.6)
    watching.later()
    assert watching.keys.signing.kid == kid
    assert _kids(watching.keys) == [kid, watching.first]


def test_nothing_is_looked_at_within_a_second(path: Path) -> None:
    """However many tokens are checked, the file is looked at once a second."""
    watching = Watching(path)
    add_signing_key(path, 0)
    watching.later(0.5)
    assert watching.keys.signing.kid == watching.first
    watching.later(0.6)
    assert watching.keys.signing.kid != watching.first


def test_a_file_that_cant_be_used_is_left_aside(path: Path, tmp_path: Path) -> None:
    """Half a file, no file, or the keys of another exchange: the gateway goes on with what it has."""
    watching = Watching(path)
    create_key_file(tmp_path / "other.json")
    kept = path.read_text()
    for text in ("{", '{"keys": []}', (tmp_path / "other.json").read_text()):
        path.write_text(text)
        watching.later()
        assert watching.keys.signing.kid == watching.first
    path.unlink()
    watching.later()
    assert watching.keys.signing.kid == watching.first
    path.write_text(kept)
    kid = add_signing_key(path, 0)
    watching.later()
    assert watching.keys.signing.kid == kid


def test_a_key_that_signs_is_not_retired_and_one_whose_tokens_live_not_yet(path: Path) -> None:
    """Unless it has to be at once."""
    first, now = read_key_file(path).signing.kid or "", time.time()
    with pytest.raises(LoadRefused, match="signs"):
        retire_signing_key(path, first, now, at_once=True)
    with pytest.raises(LoadRefused, match="no signing key"):
        retire_signing_key(path, "unknown", now, at_once=True)
    kid = add_signing_key(path, now)
    with pytest.raises(LoadRefused, match="valid for"):
        retire_signing_key(path, first, now + 1, at_once=False)
    assert [one.state for one in signing_keys(path, now + 1)] == ["signs", "verifies"]
    retire_signing_key(path, first, now + 301, at_once=False)
    assert [one.kid for one in signing_keys(path, now + 301)] == [kid]


def test_a_key_that_has_not_signed_yet_can_be_taken_back(path: Path) -> None:
    """Nothing was signed with it."""
    now = time.time()
    kid = add_signing_key(path, now + 330)
    assert [one.state for one in signing_keys(path, now)] == ["waits", "signs"]
    retire_signing_key(path, kid, now, at_once=False)
    assert [one.state for one in signing_keys(path, now)] == ["signs"]


def test_the_other_keys_and_the_file_s_mode_stay(path: Path) -> None:
    """Sealing, indexing and checkpoints are as they were; nobody else can read the file."""
    path.chmod(0o600)
    before = [key for key in json.loads(path.read_text())["keys"] if key["kty"] != "RSA"]
    add_signing_key(path, 0)
    after = [key for key in json.loads(path.read_text())["keys"] if key["kty"] != "RSA"]
    assert after == before
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_is_published_tells_nothing_of_turns(path: Path) -> None:
    """`signs_from` is the file's own word."""
    add_signing_key(path, time.time() + 330)
    assert all(
        set(key.as_dict(private=False)) <= {"kty", "n", "e", "kid", "use", "alg"}
        for key in Watching(path).keys.verifying.keys
    )
