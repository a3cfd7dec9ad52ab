"""The facilities of the exchange, as operators have registered them."""

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import orjson
from sqlalchemy import Connection, Engine, delete, insert, select, update

from gateway.adapters.tables import facility as facility_table
from gateway.adapters.tables import facility_revision
from gateway.db.crypto import KeyRing
from gateway.db.session import reading, writing
from gateway.db.upsert import insert_into
from gateway.errors import NotFound
from gateway.model import Facility, FacilityAuth, FacilityID

FRESH_FOR_S = 1.0
Applied = Literal["loaded", "updated", "unchanged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Snapshot:
    revision: int
    checked_at: float
    facilities: tuple[Facility, ...]


class FacilityRegistry:
    """Reads and changes the registered facilities. One object serves all threads of a process."""

    def __init__(self, engine: Engine, keys: KeyRing, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._keys = keys
        self._clock = clock
        self._snapshot: _Snapshot | None = None
        self._lock = threading.Lock()

    def all(self) -> Sequence[Facility]:
        """Every registered facility, in id order, as of at most a second ago. Raises DependencyUnavailable."""
        snapshot = self._snapshot
        if snapshot is not None and self._clock() - snapshot.checked_at < FRESH_FOR_S:
            return snapshot.facilities
        with self._lock:
            snapshot = self._snapshot
            now = self._clock()
            if snapshot is None or now - snapshot.checked_at >= FRESH_FOR_S:
                snapshot = self._snapshot = self._refreshed(snapshot, now)
            return snapshot.facilities

    def find(self, facility_id: str) -> Facility:
        """The facility of that id, as it is registered now. Raises NotFound, DependencyUnavailable."""
        with reading(self._engine) as connection:
            rows = self._rows(connection, facility_id)
        if not rows:
            raise NotFound(f"no facility has the id {facility_id}")
        return rows[0]

    def apply(
        self,
        facilities: Sequence[Facility],
        suspension_stated: Collection[FacilityID] = (),
        now: datetime | None = None,
    ) -> dict[FacilityID, Applied]:
        """All of `facilities` are registered as they are, or none; what became of each. Others are left as they are.

        A facility keeps its suspension unless it is one of `suspension_stated`. Raises DependencyUnavailable.
        """
        outcome: dict[FacilityID, Applied] = {}
        at = now or datetime.now(UTC)
        with writing(self._engine) as connection:
            for one in facilities:
                outcome[one.id] = self._apply_one(
                    connection, one, states_suspension=one.id in suspension_stated, now=at
                )
            if any(result != "unchanged" for result in outcome.values()):
                _count_change(connection)
        self._snapshot = None
        return outcome

    def suspend(self, facility_id: str) -> bool:
        """The facility is not asked until it is resumed; whether that is a change. Raises NotFound."""
        return self._set_suspended(facility_id, suspended=True)

    def resume(self, facility_id: str) -> bool:
        """The facility is asked again; whether that is a change. Raises NotFound."""
        return self._set_suspended(facility_id, suspended=False)

    def remove(self, facility_id: str) -> None:
        """The facility is no member any more. Raises NotFound."""
        with writing(self._engine) as connection:
            gone = connection.execute(delete(facility_table).where(facility_table.c.id == facility_id)).rowcount
            if not gone:
                raise NotFound(f"no facility has the id {facility_id}")
            _count_change(connection)
        self._snapshot = None

    def _refreshed(self, known: _Snapshot | None, now: float) -> _Snapshot:
        with reading(self._engine) as connection:
            revision = connection.execute(_REVISION).scalar() or 0
            if known is not None and known.revision == revision:
                return replace(known, checked_at=now)
            return _Snapshot(revision=revision, checked_at=now, facilities=tuple(self._rows(connection)))

    def _rows(self, connection: Connection, facility_id: str | None = None) -> list[Facility]:
        columns = facility_table.c
        statement = select(columns.id, columns.content, columns.suspended).order_by(columns.id)
        if facility_id is not None:
            statement = statement.where(columns.id == facility_id)
        return [
            replace(_from_json(self._keys.open(facility_table.name, id_, content)), suspended=suspended)
            for id_, content, suspended in connection.execute(statement)
        ]

    def _apply_one(self, connection: Connection, one: Facility, *, states_suspension: bool, now: datetime) -> Applied:
        columns = facility_table.c
        content = _to_json(one)
        key = self._keys.blind("facility.content", content.decode())
        known = connection.execute(
            select(columns.content_key, columns.suspended).where(columns.id == one.id)
        ).one_or_none()
        suspended = one.suspended if states_suspension or known is None else known.suspended
        if known is not None and known.content_key == key and known.suspended == suspended:
            return "unchanged"
        values = {
            "content": self._keys.seal(facility_table.name, one.id, content),
            "content_key": key,
            "suspended": suspended,
            "updated_at": now,
        }
        if known is None:
            connection.execute(insert(facility_table).values(id=one.id, **values))
            return "loaded"
        connection.execute(update(facility_table).where(columns.id == one.id).values(**values))
        return "updated"

    def _set_suspended(self, facility_id: str, *, suspended: bool) -> bool:
        columns = facility_table.c
        with writing(self._engine) as connection:
            known = connection.execute(select(columns.suspended).where(columns.id == facility_id)).scalar()
            if known is None:
                raise NotFound(f"no facility has the id {facility_id}")
            if known == suspended:
                return False
            connection.execute(update(facility_table).where(columns.id == facility_id).values(suspended=suspended))
            _count_change(connection)
        self._snapshot = None
        return True


_REVISION = select(facility_revision.c.revision).where(facility_revision.c.id == 1)


def _count_change(connection: Connection) -> None:
    statement = insert_into(facility_revision, connection).values(id=1, revision=1)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[facility_revision.c.id], set_={"revision": facility_revision.c.revision + 1}
        )
    )


_KEPT_APART = frozenset({"suspended"})
_NAMES = tuple(field.name for field in fields(Facility) if field.name not in _KEPT_APART)


def _to_json(one: Facility) -> bytes:
    values = asdict(one)
    content = {name: values[name] for name in _NAMES} | {"deadline": one.deadline // timedelta(milliseconds=1)}
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)


def _from_json(content: bytes) -> Facility:
    values: dict[str, Any] = orjson.loads(content)
    # A registration that a newer version made may say more than this one knows.
    known = {name: value for name, value in values.items() if name in _NAMES}
    known["deadline"] = timedelta(milliseconds=values["deadline"])
    known["auth"] = FacilityAuth(**values["auth"])
    known["link_origins"] = tuple(values["link_origins"])
    return Facility(**known)
