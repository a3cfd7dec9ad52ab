"""Whose links could be others than they are: nobody has to look at a person alone with what it says."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, select

from gateway.db.session import in_parts
from gateway.model import PatientID
from gateway.mpi.tables import person, record, record_identifier

_PERSONS_A_LOOK = 500
_other = record_identifier.alias("other")
_LIVE = (
    select(person.c.id)
    .where(person.c.retired_at.is_(None), person.c.id > bindparam("after"))
    .order_by(person.c.id)
    .limit(_PERSONS_A_LOOK)
)
_RECORDS = select(record.c.person_id, record.c.record_id).where(
    record.c.person_id.in_(bindparam("wanted", expanding=True))
)
_SHARED = (
    select(record_identifier.c.record_id)
    .distinct()
    .join(_other, _other.c.identifier_key == record_identifier.c.identifier_key)
    .where(
        record_identifier.c.record_id.in_(bindparam("wanted", expanding=True)),
        _other.c.record_id != record_identifier.c.record_id,
    )
)


def find_doubtful(connection: Connection, after: str, most: int) -> Sequence[PatientID]:
    """Up to `most` persons who are not retired and have several records, or one that shares an identifier with another,
    in id order, from the first one after `after`."""
    found: list[PatientID] = []
    while not found:
        live = connection.execute(_LIVE, {"after": after}).scalars().all()
        if not live:
            break
        found = _among(connection, live)
        after = live[-1]
    return found[:most]


def _among(connection: Connection, live: Sequence[str]) -> list[PatientID]:
    # Asked in steps, each by key: as one question a database may well answer it by reading whole tables.
    records: defaultdict[str, list[int]] = defaultdict(list)
    for owner, number in connection.execute(_RECORDS, {"wanted": live}):
        records[owner].append(number)
    single = {numbers[0]: owner for owner, numbers in records.items() if len(numbers) == 1}
    doubtful = {owner for owner, numbers in records.items() if len(numbers) > 1}
    for part in in_parts(sorted(single)):
        doubtful.update(single[number] for number in connection.execute(_SHARED, {"wanted": part}).scalars())
    return [PatientID(one) for one in sorted(doubtful)]
