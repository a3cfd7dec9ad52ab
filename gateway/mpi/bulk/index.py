"""Records that came while matching was off, made ready to be compared: many at once, and nothing decided."""

from collections.abc import Iterator
from datetime import date

from sqlalchemy import Connection, Engine, bindparam, select, update

from gateway.db.crypto import KeyRing
from gateway.mpi.blocking_index import BlockingIndex
from gateway.mpi.normalise import normalise
from gateway.mpi.sealed import open_patient
from gateway.mpi.store import index_writing
from gateway.mpi.tables import record

RECORDS_A_TRANSACTION = 1000
_NEVER_COMPARED = (
    select(record.c.record_id, record.c.identifier_key, record.c.content)
    .where(record.c.active, record.c.comparable.is_(None), record.c.record_id > bindparam("after"))
    .order_by(record.c.record_id)
    .limit(RECORDS_A_TRANSACTION)
)
_STORE = update(record).where(record.c.record_id == bindparam("number")).values(comparable=bindparam("sealed"))


def index_unmatched(engine: Engine, keys: KeyRing, strong_systems: frozenset[str], today: date) -> Iterator[int]:
    """Every active record can be compared and is found by its keys; after each transaction, how many are new so far.

    Raises DependencyUnavailable; stopped, the next one goes on.
    """
    done = after = 0
    while True:
        with index_writing(engine) as connection:
            numbers = _ready(connection, keys, strong_systems, today, after)
        if not numbers:
            return
        after = numbers[-1]
        done += len(numbers)
        yield done


def _ready(connection: Connection, keys: KeyRing, strong_systems: frozenset[str], today: date, after: int) -> list[int]:
    index = BlockingIndex(connection, keys)
    readied = {}
    for number, source, sealed in connection.execute(_NEVER_COMPARED, {"after": after}):
        patient = open_patient(keys, source, sealed)
        readied[number] = index.ready(source, normalise(patient, today=today, strong_systems=strong_systems))
    if readied:
        connection.execute(_STORE, [{"number": number, "sealed": one.sealed} for number, one in readied.items()])
        index.add_keys((number, one.block_keys) for number, one in readied.items())
    return list(readied)
