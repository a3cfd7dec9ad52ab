"""Records that were stored without the keys they are searched by get them."""

from collections.abc import Iterator

from sqlalchemy import Engine, bindparam, select, update

from gateway.db.crypto import KeyRing
from gateway.mpi.sealed import open_patient
from gateway.mpi.search_index import SearchIndex
from gateway.mpi.search_keys import VERSION
from gateway.mpi.store import index_writing
from gateway.mpi.tables import record

_RECORDS_A_TURN = 500
_NEXT = (
    select(record.c.record_id, record.c.identifier_key, record.c.system, record.c.content)
    .where(record.c.search_keys.is_(None))
    .order_by(record.c.record_id)
    .limit(_RECORDS_A_TURN)
)
_DONE = update(record).where(record.c.record_id.in_(bindparam("done", expanding=True))).values(search_keys=VERSION)


def index_backlog(engine: Engine, keys: KeyRing) -> Iterator[int]:
    """Every record is searched by its keys when this ends; after each turn, how many were given theirs in it.

    Each turn is a transaction of its own, so that queries and feeds go on, and what is stopped is gone on with. Raises
    DependencyUnavailable.
    """
    while True:
        with index_writing(engine) as connection:
            rows = connection.execute(_NEXT).all()
            if not rows:
                return
            index = SearchIndex(connection, keys)
            index.add(
                (record_id, index.keys_of(open_patient(keys, source, sealed), system))
                for record_id, source, system, sealed in rows
            )
            connection.execute(_DONE, {"done": [row.record_id for row in rows]})
        yield len(rows)
