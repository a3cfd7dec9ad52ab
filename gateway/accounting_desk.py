"""What left the exchange about this person? For the patient, an auditor, a privacy officer; and itself on record."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.audit.accounting import YEARS, Accounting, Directory, Kind, disclosures_in, years_before
from gateway.audit.log import StoredAuditLog
from gateway.audit.record import AuditRecord
from gateway.model import Facility, PatientID


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountingDesk:
    """What an accounting needs."""

    audit: StoredAuditLog
    facilities: Callable[[], Sequence[Facility]]

    def account(
        self,
        patients: Sequence[PatientID],
        kind: Kind,
        now: datetime,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Accounting:
        """Every disclosure about the one person known by `patients`, the id of today first.

        The span is the law's unless it is given. That it was asked for is the caller's to record, first. Raises
        AuditRecordBroken, DependencyUnavailable.
        """
        until = until or now
        since = since or years_before(until, YEARS[kind])
        facilities = self.facilities()
        directory = Directory(
            names={one.id: one.name for one in facilities}, part2={one.id for one in facilities if one.part2}
        )
        found = disclosures_in(self._records(patients, since, until), kind, directory)
        return Accounting(
            patient=patients[0],
            kind=kind,
            since=since,
            until=until,
            made_at=now,
            disclosures=tuple(sorted(found, key=lambda one: one.at)),
        )

    def _records(self, patients: Sequence[PatientID], since: datetime, until: datetime) -> Iterator[AuditRecord]:
        return self.audit.read(patients=patients, since=since, until=until)
