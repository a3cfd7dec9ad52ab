"""What left the exchange about this person? For the patient, an auditor, a privacy officer; and itself on record."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from gateway.audit.accounting import Accounting, Directory, Disclosure, Kind, disclosures_in, span_of
from gateway.audit.log import StoredAuditLog
from gateway.model import Facility, PatientID
from gateway.mpi.stays import Elsewhere, Shared


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountingDesk:
    """What an accounting needs."""

    audit: StoredAuditLog
    facilities: Callable[[], Sequence[Facility]]
    elsewhere: Callable[[Collection[PatientID]], Sequence[Elsewhere]]
    """When the person's records were taken for somebody else's (`mpi/stays.py`)."""
    shared: Callable[[Collection[PatientID]], Sequence[Shared]]
    """When somebody else's were taken for the person's."""

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

        The span is the law's unless it is given (`span_of`). That it was asked for is the caller's to record, first.
        Raises InvalidQuery, AuditRecordBroken, DependencyUnavailable.
        """
        since, until = span_of(kind, now, since, until)
        facilities = self.facilities()
        directory = Directory(
            names={one.id: one.name for one in facilities}, part2={one.id for one in facilities if one.part2}
        )
        found = [
            *self._under_own_ids(patients, kind, directory, facilities, since, until),
            *self._under_wrong_links(patients, kind, directory, facilities, since, until),
        ]
        return Accounting(
            patient=patients[0],
            kind=kind,
            since=since,
            until=until,
            made_at=now,
            disclosures=tuple(sorted(found, key=lambda one: one.at)),
        )

    def _under_own_ids(
        self,
        patients: Sequence[PatientID],
        kind: Kind,
        directory: Directory,
        facilities: Sequence[Facility],
        since: datetime,
        until: datetime,
    ) -> Iterator[Disclosure]:
        """What was given as theirs, without what facilities gave that knew only another, taken for them then."""
        shared = self.shared(patients)
        for record in self.audit.read(patients=patients, since=since, until=until):
            then = [one for one in shared if one.person == record.patient and one.since <= record.recorded < one.until]
            domains = frozenset().union(*(one.systems for one in then)).difference(*(one.own for one in then))
            others = {one.id for one in facilities if one.identifier_system in domains}
            for told in disclosures_in([record], kind, directory):
                given = tuple(part for part in told.given if part.facility not in others)
                if given or told.other:
                    yield replace(told, given=given, wrong_link=bool(then))

    def _under_wrong_links(
        self,
        patients: Sequence[PatientID],
        kind: Kind,
        directory: Directory,
        facilities: Sequence[Facility],
        since: datetime,
        until: datetime,
    ) -> Iterator[Disclosure]:
        """What facilities that know the person gave under another's id, while their records were taken for theirs.

        So was who they are: a Patient that was told then held their records too.
        """
        for stay in self.elsewhere(patients):
            known = {one.id for one in facilities if one.identifier_system in stay.systems}
            begin, end = max(since, stay.since), min(until, stay.until)
            if begin >= end:
                continue
            for one in disclosures_in(self.audit.read(patients=[stay.person], since=begin, until=end), kind, directory):
                given = tuple(part for part in one.given if part.facility in known)
                # By their own id: that of the other is nobody's to read here.
                identity = any(reference.startswith("Patient/") for reference in one.other)
                if given or identity:
                    other = (f"Patient/{patients[0]}",) if identity else ()
                    yield replace(one, given=given, other=other, wrong_link=True)
