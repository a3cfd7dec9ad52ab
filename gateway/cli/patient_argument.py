"""How an operator names a patient on the command line."""

from gateway.model import Identifier, PatientID, PatientRef


def patient_ref(text: str) -> PatientRef:
    """The patient named as an id, `Patient/{id}` or `system|value`."""
    system, bar, value = text.partition("|")
    if bar:
        return PatientRef(identifier=Identifier(system, value))
    return PatientRef(id=PatientID(text.removeprefix("Patient/")))
