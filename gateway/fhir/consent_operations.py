"""`$fileConsent` and `$revokeConsent` as HL7's FAST Consent Management has them: what comes in, and what goes out.

In come Parameters with the Consent, a document of it (a signed form, answers to a questionnaire) and, to revoke it, the
patient. Out go Parameters with an OperationOutcome (`return`) and the Consent: FAST has no other way to tell its id. A
bare Consent may come in, and is what goes out then.
"""

from collections.abc import Mapping
from typing import Any

from gateway.consent.fhir_consent import is_r5
from gateway.consent.fhir_r4 import EXTENSION
from gateway.consent.fhir_reference import patients_in
from gateway.errors import InvalidQuery, LoadRefused
from gateway.fhir.consent_body import parameters_in
from gateway.fhir.consent_told import Told
from gateway.fhir.operation_outcome import outcome
from gateway.model import Identifier, PatientID, PatientRef

_DOCUMENTS = ("DocumentReference", "QuestionnaireResponse")
Resource = dict[str, Any]


def document_in(resource: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The document that comes with an operation; None where none does. Raises InvalidQuery for anything but one."""
    found = [one.get("resource") for one in parameters_in(resource) if _is_about(one, "document", "questionnaire")]
    if not found:
        return None
    document = found[0]
    if len(found) > 1 or not isinstance(document, dict) or document.get("resourceType") not in _DOCUMENTS:
        raise InvalidQuery("expected one document, a " + " or a ".join(_DOCUMENTS))
    if "contained" in document:
        raise InvalidQuery("a document is kept within the Consent, and can contain no other resource")
    return document


def with_document(consent: Mapping[str, Any], document: Mapping[str, Any], name: str) -> Resource:
    """The Consent with the document in it, as a source of it beside those that it names.

    R4 has one source; a further one is told as R5's. Raises LoadRefused where something
    else than a list stands where it would be.
    """
    kept = _listed(consent, "contained")
    taken = [one.get("id") for one in kept if isinstance(one, dict)]
    id_ = next(one for one in (name, *(f"{name}-{number}" for number in range(len(kept) + 1))) if one not in taken)
    reference = {"reference": f"#{id_}"}
    told: Resource = {**consent, "contained": [*kept, {**document, "id": id_}]}
    if is_r5(consent):
        return {**told, "sourceReference": [*_listed(consent, "sourceReference"), reference]}
    if not consent.keys() & {"sourceAttachment", "sourceReference"}:
        return {**told, "sourceReference": reference}
    further = {"url": f"{EXTENSION}sourceReference", "valueReference": reference}
    return {**told, "extension": [*_listed(consent, "extension"), further]}


def _listed(consent: Mapping[str, Any], element: str) -> list[Any]:
    stated = consent.get(element, [])
    if not isinstance(stated, list):
        raise LoadRefused([f"Consent.{element}: expected a list"])
    return stated


def patients_named_in(resource: Mapping[str, Any], base: str) -> tuple[PatientRef, ...]:
    """Each way in which the parameter `patient` names a patient: a Patient, a reference; none where it isn't there."""
    found: list[PatientRef] = []
    for one in parameters_in(resource):
        if _is_about(one, "patient"):
            reference, patient = one.get("valueReference"), one.get("resource")
            found += patients_in(reference, base) if isinstance(reference, dict) else ()
            found += _refs_of(patient) if isinstance(patient, dict) else ()
            if not found:
                raise InvalidQuery("patient: expected a Patient with its id or an identifier, or a reference")
    return tuple(found)


def _refs_of(patient: Mapping[str, Any]) -> list[PatientRef]:
    stated = patient.get("identifier")
    identifiers = [one for one in (stated if isinstance(stated, list) else ()) if isinstance(one, dict)]
    refs = [
        PatientRef(identifier=Identifier(one["system"], one["value"]))
        for one in identifiers
        if isinstance(one.get("system"), str) and isinstance(one.get("value"), str)
    ]
    id_ = patient.get("id")
    return refs or ([PatientRef(id=PatientID(id_))] if isinstance(id_, str) else [])


def answer_of(asked: Mapping[str, Any], told: Told, words: str) -> Resource:
    """What the operation answers: Parameters to Parameters, else the Consent."""
    if asked.get("resourceType") != "Parameters":
        return told.resource
    if told.resource["resourceType"] == "OperationOutcome":
        return {"resourceType": "Parameters", "parameter": [{"name": "return", "resource": told.resource}]}
    done = outcome("information", "informational", f"Consent/{told.resource['id']}, version {told.version}: {words}")
    return {
        "resourceType": "Parameters",
        "parameter": [{"name": "return", "resource": done}, {"name": "consent", "resource": told.resource}],
    }


def _is_about(parameter: Mapping[str, Any], *names: str) -> bool:
    return str(parameter.get("name")).lower() in names  # FAST writes them with and without a capital
