"""Which identifiers a person's records carry, for whatever is filed under an identifier rather than a person."""

from sqlalchemy import bindparam, case, func, not_, or_, select

from gateway.mpi.tables import record, record_identifier

_own, _own_identifier = record.alias("own"), record_identifier.alias("own_identifier")
_other, _other_identifier = record.alias("other"), record_identifier.alias("other_identifier")

CARRIED = select(record_identifier.c.identifier_key)
"""The keyed hash of every identifier that any record carries."""

_carried_by_another = (
    # Somebody who carries it on an inactive record alone doesn't make it doubtful whose it is today.
    select(_other_identifier.c.record_id)
    .join(_other, _other.c.record_id == _other_identifier.c.record_id)
    .where(
        _other_identifier.c.identifier_key == _own_identifier.c.identifier_key,
        _other.c.person_id != _own.c.person_id,
        or_(_other.c.active, not_(_own.c.active)),
    )
    .exists()
)

CARRIED_BY = (
    select(
        _own_identifier.c.identifier_key,
        func.min(case((_carried_by_another, 1), else_=0)).label("shared"),
    )
    .join(_own, _own.c.record_id == _own_identifier.c.record_id)
    .where(_own.c.person_id == bindparam("patient"))
    .group_by(_own_identifier.c.identifier_key)
)
"""The keyed hash of each identifier that records of `patient` carry, and `shared`: 1 where it doesn't tell whose it is
today, because records of another person carry it too."""
