"""The one MetaData that every room's tables belong to, and the column types they share."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import BigInteger, Integer, LargeBinary, MetaData, TypeDecorator
from sqlalchemy.engine import Dialect

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

RowID = BigInteger().with_variant(Integer(), "sqlite")
"""A database-assigned row id (SQLite only auto-increments INTEGER)."""

Sealed = LargeBinary
"""A blob made by `KeyRing.seal`; opened only with the same table and row."""

BlindIndex = LargeBinary(16)
"""A keyed hash made by `KeyRing.blind`; equal values give equal hashes, and nothing else can be read from it."""


def as_stored(instant: datetime) -> int:
    """Whole microseconds since 1970 UTC. Raises ValueError where it has no offset."""
    if instant.tzinfo is None:
        msg = "an instant needs its offset"
        raise ValueError(msg)
    return (instant - EPOCH) // timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """An aware datetime, kept as whole microseconds since 1970 UTC in both databases."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Whole microseconds; naive values are refused."""
        return None if value is None else as_stored(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """The same instant, in UTC."""
        return None if value is None else EPOCH + timedelta(microseconds=value)
