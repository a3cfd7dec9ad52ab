"""Which records name that patient, that client, that study? An index of the audit that follows the audit.

It is made from the events that are derived from each record, so that what is found by it is what the events say. It may
lag behind: what it has not come to yet is read as it is (`behind`), so that nothing is ever missed.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine, select

from gateway.audit.fhir_audit_event import to_audit_events
from gateway.audit.places import Place, Records, Span, bounds, in_order
from gateway.db.base import as_stored
from gateway.db.crypto import KeyRing
from gateway.db.session import reading
from gateway.db.upsert import insert_into
from gateway.watch.follow import Stored, position_of
from gateway.watch.tables import term
from gateway.watch.terms import Term, terms_of

NAME = "search"
_ANY_SITE = "urn:of:no:one"


class TermIndexer:
    """The follower that keeps the index."""

    name = NAME

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys
        self._rows: list[dict[str, object]] = []

    def before(self, position: int, stored: Stored) -> None:
        """The terms are made before the transaction: in SQLite nobody else stores anything while there is one."""
        self._rows = [
            {"key": key, "recorded_at": as_stored(place.recorded_at), "seq": place.seq}
            for place, record in stored
            for key in keys_of(self._keys, terms_of(to_audit_events(record, base_url=_ANY_SITE)))
        ]

    def forget(self) -> None:
        """The terms come again with their records."""
        self._rows = []

    def take(self, connection: Connection, stored: Stored, now: datetime) -> None:
        """Each term of each record leads to it."""
        rows, self._rows = self._rows, []
        if not rows:
            return
        # By the driver: a record has dozens of terms, and SQLAlchemy takes longer over each than the database.
        insert = insert_into(term, connection).on_conflict_do_nothing().compile(dialect=connection.dialect)
        order = insert.positiontup
        values = rows if order is None else [tuple([row[name] for name in order]) for row in rows]
        connection.exec_driver_sql(str(insert), values)


class TermIndex:
    """The index, to be looked into."""

    def __init__(self, engine: Engine, keys: KeyRing) -> None:
        self._engine = engine
        self._keys = keys

    def behind(self, records: Records, most: int) -> Sequence[Place] | None:
        """The places that the index has not come to; None where they are more than `most`."""
        places = records.numbers_after(position_of(self._engine, NAME), most + 1)
        return None if len(places) > most else places

    def places(self, terms: Sequence[Term], span: Span, limit: int) -> Sequence[Place]:
        """Up to `limit` places of the span with any of `terms`, in its order. Raises DependencyUnavailable."""
        columns = term.c
        found: set[Place] = set()
        with reading(self._engine) as connection:
            for key in keys_of(self._keys, terms):
                # One look-up a term: each begins in the index at the right place and ends after `limit` rows.
                within = (columns.key == key, *bounds(columns.recorded_at, columns.seq, span))
                statement = select(columns.recorded_at, columns.seq).where(*within)
                ordered = statement.order_by(*in_order(columns.recorded_at, columns.seq, span)).limit(limit)
                found.update(Place(*row) for row in connection.execute(ordered))
        return sorted(found, reverse=span.descends)[:limit]


def keys_of(keys: KeyRing, terms: Iterable[Term]) -> list[bytes]:
    """What the index keeps of terms."""
    return keys.blind_all("audit.term", sorted(terms))
