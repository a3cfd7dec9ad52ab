"""The master patient index, as a query sees it."""

from collections.abc import Sequence
from typing import Protocol

from gateway.model import PatientIdentity, PatientRef


class MasterPatientIndex(Protocol):
    """Which person is meant, and which records in which domains are theirs."""

    def resolve(self, ref: PatientRef) -> PatientIdentity | None:
        """The one person meant, or None where unknown or ambiguous. Retired ids resolve to the survivor.

        Raises DependencyUnavailable where the index can't be read.
        """
        ...

    def find_carriers(self, ref: PatientRef) -> Sequence[PatientIdentity]:
        """Persons between whom an identifier does not decide, at least two; none where it names one or nobody.

        Raises DependencyUnavailable where the index can't be read.
        """
        ...
