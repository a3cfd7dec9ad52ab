"""What a patient is called, for a person who acts for several and has to say about whom they ask."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.model import PatientID, PatientRef
from gateway.rooms import Rooms

_UNNAMED = "A patient without a name on record"


@dataclass(frozen=True, slots=True)
class PatientNames:
    """Looks names up in the index."""

    rooms: Rooms

    def __call__(self, patient: PatientID) -> str:
        """The name on the first record that has one. Raises DependencyUnavailable."""
        person = self.rooms.mpi.resolve(PatientRef(id=patient))
        if person is None:
            return _UNNAMED
        records = self.rooms.records.find_record_patients(person)
        names = (_written(name) for number in sorted(records) for name in records[number].get("name", ()))
        return next((name for name in names if name), _UNNAMED)


def _written(name: Mapping[str, Any]) -> str:
    parts = [*name.get("given", ()), name.get("family")]
    return name.get("text") or " ".join(part for part in parts if isinstance(part, str))
