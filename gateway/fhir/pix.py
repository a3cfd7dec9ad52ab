"""Under which identifiers is this patient known elsewhere? IHE PIXm ITI-83, `Patient/$ihe-pix`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.disclosure import Request
from gateway.errors import InvalidQuery, UnknownDomain, UnknownIdentifier, UnknownTarget, UnsupportedParameter
from gateway.fhir.imaging_face import require_scope
from gateway.fhir.query_string import Pairs
from gateway.fhir.sift import require_text
from gateway.identity_desk import IdentityDesk
from gateway.model import FacilityID, Identifier, PatientID, PatientRef, Requester
from gateway.mpi.demographics import identifiers_of
from gateway.patients import PatientAnswer, find_patient
from gateway.rooms import Rooms

_KNOWN = frozenset(("sourceIdentifier", "targetSystem", "_format", "_pretty"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PixQuery:
    """One question: who is meant, and in which domains an answer is wanted (none: in all)."""

    source: Identifier
    targets: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PixFace:
    """What `$ihe-pix` needs to answer."""

    rooms: Rooms
    desk: IdentityDesk
    base: str
    """The FHIR base URL; also the domain of the gateway's own ids."""

    def answer(self, pairs: Pairs, requester: Requester, request: Request, *, strict: bool) -> dict[str, Any]:
        """Parameters with each identifier that the caller may know of, the source identifier left out.

        What facilities are withheld from the caller say is left out; a facility's feed is told what is its own.
        Raises UnknownDomain (400), UnknownTarget (403), UnknownIdentifier (404) as the transaction has them.
        """
        require_scope(requester, "s", "Patient")
        query = parse_pix(pairs, strict=strict)
        named = self._named(query)
        found = find_patient(named, requester, self.rooms, request, own=self._own(requester))
        if found is None or not (named.id or _is_told(query.source, found)):
            raise UnknownIdentifier
        parameters = [*self._identifiers(query, found), *self._ids(query, found, named)]
        return {"resourceType": "Parameters", **({"parameter": parameters} if parameters else {})}

    def _named(self, query: PixQuery) -> PatientRef:
        known = self.desk.domains | self.desk.strong_systems | {self.base}
        if query.source.system not in known:
            raise UnknownDomain("sourceIdentifier Assigning Authority not found")
        if not query.targets <= known:
            raise UnknownTarget("targetSystem not found")
        if query.source.system == self.base:
            return PatientRef(id=PatientID(query.source.value.removeprefix("Patient/")))
        return PatientRef(identifier=query.source)

    def _own(self, requester: Requester) -> FacilityID | None:
        return self.desk.facility_of(requester.client_id)

    def _identifiers(self, query: PixQuery, found: PatientAnswer) -> Iterable[dict[str, Any]]:
        told: dict[Identifier, None] = {}
        for record, patient in found.records:
            told[record.identifier] = None
            told.update((one, None) for one in identifiers_of(patient) if one.system in self.desk.strong_systems)
        for one in told:
            if one != query.source and (not query.targets or one.system in query.targets):
                value = {"use": "official", "system": one.system, "value": one.value}
                yield {"name": "targetIdentifier", "valueIdentifier": value}

    def _ids(self, query: PixQuery, found: PatientAnswer, named: PatientRef) -> Iterable[dict[str, Any]]:
        wanted = not query.targets or self.base in query.targets
        if wanted and named.id is None:
            reference = {"reference": f"{self.base}/Patient/{found.patient.id}"}
            yield {"name": "targetId", "valueReference": reference}


def _is_told(source: Identifier, found: PatientAnswer) -> bool:
    """Whether a record that the caller may know of has it: one that is withheld finds nobody, as if it were unknown."""
    return any(source == record.identifier or source in identifiers_of(patient) for record, patient in found.records)


def parse_pix(pairs: Pairs, *, strict: bool) -> PixQuery:
    """The question that `pairs` ask. Unknown parameters are ignored unless `strict`. Raises InvalidQuery."""
    require_text(pairs)
    if strict and any(name not in _KNOWN for name, _ in pairs):
        raise UnsupportedParameter("a parameter of this operation is not supported")
    sources = [value for name, value in pairs if name == "sourceIdentifier"]
    if len(sources) != 1:
        raise InvalidQuery("$ihe-pix needs sourceIdentifier=system|value, once")
    system, _, value = sources[0].partition("|")
    if not system or not value.strip():
        raise InvalidQuery("sourceIdentifier is system|value")
    targets = frozenset(part for name, text in pairs if name == "targetSystem" for part in text.split(",") if part)
    return PixQuery(source=Identifier(system, value.strip()), targets=targets)


def pairs_of_parameters(resource: Mapping[str, Any]) -> Pairs:
    """The question as a form would ask it, from a Parameters resource that was posted. Raises InvalidQuery."""
    listed = resource.get("parameter", [])
    if resource.get("resourceType") != "Parameters" or not isinstance(listed, list):
        raise InvalidQuery("expected a Parameters resource")
    return tuple(_pair(one) for one in listed)


def _pair(parameter: Any) -> tuple[str, str]:
    if not isinstance(parameter, dict) or not isinstance(parameter.get("name"), str):
        raise InvalidQuery("Parameters.parameter: each has a name")
    values: Sequence[Any] = [value for name, value in parameter.items() if name.startswith("value")]
    value = values[0] if len(values) == 1 else None
    if isinstance(value, dict) and isinstance(value.get("system"), str) and isinstance(value.get("value"), str):
        return parameter["name"], f"{value['system']}|{value['value']}"
    if not isinstance(value, str):
        raise InvalidQuery("Parameters.parameter: each has one value, a string, a uri or an Identifier")
    return parameter["name"], value
