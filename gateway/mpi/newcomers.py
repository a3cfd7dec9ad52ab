"""Records that can't be anybody's but their own, stored many at once.

Most records of a load share no strong identifier and no blocking key with any other: each is a person of its own, which
needs no judgement. Writing them a table at a time instead of a record at a time is what makes a large load quick.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, Select, bindparam, select

from gateway.db.base import EPOCH
from gateway.db.rows import Rows, make_room, next_numbers
from gateway.db.session import in_parts
from gateway.mpi.links import ALGORITHM, Reason
from gateway.mpi.ready import Ready
from gateway.mpi.search_keys import VERSION
from gateway.mpi.store import new_person_id
from gateway.mpi.tables import block_key, link_event, person, record, record_identifier, search_key

_KNOWN_SOURCES = select(record.c.identifier_key).where(record.c.identifier_key.in_(bindparam("wanted", expanding=True)))
_KNOWN_IDENTIFIERS = (
    select(record_identifier.c.identifier_key)
    .distinct()
    .where(record_identifier.c.identifier_key.in_(bindparam("wanted", expanding=True)))
)
_KNOWN_KEYS = select(block_key.c.key).distinct().where(block_key.c.key.in_(bindparam("wanted", expanding=True)))
_ALONE = orjson.dumps(asdict(Reason(rule="alone"))).decode()
_PERSONS = Rows(person, "id", "created_at")
_RECORDS = Rows(
    record,
    *("record_id", "identifier_key", "system", "content", "content_key", "person_id", "linked_at", "updated_at"),
    *("active", "comparable", "search_keys"),
)
_IDENTIFIERS = Rows(record_identifier, "record_id", "identifier_key")
_EVENTS = Rows(link_event, "record_id", "person_id", "action", "reason", "algorithm", "who", "at")
_SEARCH_KEYS = Rows(search_key, "key", "record_id")
_BLOCK_KEYS = Rows(block_key, "key", "record_id")


class Newcomers:
    """Newcomers of one batch, inside one transaction of `index_writing`."""

    def __init__(self, connection: Connection, who: str) -> None:
        self._connection = connection
        self._who = who

    def add_alone(self, come: Sequence[Ready], now: datetime, *, link_later: bool = False) -> set[int]:
        """Those of `come` that nobody else can be are persons of their own; their places in the list.

        The others are left: known already, or sharing something with a record of the index or an earlier one here.
        With `link_later` what they share is left for a re-linking, and only those that are known are left.
        """
        sources = set(self._known(_KNOWN_SOURCES, {one.source for one in come}))
        strong, tight = set[bytes](), set[int]()
        if not link_later:
            strong = set(self._known(_KNOWN_IDENTIFIERS, {key for one in come for key in one.strong}))
            tight = set(self._known(_KNOWN_KEYS, {key for one in come for key in one.tight}))
        alone = []
        for place, one in enumerate(come):
            if one.source not in sources and (
                link_later or (strong.isdisjoint(one.strong) and tight.isdisjoint(one.tight))
            ):
                alone.append((place, one))
            sources.add(one.source)
            strong.update(one.strong)
            tight.update(one.tight)
        if alone:
            self._store([one for _, one in alone], now)
        return {place for place, _ in alone}

    def _known(self, statement: Select[Any], wanted: Iterable[Any]) -> Iterable[Any]:
        for part in in_parts(sorted(wanted)):
            yield from self._connection.execute(statement, {"wanted": part}).scalars()

    def _store(self, alone: Sequence[Ready], now: datetime) -> None:
        # A table at a time and each in the order of its key: neighbours are written together.
        make_room(self._connection)
        at = (now - EPOCH) // timedelta(microseconds=1)
        connection = self._connection
        numbered = list(zip(next_numbers(connection, record, "record_id", len(alone)), alone, strict=True))
        owners = sorted(new_person_id() for _ in alone)
        owned = list(zip(numbered, owners, strict=True))
        _PERSONS.add(connection, [(owner, at) for owner in owners])
        _RECORDS.add(
            connection,
            [
                (
                    *(number, one.source, one.system, one.content, one.content_key, owner, at, at),
                    *(one.active, one.comparable, VERSION),
                )
                for (number, one), owner in owned
            ],
        )
        _IDENTIFIERS.add(connection, [(number, key) for number, one in numbered for key in one.identifiers])
        said = ("new-person", _ALONE, ALGORITHM, self._who, at)
        _EVENTS.add(connection, [(number, owner, *said) for (number, _), owner in owned])
        _SEARCH_KEYS.add(connection, sorted((key, number) for number, one in numbered for key in one.search_keys))
        _BLOCK_KEYS.add(connection, sorted((key, number) for number, one in numbered for key in one.block_keys))
