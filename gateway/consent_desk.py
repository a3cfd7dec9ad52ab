"""The desk where what a patient has decided is handed in: read, its patient looked up, and ready to be filed.

The FHIR API and the operators' shell file through it, so that both accept and refuse the same.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.adapters.base import Sighting
from gateway.consent.fhir_consent import from_consent, patients_of, require_policies
from gateway.consent.fhir_reference import FacilityNames, facility_names
from gateway.consent.fhir_structure import require_structure
from gateway.consent.groups import StoredGroups
from gateway.consent.groups_file import group_names
from gateway.consent.store import Filing, StoredConsents
from gateway.db.crypto import KeyRing
from gateway.errors import LoadRefused
from gateway.model import Facility, PatientID
from gateway.mpi.index import MasterPatientIndex
from gateway.mpi.sealed import identifier_key

_STUDY = "ImagingStudy/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What facilities and groups may be called, at one moment."""

    facilities: FacilityNames
    groups: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentDesk:
    """What reading a Consent needs of the exchange."""

    consents: StoredConsents
    groups: StoredGroups
    mpi: MasterPatientIndex
    facilities: Callable[[], Sequence[Facility]]
    find_study: Callable[[str], Sighting | None]
    keys: KeyRing
    base: str
    """The FHIR base URL."""
    policies: frozenset[str] = frozenset()
    """The policies that this community knows, beside IHE PCF's; empty where any URI may name one."""

    def names(self) -> Names:
        """As of now."""
        return Names(
            facilities=facility_names(self.facilities(), self.base), groups=group_names(self.groups.all(), self.base)
        )

    def read(self, resource: Mapping[str, Any], names: Names | None = None) -> Filing:
        """The Consent, ready to be filed for its patient. Raises LoadRefused that lists by path what is wrong."""
        patient: tuple[PatientID, bytes | None] | None = None
        problems: list[str] = []
        try:
            patient = self._patient(resource)
        except LoadRefused as exc:
            problems += exc.problems
        try:
            names = self.names() if names is None else names
            known = {**names.groups, **self._studies(resource, patient[0] if patient else None)}
            consent = from_consent(resource, names.facilities, known)
            require_structure(resource)
            if self.policies:
                require_policies(resource, self.policies)
        except LoadRefused as exc:
            raise LoadRefused([*exc.problems, *(one for one in problems if one not in exc.problems)]) from exc
        if patient is None:
            raise LoadRefused(problems)
        return Filing(patient=patient[0], consent=consent, resource=resource, identifier_key=patient[1])

    def _patient(self, resource: Mapping[str, Any]) -> tuple[PatientID, bytes | None]:
        refs = patients_of(resource, self.base)
        found = [self.mpi.resolve(ref) for ref in refs]
        persons = {patient.id for patient in found if patient is not None}
        if None in found:
            raise LoadRefused(["patient not known"])
        if len(persons) > 1:
            raise LoadRefused(["Consent.patient: its reference and its identifier mean two persons"])
        keys = [identifier_key(self.keys, ref.identifier) for ref in refs if ref.identifier is not None]
        return persons.pop(), keys[0] if keys else None

    def _studies(self, resource: Mapping[str, Any], patient: PatientID | None) -> dict[str, str]:
        """The studies of the patient that the Consent names by `ImagingStudy/{id}`, by each of their names."""
        known: dict[str, str] = {}
        for name in _study_references(resource.get("provision"), self.base):
            sighting = self.find_study(name.removeprefix(_STUDY))
            if sighting is not None and sighting.person == patient:
                known |= {name: name, f"{self.base}/{name}": name}
        return known


def _study_references(provision: object, base: str) -> set[str]:
    found: set[str] = set()
    waiting = [provision]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            waiting += node.values()
            reference = node.get("reference")
            if isinstance(reference, str) and reference.removeprefix(f"{base}/").startswith(_STUDY):
                found.add(reference.removeprefix(f"{base}/"))
    return found
