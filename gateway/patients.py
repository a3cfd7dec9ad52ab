"""Reading a person of the index: identifiers and demographics, of those records only that this caller may know of."""

from dataclasses import dataclass
from typing import Any

from gateway.consent.decide import decide_query
from gateway.disclosure import Request, answer_record
from gateway.enumeration import require_few_identifiers
from gateway.errors import NotFound
from gateway.model import FacilityID, PatientIdentity, PatientRef, Requester, SourceRecord
from gateway.rooms import Rooms
from gateway.search import holders_of, permitted_records, require_bound_patient


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientAnswer:
    """A person as this caller may know them, audited."""

    patient: PatientIdentity
    records: tuple[tuple[SourceRecord, dict[str, Any]], ...]
    """The permitted source records with the FHIR Patient each domain sent."""


def find_patient(
    ref: PatientRef, requester: Requester, rooms: Rooms, request: Request, *, own: FacilityID | None = None
) -> PatientAnswer | None:
    """The person meant, or None where unknown or wholly withheld: the two look the same. Audited either way.

    Records of the facility `own` are the caller's own: it is told what it has told itself, whatever consent says.
    Raises AccessRefused where the token is bound to another patient.
    """
    require_few_identifiers([ref], requester, rooms, request)
    patient = rooms.mpi.resolve(ref)
    require_bound_patient(requester, ref, patient, rooms)
    now = rooms.clock()
    if patient is None:
        rooms.audit.record([answer_record(request, requester, None, now)])
        return None
    holders = holders_of(patient, rooms.facilities.all())
    floors = rooms.labels.floors([holder.facility for holder in holders.values()])
    decided = decide_query(rooms.consents.find(patient.id), requester, list(holders), now, floors)
    permitted = permitted_records(holders, decided)
    if own is not None and own in holders:
        permitted = tuple({one.record_id: one for one in (*permitted, *holders[own].records)}.values())
    answer = None
    if permitted:
        full = rooms.records.find_record_patients(patient)
        answer = PatientAnswer(patient=patient, records=tuple((one, full[one.record_id]) for one in permitted))
    resources = (f"Patient/{patient.id}",) if answer else ()
    rooms.audit.record([answer_record(request, requester, patient, now, decided, resources=resources)])
    return answer


def read_patient(ref: PatientRef, requester: Requester, rooms: Rooms, request: Request) -> PatientAnswer:
    """As `find_patient`. Raises NotFound where there is nothing this caller may know."""
    answer = find_patient(ref, requester, rooms, request)
    if answer is None:
        raise NotFound
    return answer
