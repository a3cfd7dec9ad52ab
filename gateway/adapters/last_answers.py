"""What was told last of a record: where it is told again, nothing need be looked up study by study.

Nearly every answer of an archive is the one it gave the time before. For each record the last one is kept as a keyed
hash, and beside it what the table of sightings said of its studies then. Whoever changes that table for a record
replaces this row first, so that it never speaks of a state that has passed.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from struct import Struct
from typing import Any, NamedTuple

from msgspec.json import Encoder
from sqlalchemy import Connection, bindparam, select, update

from gateway.adapters.tables import last_answer
from gateway.db.base import EPOCH
from gateway.db.crypto import KeyRing
from gateway.db.lookup import Looking
from gateway.db.prepared import Prepared
from gateway.db.upsert import insert_into
from gateway.imaging.study import SourceStudy
from gateway.model import FacilityID, PatientID

Place = tuple[int, FacilityID]
"""A record, and the facility that was asked about it."""
_encode = Encoder().encode
_uid = attrgetter("uid")
_SEEN = Struct(">q16s")
_NONE = b""
_A_MICROSECOND = timedelta(microseconds=1)
_COLUMNS = last_answer.c
_FIND = Prepared(
    select(_COLUMNS.record_id, _COLUMNS.facility_id, _COLUMNS.answer_key, _COLUMNS.seen).where(
        _COLUMNS.record_id.in_(bindparam("records", expanding=True))
    )
)


class Told(NamedTuple):
    """What a facility tells of one record, this time."""

    key: bytes
    studies: Sequence[SourceStudy]


class Seen(NamedTuple):
    """Since when a source of a study is as it is, and the study's id."""

    first_seen: datetime
    study_id: bytes


def told_of(person: PatientID, studies: Sequence[SourceStudy], keys: KeyRing) -> dict[Place, Told]:
    """The studies by record and facility, in the order of their UIDs, with a key that equal answers share."""
    places: dict[Place, list[SourceStudy]] = {}
    for study in studies:
        places.setdefault((study.record_id, study.facility), []).append(study)
    found = {}
    for place, held in places.items():
        held.sort(key=_uid)
        found[place] = Told(keys.blind("sighting.answer", person, _encode(held).decode()), held)
    return found


def content_of(study: SourceStudy) -> tuple[Any, ...]:
    """What makes a study look different."""
    series = study.series and [(*one[:-1], one.started and one.started.text) for one in sorted(study.series, key=_uid)]
    return (
        *(study.started and study.started.text, study.modalities, study.description, study.accession),
        *(study.referrer, study.procedure_codes, study.availability),
        *(study.number_of_series, study.number_of_instances, series),
    )


def find_seen(connection: Connection | Looking, told: Mapping[Place, Told]) -> dict[Place, list[Seen]]:
    """For each place that tells what it told last: what is known of its studies, in their order."""
    found = {}
    for record, facility, key, seen in _FIND.all(connection, records=sorted({record for record, _ in told})):
        now = told.get((record, facility))
        if now is not None and now.key == key:
            found[record, facility] = [
                Seen(EPOCH + timedelta(microseconds=micros), study_id) for micros, study_id in _SEEN.iter_unpack(seen)
            ]
    return found


def forget(connection: Connection, places: Collection[Place]) -> None:
    """What these places told last is not known; until this transaction ends, nobody else says what it is."""
    insert = insert_into(last_answer, connection)
    nothing = {"answer_key": _NONE, "seen": _NONE}
    # In one order in every process: two that are told of the same records must not wait for one another.
    connection.execute(
        insert.on_conflict_do_update(index_elements=[_COLUMNS.record_id, _COLUMNS.facility_id], set_=nothing),
        [{"record_id": record, "facility_id": facility, **nothing} for record, facility in sorted(places)],
    )


def remember(connection: Connection, place: Place, key: bytes, seen: Sequence[Seen]) -> None:
    """This is what the place told last; `seen` in the order of `told_of`. After `forget`, in its transaction."""
    record, facility = place
    packed = b"".join([_SEEN.pack((one.first_seen - EPOCH) // _A_MICROSECOND, one.study_id) for one in seen])
    connection.execute(
        update(last_answer)
        .where(_COLUMNS.record_id == record, _COLUMNS.facility_id == facility)
        .values(answer_key=key, seen=packed)
    )
