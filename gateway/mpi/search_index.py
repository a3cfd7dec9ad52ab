"""The keys that a record is searched by, in the database.

A key is 64 bits of a keyed hash: nothing of a patient can be read from it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert

from gateway.db.crypto import KeyRing
from gateway.db.session import in_parts
from gateway.mpi.search_keys import SearchKey, record_keys
from gateway.mpi.tables import search_key

_DROP = delete(search_key).where(
    search_key.c.record_id == bindparam("record"), search_key.c.key.in_(bindparam("dropped", expanding=True))
)


def hashed_keys(keys: KeyRing, wanted: Iterable[SearchKey]) -> list[int]:
    """The keyed hashes of `wanted`, each once."""
    hashed = keys.blind_all("mpi.search", (("|".join(one),) for one in wanted))
    return list(dict.fromkeys(int.from_bytes(one[:8], signed=True) for one in hashed))


class SearchIndex:
    """By what records are searched, inside one transaction of `index_writing`.

    Whoever stores a record writes `search_keys` beside it, so that a record without keys is known as one.
    """

    def __init__(self, connection: Connection, keys: KeyRing) -> None:
        self._connection = connection
        self._keys = keys

    def keys_of(self, patient: Mapping[str, Any], own_system: str) -> list[int]:
        """The keyed hashes that a record of that domain is searched by."""
        return hashed_keys(self._keys, record_keys(patient, own_system))

    def add(self, keyed: Iterable[tuple[int, Iterable[int]]]) -> None:
        """Each record is searched by its keys; none of them was there before."""
        rows = [{"key": key, "record_id": record_id} for record_id, keys in keyed for key in keys]
        if rows:
            self._connection.execute(insert(search_key), sorted(rows, key=lambda row: row["key"]))

    def change(self, record_id: int, before: Iterable[int], after: Iterable[int]) -> None:
        """The record is searched by the keys `after` in place of those `before`."""
        old, new = set(before), set(after)
        for part in in_parts(sorted(old - new)):
            self._connection.execute(_DROP, {"record": record_id, "dropped": part})
        self.add([(record_id, new - old)])
