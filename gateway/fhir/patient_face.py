"""Patient on the wire: a read and a search by identifier."""

from typing import Any

from gateway.disclosure import Request
from gateway.errors import InvalidQuery
from gateway.fhir.bundle import searchset
from gateway.fhir.elements import with_elements, with_summary
from gateway.fhir.imaging_face import require_scope
from gateway.fhir.patient import to_patient
from gateway.fhir.query_string import Pairs, write_url
from gateway.fhir.search_params import PatientSearch, parse_patient_search
from gateway.model import PatientID, PatientRef, Requester
from gateway.patients import PatientAnswer, find_patient, read_patient
from gateway.rooms import Rooms


def search_patients(
    pairs: Pairs, requester: Requester, rooms: Rooms, base: str, request: Request, *, strict: bool
) -> tuple[dict[str, Any], bool]:
    """The searchset Bundle with the one patient meant, or none, and whether it is wanted indented."""
    require_scope(requester, "s", "Patient")
    search = parse_patient_search(pairs, strict=strict)
    found = find_patient(_ref(search), requester, rooms, request)
    if found is not None and search.id is not None and search.identifier is not None and found.patient.id != search.id:
        found = None
    resources = [_resource(found, search, base)] if found is not None else []
    bundle = searchset(
        bundle_id=request.id,
        now=rooms.clock(),
        base=base,
        self_url=write_url(f"{base}/Patient", search.self_pairs),
        next_url=None,
        total=len(resources),
        matches=[] if search.summary == "count" else resources,
    )
    return bundle, search.pretty


def _ref(search: PatientSearch) -> PatientRef:
    if search.identifier is not None:
        return PatientRef(identifier=search.identifier)
    if search.id is None:
        raise InvalidQuery("a search on Patient needs identifier=system|value or _id")
    return PatientRef(id=search.id)


def _resource(found: PatientAnswer, search: PatientSearch, base: str) -> dict[str, Any]:
    resource = to_patient(found.patient.id, found.records, base)
    return with_elements(resource, search.elements) if search.elements else with_summary(resource, search.summary)


def read_one_patient(id_: str, requester: Requester, rooms: Rooms, base: str, request: Request) -> dict[str, Any]:
    """The Patient of that id. Raises NotFound where it is absent or wholly withheld."""
    require_scope(requester, "r", "Patient")
    found = read_patient(PatientRef(id=PatientID(id_)), requester, rooms, request)
    return to_patient(found.patient.id, found.records, base)
