"""What was seen where, and since when: the memory behind stable ids and `meta.lastUpdated`.

Archives don't tell when a study came or changed. So every study is remembered by a keyed hash of what it looks like;
the moment it first looked as it does now is the moment that an incremental search (`_lastUpdated=gt…`) goes by.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, Engine, bindparam, select, update

from gateway.adapters.base import Observation, Sighting
from gateway.adapters.last_answers import Place, Seen, Told, content_of, find_seen, forget, remember, told_of
from gateway.adapters.tables import sighting
from gateway.db.crypto import KeyRing
from gateway.db.lookup import Looking, looking
from gateway.db.prepared import Prepared
from gateway.db.session import reading, writing
from gateway.db.upsert import insert_into
from gateway.imaging.study import SourceStudy
from gateway.model import FacilityID, PatientID, StudyUID

_RowKey = tuple[int, str, bytes]
"""Record, facility, keyed hash of the UID."""
_ID_DIGITS = 32
_MOST_KEYS_A_STATEMENT = 1000


class _Row(NamedTuple):
    """What the table says of a source of a study, or should say."""

    person_id: str
    content_key: bytes
    with_series: bool
    first_seen: datetime
    series_key: bytes | None = None
    study_id: bytes = b""


class Sightings:
    """Remembers studies by facility and record. One object serves all threads."""

    def __init__(self, engine: Engine, keys: KeyRing) -> None:
        self._engine = engine
        self._keys = keys

    def study_id(self, person: PatientID, uid: StudyUID) -> str:
        """The opaque id of this study of this person: always the same, and nothing can be read from it."""
        return self._study_id(person, uid).hex()

    def _study_id(self, person: PatientID, uid: StudyUID) -> bytes:
        return self._keys.blind("study.id", person, uid)

    def observe(self, person: PatientID, studies: Sequence[SourceStudy], now: datetime) -> Observation:
        """First-seen times of `studies` as they now are; what is new is stored when this returns.

        Where two queries see something first at the same time, both are told the same moment. Raises
        DependencyUnavailable.
        """
        if not studies:
            return Observation(first_seen={}, study_ids={})
        told = told_of(person, studies, self._keys)
        with looking(self._engine) as connection:
            seen = find_seen(connection, told)
            new = {place: one for place, one in told.items() if place not in seen}
            known = _find_rows(connection, {record for record, _ in new}) if new else {}
        shared: tuple[StudyUID, ...] = ()
        if new:
            found, shared = self._take(person, new, known, now)
            seen.update(found)
        first_seen, ids = {}, {}
        for place, one in told.items():
            for study, (moment, study_id) in zip(one.studies, seen[place], strict=True):
                first_seen[*place, study.uid] = moment
                ids[study.uid] = study_id.hex()
        return Observation(first_seen=first_seen, study_ids=ids, shared=shared)

    def find(self, study_id: str) -> Sighting | None:
        """Whose study carries this id and which facilities have shown it; None where it was never given out.

        Raises DependencyUnavailable.
        """
        if len(study_id) != _ID_DIGITS or not set(study_id) <= set("0123456789abcdef"):
            return None
        columns = sighting.c
        with reading(self._engine) as connection:
            rows = connection.execute(
                select(columns.person_id, columns.facility_id).where(columns.study_id == bytes.fromhex(study_id))
            ).all()
        if not rows:
            return None
        return Sighting(
            person=PatientID(rows[0].person_id), facilities=frozenset(FacilityID(row.facility_id) for row in rows)
        )

    def _row_key(self, study: SourceStudy) -> _RowKey:
        return study.record_id, study.facility, self._keys.blind("sighting.study", study.uid)

    def _row(self, person: PatientID, study: SourceStudy, now: datetime) -> _Row:
        content = orjson.dumps(content_of(study)).decode()
        series = None if study.series is None else series_key(self._keys, [one.uid for one in study.series])
        return _Row(person, self._keys.blind("sighting.content", content), study.series is not None, now, series)

    def _take(
        self, person: PatientID, told: Mapping[Place, Told], known: Mapping[_RowKey, _Row], now: datetime
    ) -> tuple[dict[Place, list[Seen]], tuple[StudyUID, ...]]:
        """What is known once these answers are stored, and which of their UIDs another person has too."""
        rows = {self._row_key(study): (study.uid, self._row(person, study, now)) for study in _all_of(told)}
        changes: dict[_RowKey, tuple[StudyUID, _Row]] = {}
        for key, (uid, new) in rows.items():
            old = known.get(key)
            if (row := new if old is None else _as_it_now_is(old, new)) != old:
                changes[key] = (uid, row)
        if not changes and not any(_are_told(self._keys_of(one), known, rows) for one in told.values()):
            # Told in less detail than it is known: nothing is new, and nothing to be remembered by.
            return {place: _seen_of(self._keys_of(one), known) for place, one in told.items()}, ()
        with writing(self._engine) as connection:
            forget(connection, told)
            shared = self._store(person, changes, known, connection)
            now_known = _find_rows(connection, {record for record, _ in told})
            seen = {}
            for place, one in told.items():
                keys = self._keys_of(one)
                seen[place] = _seen_of(keys, now_known)
                # A query that saw something else meanwhile has the last word.
                if _are_told(keys, now_known, rows):
                    remember(connection, place, one.key, seen[place])
        return seen, shared

    def _keys_of(self, told: Told) -> list[_RowKey]:
        return [self._row_key(study) for study in told.studies]

    def _store(
        self,
        person: PatientID,
        changes: Mapping[_RowKey, tuple[StudyUID, _Row]],
        known: Mapping[_RowKey, _Row],
        connection: Connection,
    ) -> tuple[StudyUID, ...]:
        """All of `changes` is stored; those of their UIDs that another person has too."""
        if not changes:
            return ()
        before = {study_key for (_, _, study_key), row in known.items() if row.person_id == person}
        new = {key[2]: uid for key, (uid, _) in changes.items() if key[2] not in before}
        # In one order in every process: two that see the same studies first must not wait for one another.
        rows = [self._values(key, uid, row) for key, (uid, row) in sorted(changes.items())]
        _insert([row for row in rows if _key_of(row) not in known], connection)
        for row in rows:
            if (old := known.get(_key_of(row))) is not None:
                _update(row, old, connection)
        shared = _of_another_person(connection, person, list(new))
        return tuple(new[key] for key in new if key in shared)

    def _values(self, key: _RowKey, uid: StudyUID, row: _Row) -> dict[str, Any]:
        record_id, facility_id, study_key = key
        return {
            "record_id": record_id,
            "facility_id": facility_id,
            "study_key": study_key,
            "person_id": row.person_id,
            "study_id": self._study_id(PatientID(row.person_id), uid),
            "content_key": row.content_key,
            "with_series": row.with_series,
            "first_seen": row.first_seen,
            "series_key": row.series_key,
        }


def series_key(keys: KeyRing, uids: Iterable[str]) -> bytes:
    """By which two facilities' series of a study are compared: equal where they hold the same."""
    return keys.blind("sighting.series", *sorted(uids))


