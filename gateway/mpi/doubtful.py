"""Whose links could be others than they are: nobody has to look at a person alone with what it says."""

from collections.abc import Sequence

from sqlalchemy import Connection, exists, func, or_, select

from gateway.model import PatientID
from gateway.mpi.tables import person, record, record_identifier

_own, _shared, _other = record.alias("own"), record_identifier.alias("shared"), record_identifier.alias("other")
_SEVERAL_RECORDS = select(func.count()).select_from(_own).where(_own.c.person_id == person.c.id).scalar_subquery() > 1
_SHARES_AN_IDENTIFIER = exists(
    select(_own.c.record_id)
    .join(_shared, _shared.c.record_id == _own.c.record_id)
    .join(_other, (_other.c.identifier_key == _shared.c.identifier_key) & (_other.c.record_id != _own.c.record_id))
    .where(_own.c.person_id == person.c.id)
)


def find_doubtful(connection: Connection, after: str, most: int) -> Sequence[PatientID]:
    """Up to `most` persons who are not retired and have several records, or one that shares an identifier with another,
    in id order, from the first one after `after`."""
    statement = select(person.c.id).where(
        person.c.retired_at.is_(None), person.c.id > after, or_(_SEVERAL_RECORDS, _SHARES_AN_IDENTIFIER)
    )
    return [PatientID(one) for one in connection.execute(statement.order_by(person.c.id).limit(most)).scalars()]
