"""Whose is a study? The persons under whom facilities have shown it, as the index links their records now."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sqlalchemy import Engine, bindparam, select

from gateway.adapters.sightings import series_key
from gateway.adapters.tables import last_answer, sighting
from gateway.db.crypto import KeyRing
from gateway.db.lookup import Looking, looking, looking_on
from gateway.db.prepared import Prepared
from gateway.model import FacilityID, PatientID, StudyUID
from gateway.mpi.tables import record

RecordKey = tuple[int, str]
"""Number of a record, and the system of its identifier: the domain that it is of."""


class Shown(NamedTuple):
    """That a facility has shown the study under one of its records."""

    record_id: int
    facility: FacilityID
    series_key: bytes | None
    """Of the series it told of (`adapters/sightings.py`); None where it told of none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A person under whom the study has been shown, with all records that are theirs now."""

    person: PatientID
    records: tuple[RecordKey, ...]
    seen: tuple[Shown, ...]
    """Where it was shown."""

    def seen_at(self, facility: FacilityID) -> bool:
        """Whether that facility has shown it under this person."""
        return any(one.facility == facility for one in self.seen)


class Holders(Protocol):
    """Whose studies are. Every method raises DependencyUnavailable where that can't be read."""

    def looking(self) -> AbstractContextManager[None]:
        """While this lasts, this thread's look-ups may share what they look up by."""
        ...

    def find(self, uid: StudyUID) -> Sequence[Holder]:
        """Everybody under whom a facility has shown the study, in the order of their ids; mostly one."""
        ...

    def is_shown_now(self, uid: StudyUID, holder: Holder, facility: FacilityID) -> bool:
        """Whether the facility told of it when it was last asked about this person: archives move studies."""
        ...

    def has_series(self, shown: Shown, series: frozenset[str]) -> bool:
        """Whether the facility told of exactly these series."""
        ...


_OTHER = record.alias("other")
_SEEN = sighting.c
_FIND = Prepared(
    select(
        *(_SEEN.record_id, _SEEN.facility_id, _SEEN.series_key, record.c.person_id, _OTHER.c.record_id),
        _OTHER.c.system,
    )
    .join(record, record.c.record_id == _SEEN.record_id)
    .join(_OTHER, _OTHER.c.person_id == record.c.person_id)
    .where(_SEEN.study_key == bindparam("study"), record.c.active, _OTHER.c.active)
    .order_by(_OTHER.c.record_id)
)
_LAST = Prepared(
    select(last_answer.c.seen).where(
        last_answer.c.record_id == bindparam("record"), last_answer.c.facility_id == bindparam("facility")
    )
)
_STUDY_ID = Prepared(
    select(_SEEN.study_id).where(
        _SEEN.record_id == bindparam("record"),
        _SEEN.facility_id == bindparam("facility"),
        _SEEN.study_key == bindparam("study"),
    )
)


class StudyHolders:
    """The `Holders` of a deployment. Whose a study is, is one statement."""

    def __init__(self, engine: Engine, keys: KeyRing) -> None:
        self._engine = engine
        self._keys = keys

    def looking(self) -> AbstractContextManager[None]:
        """While this lasts, this thread's look-ups share one connection."""
        return looking_on(self._engine)

    def find(self, uid: StudyUID) -> Sequence[Holder]:
        """Everybody under whom a facility has shown the study, in the order of their ids; mostly one."""
        with looking(self._engine) as session:
            rows = _FIND.all(session, study=self._key(uid))
        persons: dict[str, tuple[dict[RecordKey, None], dict[Shown, None]]] = {}
        for shown, facility, series, person, record_id, system in rows:
            records, seen = persons.setdefault(person, ({}, {}))
            records[record_id, system] = None
            seen[Shown(shown, facility, series)] = None
        return [
            Holder(person=PatientID(person), records=tuple(records), seen=tuple(seen))
            for person, (records, seen) in sorted(persons.items())
        ]

    def is_shown_now(self, uid: StudyUID, holder: Holder, facility: FacilityID) -> bool:
        """Whether the facility told of it when it was last asked about this person: archives move studies."""
        with looking(self._engine) as session:
            return any(self._is_shown(session, uid, one) for one in holder.seen if one.facility == facility)

    def has_series(self, shown: Shown, series: frozenset[str]) -> bool:
        """Whether the facility told of exactly these series."""
        return shown.series_key is not None and bytes(shown.series_key) == series_key(self._keys, series)

    def _is_shown(self, session: Looking, uid: StudyUID, shown: Shown) -> bool:
        record_id, facility, _ = shown
        last = _LAST.first(session, record=record_id, facility=facility)
        if last is None or not last[0]:
            return True  # nobody knows: it counts as shown
        study_id = _STUDY_ID.first(session, record=record_id, facility=facility, study=self._key(uid))
        return study_id is not None and bytes(study_id[0]) in bytes(last[0])

    def _key(self, uid: StudyUID) -> bytes:
        return self._keys.blind("sighting.study", uid)
