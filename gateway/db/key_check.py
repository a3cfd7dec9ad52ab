"""Are these the keys that the database was filled with?

With another key for blind indexes nothing is found, and "nobody is known by that" would look like an answer. So the
database keeps a known word, sealed and hashed, and nothing starts where the keys don't fit it.
"""

from contextlib import suppress
from pathlib import Path

from sqlalchemy import Engine, select, update

from gateway.db.crypto import KeyRing, SealBroken, add_checkpoint_key, create_key_file, read_key_file
from gateway.db.session import reading, writing
from gateway.db.tables import key_check
from gateway.db.upsert import insert_into
from gateway.errors import ConfigurationError, DependencyUnavailable

_WORD = "the keys of this exchange"
_ROW = 1


def open_keys(path: Path, engine: Engine, *, may_create: bool) -> KeyRing:
    """The keys in `path`, known to fit the database. `may_create` makes what is missing, where none has been used yet.

    Raises ConfigurationError where they don't fit, or are missing beside a database that was filled with others.
    """
    if may_create and not path.exists():
        if _known(engine) is not None:
            raise ConfigurationError(
                [f"GATEWAY_KEYS_FILE: {path} is missing, and the database was filled with its keys: restore it"]
            )
        create_key_file(path)
    keys = read_key_file(path)
    if not fits(engine, keys):
        raise ConfigurationError([f"GATEWAY_KEYS_FILE: {path} does not hold the keys the database was filled with"])
    if may_create and not keys.checkpoints:  # a file of before the log had checkpoints
        with suppress(ConfigurationError):  # one that can't be written to serves as it is, without them
            add_checkpoint_key(path)
        return read_key_file(path)
    return keys


def fits(engine: Engine, keys: KeyRing) -> bool:
    """Whether the database can be read with `keys`; a database that no keys were used with is theirs from now on."""
    known = _known(engine)
    if known is None:
        _remember(engine, keys)
        known = _known(engine)
    if known is None:
        return False
    sealed, hashed = known
    try:
        word = keys.open(key_check.name, str(_ROW), sealed)
    except SealBroken:
        return False
    return word == _WORD.encode() and hashed == keys.blind("key.check", _WORD)


def require_fitting(engine: Engine, keys: KeyRing) -> None:
    """The database can be read with `keys`. Raises DependencyUnavailable otherwise."""
    if not fits(engine, keys):
        raise DependencyUnavailable("the keys are not those the database was filled with")


def require_writable(engine: Engine) -> None:
    """The database takes writes; nothing is changed in it. Raises DependencyUnavailable otherwise."""
    # BEGIN IMMEDIATE alone begins on a read-only file too.
    with writing(engine) as connection:
        connection.execute(update(key_check).where(key_check.c.id == -1).values(id=-1))


def _known(engine: Engine) -> tuple[bytes, bytes] | None:
    with reading(engine) as connection:
        row = connection.execute(select(key_check.c.sealed, key_check.c.hashed).where(key_check.c.id == _ROW)).first()
    return None if row is None else (row[0], row[1])


def _remember(engine: Engine, keys: KeyRing) -> None:
    row = {
        "id": _ROW,
        "sealed": keys.seal(key_check.name, str(_ROW), _WORD.encode()),
        "hashed": keys.blind("key.check", _WORD),
    }
    with writing(engine) as connection:
        # Of several processes that start together one is first, and the others are measured by it.
        connection.execute(insert_into(key_check, connection).values(row).on_conflict_do_nothing())
