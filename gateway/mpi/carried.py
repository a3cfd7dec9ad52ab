"""Which identifiers a person's records carry, for whatever is filed under an identifier rather than a person."""

from sqlalchemy import BindParameter, ColumnElement, bindparam, case, literal_column, not_, select

from gateway.mpi.tables import record, record_identifier

CARRIED = select(record_identifier.c.identifier_key)
"""The keyed hash of every identifier that any record carries."""

_patient: BindParameter[str] = bindparam("patient")
_carried = (
    select(record_identifier.c.identifier_key)
    .join(record, record.c.record_id == record_identifier.c.record_id)
    .where(record.c.person_id == _patient)
    .distinct()
    .subquery("own")
)
_identifier, _record = record_identifier.alias("identifier"), record.alias("carrier")


def _carrier(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether a record that carries the identifier holds all of `conditions`."""
    # One row sought by its key. PostgreSQL may turn an EXISTS into a hash of all identifiers there are.
    return (
        select(_identifier.c.record_id)
        .join(_record, _record.c.record_id == _identifier.c.record_id)
        .where(_identifier.c.identifier_key == _carried.c.identifier_key, *conditions)
        .limit(literal_column("1"))
        .correlate(_carried)
        .scalar_subquery()
        .is_not(None)
    )


_is_own, _is_anothers = _record.c.person_id == _patient, _record.c.person_id != _patient
# Somebody who carries it on an inactive record alone doesn't make it doubtful whose it is today.
_shared = _carrier(_is_anothers, _record.c.active) | (
    _carrier(_is_anothers) & not_(_carrier(_is_own, _record.c.active))
)

CARRIED_BY = select(_carried.c.identifier_key, case((_shared, 1), else_=0).label("shared"))
"""The keyed hash of each identifier that records of `patient` carry, and `shared`: 1 where it doesn't tell whose it is
today, because records of another person carry it too."""