def _all_of(told: Mapping[Place, Told]) -> list[SourceStudy]:
    return [study for one in told.values() for study in one.studies]


def _seen_of(keys: Sequence[_RowKey], known: Mapping[_RowKey, _Row]) -> list[Seen]:
    return [Seen(known[key].first_seen, known[key].study_id) for key in keys]


def _are_told(
    keys: Sequence[_RowKey], known: Mapping[_RowKey, _Row], told: Mapping[_RowKey, tuple[StudyUID, _Row]]
) -> bool:
    """Whether what is known of these studies is exactly what was told: person, content and series."""
    return all(known[key][:3] == told[key][1][:3] for key in keys)


def _as_it_now_is(old: _Row, new: _Row) -> _Row:
    """What to remember: a change, the same study told in more detail (no change), or what was known already."""
    if old.with_series == new.with_series:
        row = old if old.content_key == new.content_key else new
    elif new.with_series:
        row = new._replace(first_seen=old.first_seen)
    else:
        row = old
    return row._replace(person_id=new.person_id) if row.person_id != new.person_id else row


_COLUMNS = sighting.c
_KEY_COLUMNS = (_COLUMNS.record_id, _COLUMNS.facility_id, _COLUMNS.study_key)
_FIND = Prepared(
    select(*_KEY_COLUMNS, *[_COLUMNS[name] for name in _Row._fields]).where(
        _COLUMNS.record_id.in_(bindparam("records", expanding=True))
    )
)


def _find_rows(connection: Connection | Looking, records: Collection[int]) -> dict[_RowKey, _Row]:
    return {
        (record, facility, key): _Row(*row)
        for record, facility, key, *row in _FIND.all(connection, records=sorted(records))
    }


def _insert(rows: Sequence[dict[str, Any]], connection: Connection) -> None:
    if rows:
        # A query in another thread may have been first; its row stands.
        connection.execute(insert_into(sighting, connection).on_conflict_do_nothing(), rows)


def _update(row: dict[str, Any], old: _Row, connection: Connection) -> None:
    # Only what is still as it was read is changed: of two queries that see the same change, one moment stands.
    connection.execute(
        update(sighting)
        .where(*(column == row[column.name] for column in _KEY_COLUMNS))
        .where(_COLUMNS.content_key == old.content_key, _COLUMNS.first_seen == old.first_seen)
        .values(row)
    )


def _key_of(values: Mapping[str, Any]) -> _RowKey:
    return values["record_id"], values["facility_id"], values["study_key"]


def _of_another_person(connection: Connection, person: PatientID, study_keys: Sequence[bytes]) -> set[bytes]:
    found: set[bytes] = set()
    for start in range(0, len(study_keys), _MOST_KEYS_A_STATEMENT):
        batch = study_keys[start : start + _MOST_KEYS_A_STATEMENT]
        found.update(
            connection.scalars(
                select(_COLUMNS.study_key).where(_COLUMNS.study_key.in_(batch), _COLUMNS.person_id != person).distinct()
            )
        )
    return found
