"""Sealing, keyed hashes and the key file: what is sealed stays sealed, what is asked of the wrong place is refused."""

import json
import stat
from pathlib import Path

import pytest

from gateway.db.crypto import KeyRing, SealBroken, add_checkpoint_key, create_key_file, read_key_file
from gateway.errors import ConfigurationError


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh key file."""
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    create_key_file(path)
    return path


@pytest.fixture(scope="module")
def ring(key_file: Path) -> KeyRing:
    """Its keys."""
    return read_key_file(key_file)


def _with_first(key_file: Path, other: Path, algorithm: str) -> Path:
    """`key_file` with the `algorithm` key of another file put before its own."""
    keys = json.loads(key_file.read_text())["keys"]
    new = [key for key in json.loads(other.read_text())["keys"] if key.get("alg") == algorithm]
    path = other.with_name("rotated.json")
    path.write_text(json.dumps({"keys": [*new, *keys]}))
    return path


def test_what_was_sealed_is_opened_in_its_place(ring: KeyRing) -> None:
    """And the seal of the same text is another each time."""
    one, other = ring.seal("t", "1", b"Quetzalcoatl"), ring.seal("t", "1", b"Quetzalcoatl")

    assert ring.open("t", "1", one) == ring.open("t", "1", other) == b"Quetzalcoatl"
    assert one != other
    assert b"Quetzalcoatl" not in one


@pytest.mark.parametrize(("table", "row"), [("t", "2"), ("u", "1"), ("t", "1\x1f")])
def test_t156_a_seal_moved_to_another_place_is_refused(ring: KeyRing, table: str, row: str) -> None:
    """Another row or table never opens it."""
    sealed = ring.seal("t", "1", b"x")

    with pytest.raises(SealBroken):
        ring.open(table, row, sealed)


def test_t156_a_seal_altered_by_one_bit_is_refused(ring: KeyRing) -> None:
    """Wherever the bit is: version, key id, nonce, content or tag."""
    sealed = ring.seal("t", "1", b"xyz")

    for place in range(len(sealed)):
        altered = bytearray(sealed)
        altered[place] ^= 1
        with pytest.raises(SealBroken):
            ring.open("t", "1", bytes(altered))
    for cut in range(len(sealed)):
        with pytest.raises(SealBroken):
            ring.open("t", "1", sealed[:cut])


def test_t157_a_new_sealing_key_opens_what_the_old_one_sealed_until_that_is_gone(
    key_file: Path, ring: KeyRing, tmp_path: Path
) -> None:
    """The first key seals; older ones still open. Without its key a seal is an error, never an empty answer."""
    old = ring.seal("t", "1", b"x")
    other = tmp_path / "other.json"
    create_key_file(other)
    rotated = read_key_file(_with_first(key_file, other, "A256GCM"))

    assert rotated.open("t", "1", old) == b"x"
    new = rotated.seal("t", "1", b"x")
    assert rotated.open("t", "1", new) == b"x"
    with pytest.raises(SealBroken):
        ring.open("t", "1", new)


def test_t158_equal_values_in_two_places_have_different_hashes(ring: KeyRing) -> None:
    """The purpose is part of the key; the parts can't run into one another; 128 bits."""
    assert ring.blind("a", "x") == ring.blind("a", "x")
    hashes = [ring.blind("a", "x"), ring.blind("b", "x"), ring.blind("a", "x", ""), ring.blind("a", "", "x")]
    hashes += [ring.blind("a", "xy", "z"), ring.blind("a", "x", "yz"), ring.blind("a", "\ud800")]
    assert len(set(hashes)) == len(hashes)
    assert {len(one) for one in hashes} == {16}


def test_keys_do_not_show(ring: KeyRing) -> None:
    """Neither in `repr` nor in what is public of them."""
    assert repr(ring) == "KeyRing()"
    assert all("d" not in key for key in ring.verifying.as_dict(private=False)["keys"])


def test_a_key_file_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    """Mode 600, and an existing file is left as it is."""
    path = tmp_path / "new" / "keys.json"
    create_key_file(path)
    first = path.read_text()
    create_key_file(path)

    assert path.read_text() == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["keys.json"]


def test_a_key_for_checkpoints_is_added_to_an_older_file_once(key_file: Path, tmp_path: Path) -> None:
    """All that was there stays, in its order, for its owner alone; and a second time changes nothing."""
    older = tmp_path / "older.json"
    keys = json.loads(key_file.read_text())["keys"]
    older.write_text(json.dumps({"keys": keys[:-1]}))
    assert read_key_file(older).checkpoints == ()

    add_checkpoint_key(older)
    first = older.read_text()
    add_checkpoint_key(older)

    assert json.loads(first)["keys"][:-1] == keys[:-1]
    assert older.read_text() == first
    assert len(read_key_file(older).checkpoints) == 1
    assert stat.S_IMODE(older.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".older")] == []


@pytest.mark.parametrize("text", ["", "[]", '{"keys": [7]}'])
def test_no_key_is_added_to_what_is_no_key_file(tmp_path: Path, text: str) -> None:
    """It is left as it is."""
    path = tmp_path / "keys.json"
    path.write_text(text)
    for one in (path, tmp_path / "missing.json"):
        with pytest.raises(ConfigurationError):
            add_checkpoint_key(one)

    assert path.read_text() == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"keys": []}',
        '{"keys": [{"kty": "oct", "alg": "A256GCM", "k": "c2VjcmV0LWtleS1zZWNyZXQta2V5"}]}',
        '{"keys": "secret-key"}',
        '{"keys": [{"kty": "RSA", "n": "secret-key"}]}',
    ],
)
def test_t156_a_key_file_that_does_not_hold_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    """The error names the file and what it needs, never a key."""
    path = tmp_path / "keys.json"
    path.write_text(text)

    with pytest.raises(ConfigurationError) as refused:
        read_key_file(path)

    assert str(path) in refused.value.problems[0]
    assert "c2VjcmV0" not in refused.value.reason
    assert "secret-key" not in refused.value.reason


def test_t156_a_missing_key_file_is_refused(tmp_path: Path) -> None:
    """The gateway doesn't start without its keys."""
    with pytest.raises(ConfigurationError):
        read_key_file(tmp_path / "nowhere.json")
