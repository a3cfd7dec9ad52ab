"""A facility says who its patients are: IHE PIXm ITI-104, conditional update and delete on Patient."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gateway.disclosure import Request, who
from gateway.errors import InvalidQuery, LoadRefused, UnsupportedParameter
from gateway.fhir.imaging_face import require_scope
from gateway.fhir.modifiers import require_understood
from gateway.fhir.patient import to_patient
from gateway.fhir.query_string import Pairs
from gateway.fhir.sift import require_text
from gateway.identity_desk import IdentityDesk, Told
from gateway.model import Identifier, PatientID, Requester
from gateway.mpi.patient_record import PatientRecord
from gateway.rooms import Rooms
from gateway.search_values import parse_identifier

_ASIDE = frozenset(("_format", "_pretty"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fed:
    """What became of a record that was sent."""

    status: Literal[200, 201]
    person: PatientID
    resource: dict[str, Any]
    """The Patient as its own domain's record alone has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedFace:
    """What the views of the feed need to answer."""

    rooms: Rooms
    desk: IdentityDesk
    base: str
    """The FHIR base URL."""

    def put(self, pairs: Pairs, resource: Mapping[str, Any], requester: Requester, request: Request) -> Fed:
        """The record of that identifier says what `resource` says: added, revised, or replaced by another.

        Raises ScopeMissing, AccessRefused for another domain, UnknownModifier, LoadRefused (422) with every problem
        by its path, Conflict where a steward has decided otherwise.
        """
        require_scope(requester, "u", "Patient")
        identifier = meant(pairs)
        told = self._told(requester, request)
        self.desk.require_own(identifier, told)
        require_understood(resource, "Patient")
        patient = self.desk.read(resource)
        if patient.source != identifier:
            raise LoadRefused(["Patient.identifier: not the one that the URL names"])
        if self.desk.find(identifier) is None:
            require_scope(requester, "c", "Patient")
        survivor = survivor_in(resource, patient)
        now = self.rooms.clock()
        if survivor is None:
            outcome = self.desk.file(patient, told, now)
        else:
            outcome = self.desk.replace(patient, survivor, told, now)
        return self._fed(identifier, 201 if outcome == "loaded" else 200)

    def delete(self, pairs: Pairs, requester: Requester, request: Request) -> None:
        """The record of that identifier says nothing any more (Remove option). Raises NotFound where there is none."""
        require_scope(requester, "d", "Patient")
        identifier = meant(pairs)
        self.desk.remove(identifier, self._told(requester, request), self.rooms.clock())

    def _told(self, requester: Requester, request: Request) -> Told:
        facility = self.desk.feed_facility(requester.client_id)
        name = f"feed {facility.id} (client {requester.client_id})"
        return Told(
            facility=facility, who=who(requester, request), name=name, request=request.raw, request_id=request.id
        )

    def _fed(self, identifier: Identifier, status: Literal[200, 201]) -> Fed:
        found = self.desk.find(identifier)
        if found is None:
            raise LookupError
        resource = to_patient(found.person, [(found.record, found.patient)], self.base)
        return Fed(status=status, person=found.person, resource=resource)


def meant(pairs: Pairs) -> Identifier:
    """The one identifier that a conditional update or delete names. Raises InvalidQuery."""
    require_text(pairs)
    named = [value for name, value in pairs if name == "identifier"]
    if any(name not in (*_ASIDE, "identifier") for name, _ in pairs):
        raise UnsupportedParameter("a feed names its patient by identifier=system|value and nothing else")
    if len(named) != 1:
        raise InvalidQuery("a feed names its patient by identifier=system|value, once")
    return parse_identifier(named[0], "identifier")


def survivor_in(resource: Mapping[str, Any], patient: PatientRecord) -> Identifier | None:
    """The identifier of the patient that `resource` says it was replaced by; None where it says nothing of the kind.

    Raises LoadRefused where that can't be understood.
    """
    links = [link for link in resource.get("link") or () if link.get("type") == "replaced-by"]
    if not links:
        return None
    if len(links) > 1:
        raise LoadRefused(["Patient.link: replaced by more than one"])
    if patient.active:
        raise LoadRefused(["Patient.active: a patient that was replaced is not active"])
    other = links[0].get("other") or {}
    identifier = other.get("identifier") or {}
    system, value = identifier.get("system"), (identifier.get("value") or "").strip()
    if not system or not value:
        raise LoadRefused(["Patient.link.other.identifier: expected system and value of the surviving patient"])
    return Identifier(system, value)
