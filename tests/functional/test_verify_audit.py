"""Somebody else can prove the audit, with one file that knows nothing of the gateway (T87, T88, T86).

The verifier is run as a process of its own, in isolated mode, on what was exported from a log with 40 records and
checkpoints of 10, 25 and 40, after somebody who owns the database has changed it.
"""

import ast
import base64
import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, Engine, bindparam, delete, insert, select, text, update

from gateway.audit.canonical import to_canonical
from gateway.audit.checkpoint import public_key_line, signed_checkpoint
from gateway.audit.checkpoints import Checkpoints
from gateway.audit.entry import RECORD_COLUMNS, StoredRecord, leaf_of
from gateway.audit.log import open_audit_log
from gateway.audit.log_export import log_lines
from gateway.audit.retention import first_kept, prune
from gateway.audit.sequence import Sequencer
from gateway.audit.tables import audit_leaf, audit_record, audit_retention
from gateway.db.crypto import KeyRing
from gateway.db.session import open_database
from tests.audit_tampering import take_guards_away
from tests.factories_audit import NOON, a_record

VERIFIER = Path(__file__).parents[2] / "deploy" / "verify_audit.py"
ORIGIN = "exchange.example"
SIZES = (10, 25, 40)
DAY = timedelta(days=1)
UNCHECKED = 3
"""Records that came after the last checkpoint."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite_file: Path, keys: KeyRing) -> Path:
    """A folder with a log, its checkpoints as files, and its public key."""
    folder = tmp_path_factory.mktemp("log")
    shutil.copyfile(migrated_sqlite_file, folder / "gateway.db")
    engine = open_database(f"sqlite:///{folder / 'gateway.db'}")
    checkpoints = Checkpoints(engine, keys, ORIGIN)
    (folder / "checkpoints").mkdir()
    with open_audit_log(engine, keys) as log:
        for number in range(SIZES[-1] + UNCHECKED):
            log.record([a_record(recorded=NOON + timedelta(minutes=number), reason=f"number {number}")])
            Sequencer(engine, keys).run()
            if number + 1 in SIZES:
                made = checkpoints.make(NOON)
                assert made is not None
                (folder / "checkpoints" / f"{made.size:012d}").write_text(made.note)
    engine.dispose()
    (folder / "key").write_text(public_key_line(ORIGIN, keys.checkpoints[0].public_key()) + "\n")
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    copy = tmp_path / "copy"
    shutil.copytree(whole, copy)
    return copy


@pytest.fixture
def engine(folder: Path) -> Iterator[Engine]:
    """The copy's database."""
    opened = open_database(f"sqlite:///{folder / 'gateway.db'}")
    yield opened
    opened.dispose()


def _export(engine: Engine, keys: KeyRing, folder: Path, *, whole: bool = False) -> Path:
    path = folder / "export.ndjson"
    path.write_bytes(b"".join(log_lines(engine, keys, lambda _: whole)))
    return path


