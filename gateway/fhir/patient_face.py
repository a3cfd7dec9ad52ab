"""Patient on the wire: a read, and a search by identifiers and description (IHE PDQm ITI-78)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.db.crypto import KeyRing
from gateway.disclosure import Request
from gateway.errors import DomainNotFound
from gateway.fhir.bundle import searchset
from gateway.fhir.elements import with_elements, with_summary
from gateway.fhir.imaging_face import require_scope
from gateway.fhir.negotiation import is_xml_format
from gateway.fhir.operation_outcome import outcome
from gateway.fhir.paging import Cursor, Place, cursor_in, decode_cursor, encode_cursor, page_of, page_url
from gateway.fhir.patient import PDQM_FOUND, to_patient, with_profile
from gateway.fhir.patient_order import place_of
from gateway.fhir.patient_search_params import PatientSearch, parse_patient_search
from gateway.fhir.query_string import Pairs, write_url
from gateway.model import PatientID, PatientRef, Requester
from gateway.mpi.normalise_identifier import NATIONAL_SYSTEMS
from gateway.mpi.patient_finder import PatientFinder
from gateway.patient_search import search_patients
from gateway.patients import PatientAnswer, read_patient
from gateway.rooms import Rooms

TYPE = "Patient"
Resource = dict[str, Any]
_AMBIGUOUS = "an identifier names more than one person, so it found nobody: use another identifier, or a gateway id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The answer to a search, and how it was wanted."""

    bundle: Resource
    pretty: bool
    xml: bool
    """Whether `_format` said XML, on this page or on the one that led here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientFace:
    """What the views of Patient need to answer."""

    rooms: Rooms
    finder: PatientFinder
    keys: KeyRing
    base: str
    """The FHIR base URL."""
    strong_systems: frozenset[str]

    def search(self, pairs: Pairs, requester: Requester, request: Request, *, strict: bool) -> Answered:
        """The searchset Bundle of one page. Raises DomainNotFound, TooCostly, and as parsing and searching do."""
        require_scope(requester, "s", TYPE)
        now = self.rooms.clock()
        cursor = None
        if text := cursor_in(pairs):
            cursor = decode_cursor(self.keys, text, resource_type=TYPE, requester=requester, now=now)
            pairs, strict = cursor.pairs, False
        xml = tuple(pair for pair in pairs if pair[0] == "_format" and is_xml_format(pair[1]))
        search = parse_patient_search([pair for pair in pairs if pair not in xml], strict=strict, path_base=self.base)
        self._require_known(search.query.domains)
        page = _Page(search, cursor, self.base)
        answer = search_patients(search.query, requester, self.rooms, self.finder, request, page.select)
        asked = (*search.self_pairs, *xml)
        next_url = None
        if page.next is not None:
            following = Cursor(pairs=asked, after=page.next)
            next_url = page_url(
                self.base, TYPE, encode_cursor(self.keys, following, resource_type=TYPE, requester=requester, now=now)
            )
        bundle = searchset(
            bundle_id=request.id,
            now=now,
            base=self.base,
            self_url=page_url(self.base, TYPE, text) if text else write_url(f"{self.base}/{TYPE}", asked),
            next_url=next_url,
            total=answer.total,
            matches=page.resources,
            outcomes=[outcome("warning", "multiple-matches", _AMBIGUOUS)] if answer.ambiguous else (),
        )
        return Answered(bundle=with_profile(bundle, PDQM_FOUND), pretty=search.pretty, xml=bool(xml))

    def read(self, id_: str, requester: Requester, request: Request) -> Resource:
        """The Patient of that id. Raises NotFound where it is absent or wholly withheld."""
        require_scope(requester, "r", TYPE)
        found = read_patient(PatientRef(id=PatientID(id_)), requester, self.rooms, request)
        return to_patient(found.patient.id, found.records, self.base)

    def _require_known(self, domains: frozenset[str]) -> None:
        """The exchange knows of identifiers in each of `domains`. Raises DomainNotFound."""
        facilities = {facility.identifier_system for facility in self.rooms.facilities.all()}
        if not domains <= facilities | self.strong_systems | NATIONAL_SYSTEMS:
            raise DomainNotFound


class _Page:
    """Chooses the page of a search, and remembers its resources and where the next one begins."""

    def __init__(self, search: PatientSearch, cursor: Cursor | None, base: str) -> None:
        self._search = search
        self._after = cursor.after if cursor else None
        self._base = base
        self.next: Place | None = None
        self.resources: list[Resource] = []

    def select(self, found: Sequence[PatientAnswer]) -> Sequence[PatientAnswer]:
        """The persons of this page, in order; none where only a count is asked for."""
        if self._search.summary == "count":
            return ()
        entries = [(one, to_patient(one.patient.id, one.records, self._base)) for one in found]
        page, self.next = page_of(
            entries, lambda entry: place_of(entry[1], self._search.sort), self._search.count, self._after
        )
        self.resources = [self._as_wanted(resource) for _, resource in page]
        return [one for one, _ in page]

    def _as_wanted(self, resource: Resource) -> Resource:
        if domains := self._search.query.domains:
            told = [one for one in resource["identifier"] if one.get("system") in domains]
            resource = resource | {"identifier": told}
        if self._search.elements:
            return with_elements(resource, self._search.elements)
        return with_summary(resource, self._search.summary)
