"""What is done and what is recorded of it, stored together: neither is there without the other."""

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import Connection

from gateway.audit.record import AuditLog, AuditRecord


class AuditWithin(AuditLog, Protocol):
    """An AuditLog that also takes part in a transaction on the same database."""

    def record_within(self, connection: Connection, records: Sequence[AuditRecord]) -> None:
        """All of `records` are stored once the transaction of `connection` is, and only then.

        Raises AuditUnavailable where they can't be: the transaction must not be committed then.
        """
        ...