def _verify(folder: Path, *, expect: int) -> str:
    done = subprocess.run(
        [sys.executable, "-I", str(VERIFIER), "export.ndjson", "checkpoints", "key"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_a_log_that_is_as_it_was_signed_is_said_to_be(engine: Engine, folder: Path, keys: KeyRing) -> None:
    """How much was proved, with its root, what is not signed yet, and how many records were shown."""
    _export(engine, keys, folder)
    (folder / "checkpoints" / ".draft.1").write_text("a file that is being written")
    said = _verify(folder, expect=0)
    assert "OK: 40 records" in said
    assert "3 records came after the last one" in said
    assert "0 were shown whole" in said

    _export(engine, keys, folder, whole=True)
    assert "43 were shown whole" in _verify(folder, expect=0)


def test_an_export_without_records_names_nobody(engine: Engine, folder: Path, keys: KeyRing) -> None:
    """It can be handed to anybody: ids, times, kinds, and hashes that nobody can try values against."""
    told = _export(engine, keys, folder).read_text()

    record = a_record()
    for word in (record.patient, "Ada Park", "Lakeside", "1.2.840.1", "192.0.2.10", "number 7"):
        assert word is not None
        assert word not in told
    assert set(json.loads(told.splitlines()[0])) == {"index", "leaf", "entry"}


def _edit(connection: Connection, keys: KeyRing, seq: int = 8) -> None:
    _seal_again(connection, keys, seq, reason="somebody else's words")


def _seal_again(connection: Connection, keys: KeyRing, seq: int, **changes: object) -> None:
    # With the gateway's own keys: whoever has stolen those too.
    record_id = connection.execute(select(audit_record.c.id).where(audit_record.c.seq == seq)).scalar_one()
    record = a_record(id=record_id, recorded=NOON + timedelta(minutes=seq - 1), **changes)
    sealed = keys.seal(audit_record.name, record_id, to_canonical(record, salt="00" * 16))
    connection.execute(update(audit_record).where(audit_record.c.seq == seq).values(sealed=sealed))


def _flip_a_bit(connection: Connection, _: KeyRing) -> None:
    sealed = connection.execute(select(audit_record.c.sealed).where(audit_record.c.seq == 8)).scalar_one()
    changed = bytes([*sealed[:-1], sealed[-1] ^ 1])
    connection.execute(update(audit_record).where(audit_record.c.seq == 8).values(sealed=changed))


def _delete_record(connection: Connection, _: KeyRing) -> None:
    connection.execute(delete(audit_record).where(audit_record.c.seq == 8))


def _delete_record_and_leaf(connection: Connection, _: KeyRing) -> None:
    connection.execute(delete(audit_record).where(audit_record.c.seq == 8))
    connection.execute(delete(audit_leaf).where(audit_leaf.c.log_index == 7))


def _delete_and_close_the_gap(connection: Connection, keys: KeyRing) -> None:
    _delete_record_and_leaf(connection, keys)
    for index in range(8, 43):
        connection.execute(update(audit_leaf).where(audit_leaf.c.log_index == index).values(log_index=index - 1))


def _insert(connection: Connection, keys: KeyRing) -> None:
    record = a_record(id="forged")
    sealed = keys.seal(audit_record.name, record.id, to_canonical(record, salt="00" * 16))
    row = {"recorded_at": NOON, "kind": record.kind, "outcome": record.outcome, "sealed": sealed}
    connection.execute(insert(audit_record).values(seq=99, id=record.id, **row))
    for index in range(42, 6, -1):
        connection.execute(update(audit_leaf).where(audit_leaf.c.log_index == index).values(log_index=index + 1))
    connection.execute(insert(audit_leaf).values(log_index=7, seq=99, hash=_leaf(connection, keys, 99)))


def _swap_leaves(connection: Connection, _: KeyRing) -> None:
    # Both as a whole, hashes and all: each by itself is as it was.
    for old, new in ((7, 100), (12, 7), (100, 12)):
        connection.execute(update(audit_leaf).where(audit_leaf.c.log_index == old).values(log_index=new))


def _swap_contents(connection: Connection, _: KeyRing) -> None:
    statement = select(audit_record.c.id, audit_record.c.sealed).where(audit_record.c.seq.in_((8, 13)))
    (one, first), (two, second) = connection.execute(statement.order_by(audit_record.c.seq)).all()
    change = update(audit_record).where(audit_record.c.seq == bindparam("row"))
    connection.execute(change.values(id="for a moment"), {"row": 13})
    connection.execute(change.values(id=two, sealed=second), {"row": 8})
    connection.execute(change.values(id=one, sealed=first), {"row": 13})


def _truncate(connection: Connection, _: KeyRing) -> None:
    connection.execute(delete(audit_record).where(audit_record.c.seq > 33))
    connection.execute(delete(audit_leaf).where(audit_leaf.c.log_index >= 33))


def _change_time(connection: Connection, _: KeyRing) -> None:
    connection.execute(update(audit_record).where(audit_record.c.seq == 8).values(recorded_at=NOON))


def _change_outcome(connection: Connection, _: KeyRing) -> None:
    connection.execute(update(audit_record).where(audit_record.c.seq == 8).values(outcome="refused"))


def _edit_and_hash_again(connection: Connection, keys: KeyRing) -> None:
    _edit(connection, keys)
    changed = update(audit_leaf).where(audit_leaf.c.log_index == 7)
    connection.execute(changed.values(hash=_leaf(connection, keys, 8)))


def _leaf(connection: Connection, keys: KeyRing, seq: int) -> bytes:
    row = connection.execute(select(audit_record.c.seq, *RECORD_COLUMNS).where(audit_record.c.seq == seq)).one()
    return leaf_of(StoredRecord(*row), keys)


def _confuse_types(connection: Connection, _: KeyRing) -> None:
    # SQLite takes any type in any column.
    connection.execute(text("UPDATE audit_record SET recorded_at = 'noon', kind = x'00', id = 7 WHERE seq = 8"))
    connection.execute(text("UPDATE audit_record SET sealed = 'sealed', recorded_at = 1e300 WHERE seq = 9"))
    connection.execute(text("UPDATE audit_leaf SET hash = 'hash' WHERE log_index = 9"))


def _delete_the_beginning(connection: Connection, _: KeyRing) -> None:
    connection.execute(delete(audit_record).where(audit_record.c.seq <= 5))


@pytest.mark.parametrize(
    ("change", "first_bad"),
    [
        (_edit, "index 7:"),
        (_flip_a_bit, "index 7:"),
        (_delete_record, "index 7:"),
        (_delete_record_and_leaf, "index 7 "),
        (_delete_and_close_the_gap, "index 0 to 9:"),
        (_insert, "index 0 to 9:"),
        (_swap_leaves, "index 0 to 9:"),
        (_swap_contents, "index 7:"),
        (_truncate, "index 33:"),
        (_change_time, "index 7:"),
        (_change_outcome, "index 7:"),
        (_edit_and_hash_again, "index 0 to 9:"),
        (_confuse_types, "index 7:"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_t087_every_tampering_is_found_with_its_first_bad_index(
    engine: Engine, folder: Path, keys: KeyRing, change: Callable[[Connection, KeyRing], None], first_bad: str
) -> None:
    """Exactly, where the hashes in the database were left; to the span of a checkpoint, where they were made anew."""
    with engine.begin() as connection:
        take_guards_away(connection)
        change(connection, keys)
    _export(engine, keys, folder)

    assert f"BAD: {first_bad}" in _verify(folder, expect=1)


def _say_pruned(engine: Engine, keys: KeyRing, up_to: int) -> None:
    with open_audit_log(engine, keys) as log:
        log.record([a_record(kind="operator", reason="audit prune", details=(("up-to", str(up_to)),))])
    Sequencer(engine, keys).run()


def _sign(engine: Engine, keys: KeyRing, folder: Path) -> int:
    made = Checkpoints(engine, keys, ORIGIN).make(NOON)
    assert made is not None
    (folder / "checkpoints" / f"{made.size:012d}").write_text(made.note)
    return made.size


@pytest.mark.parametrize("shown", [False, True], ids=["entries", "records"])
def test_t087_a_beginning_that_was_not_pruned_but_deleted_is_found(
    engine: Engine, folder: Path, keys: KeyRing, shown: bool
) -> None:
    """Only a record that is shown and signed says that older ones went by retention, and how far."""
    with engine.begin() as connection:
        take_guards_away(connection)
        _delete_the_beginning(connection, keys)
    _export(engine, keys, folder, whole=shown)
    assert "index 0: the record is gone, and no signed record says" in _verify(folder, expect=1)

    _say_pruned(engine, keys, 3)
    _export(engine, keys, folder, whole=shown)
    assert "index 0: the record is gone" in _verify(folder, expect=1), "nobody has signed that record yet"
    _sign(engine, keys, folder)
    assert "index 3: the record is gone" in _verify(folder, expect=1), "it speaks of three, and five are gone"
    _say_pruned(engine, keys, 5)
    _sign(engine, keys, folder)
    _export(engine, keys, folder, whole=shown)
    assert "5 records are past their retention and gone" in _verify(folder, expect=0)


def test_t087_a_retention_mark_that_nobody_set_by_command_excuses_nothing(
    engine: Engine, folder: Path, keys: KeyRing
) -> None:
    """The database lets records below the mark go; the log, in which no command set it, does not."""
    below = select(audit_leaf.c.seq).where(audit_leaf.c.log_index < 10)
    with engine.begin() as connection:
        connection.execute(insert(audit_retention).values(up_to=10, pruned_at=NOON))
        connection.execute(delete(audit_record).where(audit_record.c.seq.in_(below)))
    _export(engine, keys, folder)

    assert "index 0: the record is gone" in _verify(folder, expect=1)


@pytest.mark.parametrize("lines", [10, SIZES[-1] + UNCHECKED])
def test_t086_an_export_from_which_records_were_taken_is_refused(
    engine: Engine, folder: Path, keys: KeyRing, lines: int
) -> None:
    """Reduced to their hashes, the first ten or all of them; whatever else is shown."""
    path = _export(engine, keys, folder, whole=True)
    items = [json.loads(line) for line in path.read_text().splitlines()]
    items[-1].pop("record")  # the export's own, never shown
    items[:lines] = [{"index": item["index"], "leaf": item["leaf"]} for item in items[:lines]]
    path.write_text("".join(json.dumps(item) + "\n" for item in items))

    assert "index 0: the record is gone" in _verify(folder, expect=1)


def test_retention_keeps_the_log_provable(engine: Engine, folder: Path, keys: KeyRing) -> None:
    """Old records go, as is on record; all hashes stay, and the checkpoints of before still hold."""
    up_to = first_kept(engine, NOON + timedelta(minutes=12))
    assert up_to == 12
    _say_pruned(engine, keys, up_to)
    assert _sign(engine, keys, folder) == 44
    assert prune(engine, up_to, NOON) == 12
    assert prune(engine, up_to, NOON) == 0

    for whole, shown in ((False, 1), (True, 32)):
        _export(engine, keys, folder, whole=whole)
        said = _verify(folder, expect=0)
        assert "OK: 44 records" in said
        assert "12 records are past their retention and gone (the first that is kept: 2026-03-05T12:12" in said
        assert f"{shown} were shown whole, {32 - shown} are not shown" in said


def test_records_sealed_with_another_key_are_the_same_records(engine: Engine, folder: Path, keys: KeyRing) -> None:
    """Keys that are changed change no leaf: what is hashed is what was said."""
    columns = audit_record.c
    with engine.begin() as connection:
        take_guards_away(connection)
        for record_id, sealed in connection.execute(select(columns.id, columns.sealed)).all():
            again = keys.seal(audit_record.name, record_id, keys.open(audit_record.name, record_id, sealed))
            assert again != sealed
            connection.execute(update(audit_record).where(columns.id == record_id).values(sealed=again))
    _export(engine, keys, folder)

    assert "OK: 40 records" in _verify(folder, expect=0)


@pytest.mark.parametrize("stolen", [False, True], ids=["another key", "the stolen key"])
def test_t088_another_log_in_its_place_is_found_by_the_checkpoints_outside(
    folder: Path, keys: KeyRing, migrated_sqlite_file: Path, tmp_path: Path, stolen: bool
) -> None:
    """Whole, well formed, with checkpoints of its own: what was kept elsewhere contradicts it."""
    other = tmp_path / "other"
    other.mkdir()
    shutil.copyfile(migrated_sqlite_file, other / "gateway.db")
    engine = open_database(f"sqlite:///{other / 'gateway.db'}")
    with open_audit_log(engine, keys) as log:
        log.record([a_record() for _ in range(50)])
    Sequencer(engine, keys).run()
    _export(engine, keys, other)
    made = Checkpoints(engine, keys, ORIGIN).make(NOON)
    engine.dispose()
    assert made is not None
    (other / "checkpoints").mkdir()
    (other / "checkpoints" / "1").write_text(made.note)
    (other / "key").write_text((folder / "key").read_text())
    assert "OK: 50" in _verify(other, expect=0), (
        "with its own checkpoint nothing shows: that is what the others are for"
    )

    if stolen:
        shutil.copyfile(other / "export.ndjson", folder / "export.ndjson")
        assert "index 0 to 9: not what was signed" in _verify(folder, expect=1)
    else:
        forged = signed_checkpoint(ORIGIN, made.size, made.root, Ed25519PrivateKey.generate())
        (other / "checkpoints" / "1").write_text(forged)
        assert "signed by none of the keys for its log" in _verify(other, expect=1)


def test_t088_two_logs_under_one_name_are_found(engine: Engine, folder: Path, keys: KeyRing) -> None:
    """Signed with the true key, of the same size: one of the two was shown to somebody else."""
    _export(engine, keys, folder)
    forked = signed_checkpoint(ORIGIN, 25, bytes(32), keys.checkpoints[0])
    (folder / "checkpoints" / "from-elsewhere").write_text(forked)

    assert "two logs were signed: 25 records have two roots" in _verify(folder, expect=1)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda lines: [*lines[:20], lines[20][:50]], "index 20: the export is cut off in the middle of a line"),
        (lambda lines: [*lines[:9], "no JSON\n", *lines[10:]], "index 9: the line of the export can't be read"),
        (lambda lines: [*lines[:9], "[" * 5000 + "\n"], "index 9: the line of the export can't be read"),
        (lambda lines: [*lines[:9], '{"index": 9}\n'], "index 9: the line of the export can't be read"),
        (lambda lines: [*lines[:9], "7\n"], "index 9: the line of the export can't be read"),
        (lambda _: [f'{{"index": 0, "leaf": "{"00" * 64}"}}\n'], "index 0: the line of the export can't be read"),
        (lambda lines: lines[:9] + lines[10:], "index 9 is missing or out of order"),
        (lambda lines: lines[:9] + lines[8:], "index 9 is missing or out of order"),
        (lambda lines: lines[:39], "index 39: the log ends here"),
        (lambda _: [], "index 0: the log ends here"),
        (
            lambda lines: [*lines[:9], lines[9].replace("number 9", "number 8"), *lines[10:]],
            "index 9: the record is not",
        ),
        (lambda lines: [lines[0].replace('\\"kind', '\\"kinx')], "index 0: the record was altered"),
        (lambda lines: [*lines[:2], "\udcff\n"], "index 2: the line of the export can't be read"),
    ],
)
def test_t086_a_corrupt_export_is_refused_with_its_place(
    engine: Engine, folder: Path, keys: KeyRing, damage: Callable[[list[str]], list[str]], said: str
) -> None:
    """Exit 1 and where, never a crash."""
    path = _export(engine, keys, folder, whole=True)
    lines = damage(path.read_text().splitlines(keepends=True))
    path.write_bytes("".join(lines).encode("utf-8", "surrogateescape"))

    assert f"BAD: {said}" in _verify(folder, expect=1)


def test_t087_a_time_that_was_changed_before_the_record_was_logged_is_found(
    engine: Engine, folder: Path, keys: KeyRing
) -> None:
    """Its entry says then what the row said, and the record itself something else."""
    with open_audit_log(engine, keys) as log:
        log.record([a_record()])
    with engine.begin() as connection:
        take_guards_away(connection)
        connection.execute(update(audit_record).where(audit_record.c.seq == 44).values(recorded_at=NOON - DAY))
    Sequencer(engine, keys).run()
    _export(engine, keys, folder, whole=True)

    assert "index 43: the record and its entry contradict one another" in _verify(folder, expect=1)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("checkpoints/000000000025", "exchange.example\n25\n", "not (only) signed checkpoints"),
        ("checkpoints/notes.txt", "for the auditor\n", "not (only) signed checkpoints"),
        ("checkpoints/long", "\x00" * 1000, "not (only) signed checkpoints"),
        ("key", "", "key holds no public key"),
        ("key", "exchange.example+00000000+AQ==\n", "not an Ed25519 public key"),
        ("key", "not a key\n", "not an Ed25519 public key"),
        ("export.ndjson", None, "No such file"),
    ],
)
def test_what_is_no_checkpoint_and_no_key_is_refused(
    engine: Engine, folder: Path, keys: KeyRing, name: str, text: str | None, said: str
) -> None:
    """By name; nothing is passed over."""
    _export(engine, keys, folder)
    (folder / name).unlink() if text is None else (folder / name).write_text(text)

    assert said in _verify(folder, expect=1)


