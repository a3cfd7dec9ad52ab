"""A record that its domain has never sent before: judged first and written once, to the person it is likely to be.

Most records are nobody's but their own, or one person's beyond doubt. The `Linker` has the last word on all that share
anything with another.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from gateway.db.crypto import KeyRing
from gateway.db.prepared import Prepared
from gateway.model import PatientID
from gateway.mpi.demographics import comparable
from gateway.mpi.grouping import Candidate
from gateway.mpi.linker import Arrived, Linker, Relinked
from gateway.mpi.links import MOST_CARRIERS
from gateway.mpi.matching import Judged, Matching
from gateway.mpi.patient_record import PatientRecord
from gateway.mpi.persons import PersonStore
from gateway.mpi.ready import Ready
from gateway.mpi.review import Question
from gateway.mpi.sealed import open_comparable
from gateway.mpi.store import RecordStore, new_person_id
from gateway.mpi.tables import record, record_identifier

_CARRIERS = Prepared(
    select(record.c.person_id, record.c.active)
    .distinct()
    .join(record_identifier, record_identifier.c.record_id == record.c.record_id)
    .where(record_identifier.c.identifier_key.in_(bindparam("wanted", expanding=True)))
    .limit(MOST_CARRIERS)
)
_FEW = 4
"""Persons that are worth reading before it is known that they matter: with more, the identifier may say nothing."""


@dataclass(frozen=True, slots=True)
class _Carriers:
    """The persons of the records that share a strong identifier, and of those among them that are active."""

    persons: Collection[PatientID]
    active: Collection[PatientID]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What has become of a new record."""

    person: PatientID
    relinked: Relinked
    asked: Sequence[Question]
    """What a steward is to be asked about it."""


class Arrivals:
    """New records, inside one transaction of `index_writing`."""

    def __init__(
        self,
        connection: Connection,
        keys: KeyRing,
        records: RecordStore,
        linker: Linker,
        matching: Matching | None,
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._records = records
        self._linker = linker
        self._matching = matching
        self._persons = PersonStore(connection)

    def add(self, patient: PatientRecord, ready: Ready, now: datetime) -> Arrival:
        """The record, which has been made `ready`, is stored and linked."""
        strong = self._linker.strong_keys(patient.identifiers)
        carriers = self._carriers(sorted(strong))
        judged: Judged | None = None
        if self._matching is not None and patient.active and ready.comparable is not None:
            said = open_comparable(self._keys, ready.source, ready.comparable)
            judged = self._matching.judge(said, ready.tight, carriers.active)
        wanted = [match.person for match in judged.matched] if judged else []
        own = new_person_id()
        home = _home(own, wanted, carriers.active) if patient.active else own
        if home == own:
            self._persons.add([own], now)
        record_id = self._records.add_ready(ready, home, now)
        arrived = Arrived(
            candidate=Candidate(
                record_id=record_id,
                person_id=own,
                active=patient.active,
                strong=strong,
                names=comparable(patient.demographics),
                fresh=True,
            ),
            home=home,
            at=now,
        )
        if self._matching is not None and judged is not None and judged.matched:
            self._matching.add_matches(judged.matches(record_id), now)
        if wanted or carriers.persons:
            persons = {*wanted, *(carriers.persons if len(carriers.persons) <= _FEW else ())}
            relinked = self._linker.link(persons, now, keys=strong.keys(), arrived=arrived)
        else:
            relinked = self._linker.add_alone(arrived, now)
        (move,) = [one for one in relinked.moves if one.record_id == record_id]
        asked = judged.questions(record_id) if judged else []
        return Arrival(person=move.person_id, relinked=relinked, asked=asked)

    def _carriers(self, strong: Sequence[bytes]) -> _Carriers:
        found = _CARRIERS.all(self._connection, wanted=strong) if strong else []
        return _Carriers({PatientID(one) for one, _ in found}, {PatientID(one) for one, active in found if active})


def _home(own: PatientID, wanted: Sequence[PatientID], carriers: Collection[PatientID]) -> PatientID:
    if wanted:
        return wanted[0]
    return next(iter(carriers)) if len(carriers) == 1 else own
