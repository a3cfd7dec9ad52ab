"""Persons in the database: made, retired into a survivor, brought back. Inside one transaction of `index_writing`."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, select, update

from gateway.db.prepared import Prepared, PreparedInsert
from gateway.db.session import in_parts
from gateway.model import PatientID
from gateway.mpi.tables import link_event, person

_DROP = delete(person).where(person.c.id == bindparam("dropped"))
_FORWARD = update(person).where(person.c.survivor_id == bindparam("retired"))
_RETIRE = update(person).where(person.c.id == bindparam("retired"))
_REVIVE = update(person).where(person.c.id == bindparam("revived"))
_MERGED_INTO = select(person.c.id).where(person.c.merged_into_id == bindparam("into"))
_FORMER = Prepared(
    select(link_event.c.record_id, link_event.c.previous_person_id, person.c.survivor_id)
    .join(person, person.c.id == link_event.c.previous_person_id)
    .where(link_event.c.record_id.in_(bindparam("wanted", expanding=True)), person.c.retired_at.is_not(None))
    .order_by(link_event.c.id.desc())
)
_ADD = PreparedInsert(person, "id", "created_at")


class PersonStore:
    """The persons of the index."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, persons: Sequence[PatientID], now: datetime) -> None:
        """They exist, without records."""
        _ADD.run(self._connection, [(one, now) for one in persons])

    def retire(self, into: Mapping[PatientID, PatientID], now: datetime, *, unseen: Collection[PatientID] = ()) -> None:
        """Each has become part of its survivor, and so have those that were part of it. `unseen` ids are forgotten."""
        # Made a moment ago for a record that turned out to be somebody's: nobody has seen this id.
        dropped = [{"dropped": retired} for retired in into if retired in unseen]
        retiring = [(retired, survivor) for retired, survivor in into.items() if retired not in unseen]
        if dropped:
            self._connection.execute(_DROP, dropped)
        if retiring:
            led = [{"retired": retired, "survivor_id": survivor} for retired, survivor in retiring]
            self._connection.execute(_FORWARD, led)
            whole = [{**one, "merged_into_id": one["survivor_id"], "retired_at": now} for one in led]
            self._connection.execute(_RETIRE, whole)

    def revive(self, persons: Iterable[PatientID]) -> None:
        """Each is a person of its own again, and those that were merged into it are part of it."""
        for revived in persons:
            values = {"survivor_id": None, "merged_into_id": None, "retired_at": None}
            self._connection.execute(_REVIVE, {"revived": revived, **values})
            waiting: list[str] = [revived]
            while waiting:
                merged = self._connection.execute(_MERGED_INTO, {"into": waiting.pop()}).scalars().all()
                for one in merged:
                    self._connection.execute(_REVIVE, {"revived": one, "survivor_id": revived})
                waiting.extend(merged)

    def find_former(self, records: Iterable[int], among: Collection[PatientID]) -> dict[int, tuple[PatientID, ...]]:
        """By record, the persons it once belonged to who are part of one of `among` now, the latest first."""
        former: defaultdict[int, dict[PatientID, None]] = defaultdict(dict)
        for part in in_parts(sorted(records)):
            for record_id, previous, survivor in _FORMER.all(self._connection, wanted=part):
                if survivor in among:
                    former[record_id][PatientID(previous)] = None
        return {record_id: tuple(persons) for record_id, persons in former.items()}