@pytest.mark.parametrize("name", ["checkpoints/000000000025", "checkpoints/stray.pdf", "key"])
def test_a_file_that_is_no_text_is_refused_by_name(engine: Engine, folder: Path, keys: KeyRing, name: str) -> None:
    """Somebody has to find it among thousands."""
    _export(engine, keys, folder)
    (folder / name).write_bytes(b"\xff\xfe\x00")

    assert f"BAD: {name}: not text in UTF-8" in _verify(folder, expect=1)


def test_a_checkpoint_that_was_changed_is_not_signed(engine: Engine, folder: Path, keys: KeyRing) -> None:
    """Size, root, origin and signature, each by a character."""
    _export(engine, keys, folder)
    file = folder / "checkpoints" / "000000000025"
    note = file.read_text()
    for old, new in (
        ("\n25\n", "\n24\n"),
        ("exchange.example\n25", "exchange.examplf\n25"),
        (note[24], "AB"[note[24] == "A"]),
    ):
        file.write_text(note.replace(old, new, 1))
        assert "not signed by exchange.example" in _verify(folder, expect=1)


def test_a_checkpoint_of_another_log_is_none_of_this_one(engine: Engine, folder: Path, keys: KeyRing) -> None:
    """Signed by the true key, under its name, but said of a log of another name."""
    _export(engine, keys, folder)
    text = f"elsewhere.example\n25\n{'A' * 43}=\n"
    key = keys.checkpoints[0]
    raw = base64.b64decode((folder / "key").read_text().split("+", 2)[2])
    key_id = hashlib.sha256(f"{ORIGIN}\n".encode() + raw).digest()[:4]
    signature = base64.b64encode(key_id + key.sign(text.encode())).decode()
    (folder / "checkpoints" / "other").write_text(f"{text}\n— {ORIGIN} {signature}\n")

    assert "signed by none of the keys for its log" in _verify(folder, expect=1)


