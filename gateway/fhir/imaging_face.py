"""ImagingStudy on the wire: a search and a read, from parameters to resources."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from gateway.auth import smart_scopes
from gateway.db.crypto import KeyRing
from gateway.deadline import Deadline
from gateway.disclosure import Request
from gateway.errors import ScopeMissing
from gateway.fhir.bundle import searchset
from gateway.fhir.elements import with_elements, with_summary
from gateway.fhir.endpoint import to_endpoint
from gateway.fhir.imaging_study import to_imaging_study
from gateway.fhir.operation_outcome import gap_outcome, outcome
from gateway.fhir.paging import Cursor, Place, cursor_in, decode_cursor, encode_cursor, page_of, page_url
from gateway.fhir.patient import to_patient
from gateway.fhir.query_string import Pairs, write_url
from gateway.fhir.search_params import ImagingSearch, parse_imaging_search
from gateway.imaging.matching import sort_key
from gateway.imaging.study import Study
from gateway.model import Requester
from gateway.rooms import Rooms
from gateway.search import SearchAnswer, read_imaging_study, search_imaging_studies

TYPE = "ImagingStudy"
_AMBIGUOUS = "this identifier names more than one person, so nobody was asked: use another identifier, or a gateway id"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagingFace:
    """What the views of ImagingStudy need to answer."""

    rooms: Rooms
    keys: KeyRing
    base: str
    """The FHIR base URL."""

    def search(
        self, pairs: Pairs, requester: Requester, deadline: Deadline, request: Request, *, strict: bool
    ) -> tuple[dict[str, Any], bool]:
        """The searchset Bundle of one page, and whether it is wanted indented. Raises GatewayError."""
        require_scope(requester, "s")
        now = self.rooms.clock()
        cursor = None
        if text := cursor_in(pairs):
            cursor = decode_cursor(self.keys, text, resource_type=TYPE, requester=requester, now=now)
            pairs, strict = cursor.pairs, False
        search = parse_imaging_search(pairs, strict=strict, path_base=self.base)
        require_include(requester, search)
        page = _Page(search, cursor)
        answer = search_imaging_studies(search.query, requester, self.rooms, deadline, request, page.select)
        next_url = None
        if page.next is not None:
            following = Cursor(pairs=search.self_pairs, after=page.next)
            next_url = page_url(
                self.base, TYPE, encode_cursor(self.keys, following, resource_type=TYPE, requester=requester, now=now)
            )
        self_url = page_url(self.base, TYPE, text) if text else write_url(f"{self.base}/{TYPE}", search.self_pairs)
        bundle = searchset(
            bundle_id=request.id,
            now=now,
            base=self.base,
            self_url=self_url,
            next_url=next_url,
            total=answer.total,
            matches=[self._resource(study, answer, search) for study in answer.studies],
            includes=self._includes(search, answer, exchanges=requester.token_exchange),
            outcomes=_outcomes(answer),
        )
        return bundle, search.pretty

    def read(self, study_id: str, requester: Requester, deadline: Deadline, request: Request) -> dict[str, Any]:
        """The study of that id. Raises NotFound where it is absent or withheld."""
        require_scope(requester, "r")
        study, found = read_imaging_study(study_id, requester, self.rooms, deadline, request)
        assert found.patient is not None  # noqa: S101  # a study was found, so was its patient
        return to_imaging_study(study, found.patient.id, self.base)

    def _resource(self, study: Study, answer: SearchAnswer, search: ImagingSearch) -> dict[str, Any]:
        assert answer.patient is not None  # noqa: S101  # without a patient there are no studies
        wanted = not search.elements or "series" in search.elements
        resource = to_imaging_study(study, answer.patient.id, self.base, with_series=wanted)
        if search.elements:
            return with_elements(resource, search.elements)
        return with_summary(resource, search.summary)

    def _includes(self, search: ImagingSearch, answer: SearchAnswer, *, exchanges: bool) -> list[dict[str, Any]]:
        included: list[dict[str, Any]] = []
        if search.include_endpoint:
            held = {facility for study in answer.studies for facility in study.facilities}
            included += [
                to_endpoint(facility, exchanges=exchanges) for id_, facility in answer.facilities.items() if id_ in held
            ]
        if search.include_patient and answer.studies and answer.patient:
            full = self.rooms.records.find_record_patients(answer.patient)
            records = [(record, full[record.record_id]) for record in answer.permitted_records]
            included.append(to_patient(answer.patient.id, records, self.base))
        return included


def _outcomes(answer: SearchAnswer) -> list[dict[str, Any]]:
    """What is amiss with the answer, an OperationOutcome each."""
    told = [gap_outcome(gap.facility.id, gap.facility.name, gap.reason) for gap in answer.gaps]
    if answer.ambiguous:
        told.append(outcome("warning", "multiple-matches", _AMBIGUOUS))
    return told


class _Page:
    """Chooses the page of a search and remembers where the next one begins."""

    def __init__(self, search: ImagingSearch, cursor: Cursor | None) -> None:
        self._search = search
        self._after = cursor.after if cursor else None
        self.next: Place | None = None

    def select(self, studies: Sequence[Study]) -> Sequence[Study]:
        """The studies of this page, in order; none where only a count is asked for."""
        if self._search.summary == "count":
            return ()
        place = partial(sort_key, sort=self._search.sort)
        page, self.next = page_of(studies, place, self._search.count, self._after)
        return page


def require_scope(requester: Requester, interaction: smart_scopes.Interaction, resource_type: str = TYPE) -> None:
    """The token's scopes reach. Raises ScopeMissing."""
    bound, signed_in = requester.patient is not None, requester.signed_in
    smart_scopes.require(requester.scopes, resource_type, interaction, patient_bound=bound, signed_in=signed_in)


def require_include(requester: Requester, search: ImagingSearch) -> None:
    """A Patient beside the studies needs a scope for Patient; Endpoints come with the studies. Raises ScopeMissing."""
    bound, signed_in = requester.patient is not None, requester.signed_in
    if search.include_patient and not smart_scopes.can_include(
        requester.scopes, "Patient", patient_bound=bound, signed_in=signed_in
    ):
        raise ScopeMissing("the token has no scope for Patient, which _include asks for")