def test_signatures_of_witnesses_do_no_harm(engine: Engine, folder: Path, keys: KeyRing) -> None:
    """C2SP: signatures by unknown keys are passed over, one by a known key has to be good. One file may hold all."""
    _export(engine, keys, folder)
    notes = [file.read_text() for file in sorted((folder / "checkpoints").iterdir())]
    shutil.rmtree(folder / "checkpoints")
    (folder / "checkpoints").write_text("".join(f"{note}— witness.example/w1 {'A' * 100}\n" for note in notes))

    assert "OK: 40" in _verify(folder, expect=0)


@pytest.fixture(scope="module")
def verifier() -> ModuleType:
    """The verifier's own functions."""
    spec = importlib.util.spec_from_file_location("verify_audit", VERIFIER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_verifier_is_small_and_needs_nothing_of_the_gateway() -> None:
    """The standard library, and cryptography where it is there."""
    source = VERIFIER.read_text()
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]  # type: ignore[union-attr]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }

    assert imported - {"cryptography"} <= sys.stdlib_module_names
    assert len(source.splitlines()) < 260


ED25519 = (
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
)
"""RFC 8032 §7.1: key, message, signature."""


@pytest.mark.parametrize(("key", "message", "signature"), ED25519)
def test_signatures_checked_by_hand_are_those_of_rfc_8032(
    verifier: ModuleType, key: str, message: str, signature: str
) -> None:
    """Good ones are good; a changed byte anywhere makes them bad, as the library says too."""
    raw, said, signed = bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature)
    assert verifier.ed25519_by_hand(raw, signed, said)
    assert verifier.is_signed(raw, signed, said)

    wrong = [
        (raw, signed, said + b"x"),
        (raw[:-1], signed, said),
        (raw, signed[:-1], said),
        (raw, bytes([signed[0] ^ 1]) + signed[1:], said),
        (raw, signed[:40] + bytes([signed[40] ^ 1]) + signed[41:], said),
        (bytes([raw[0] ^ 1]) + raw[1:], signed, said),
        (b"\xff" * 32, signed, said),
        (raw, signed[:32] + (int.from_bytes(signed[32:], "little") + verifier.ORDER).to_bytes(32, "little"), said),
    ]
    for case in wrong:
        assert not verifier.ed25519_by_hand(*case)
        assert not verifier.is_signed(*case)


def test_a_note_of_the_format_s_first_user_is_read(verifier: ModuleType, tmp_path: Path) -> None:
    """The example key and signature of Go's sumdb/note package, whose format this is."""
    (tmp_path / "key").write_text("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n")
    words = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    signature = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    keys = verifier.read_keys(str(tmp_path / "key"))
    raw = base64.b64decode(signature)

    assert raw[:4].hex() == "c74f20a3"
    assert verifier.ed25519_by_hand(keys["PeterNeumann", "c74f20a3"], raw[4:], words.encode())
